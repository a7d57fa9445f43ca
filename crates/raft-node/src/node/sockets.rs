//! The sockets of one life: those that are connected and those that are being dialled.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use raft_core::Index;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::connection::{Connection, Flushed, Talk};
use super::dial;
use super::incoming::Incoming;
use super::site::Site;
use crate::binding::ConnectionId;
use crate::resident::{self, DialId};
use crate::wire::Encoded;

#[derive(Debug, Default)]
pub(super) struct Sockets {
    connections: BTreeMap<ConnectionId, Rc<Connection>>,
    dials: BTreeMap<DialId, AbortHandle>,
    /// Those that have something to write, or have just written all of it.
    touched: BTreeSet<ConnectionId>,
}

impl Sockets {
    /// Takes over a socket. One that is broken already is none.
    pub(super) fn add(
        &mut self,
        site: &mut Site,
        stream: TcpStream,
    ) -> std::io::Result<ConnectionId> {
        let talk = Talk::new(stream)?;
        let id = site.number_connection();
        let meter = Arc::clone(&site.observed.meter);
        let connection = Connection::start(id, talk, site.sender.clone(), meter);
        self.connections.insert(id, connection);
        Ok(id)
    }

    /// Queues a frame; if its last bytes are entries, those after the first index up to the other.
    pub(super) fn push(
        &mut self,
        id: ConnectionId,
        frame: Encoded,
        entries: Option<(Index, Index)>,
    ) {
        let Some(connection) = self.connections.get(&id) else { return };
        match entries {
            Some((prev, through)) => connection.push_entries(frame, prev, through),
            None => connection.push(frame),
        }
        if !connection.touched.replace(true) {
            self.touched.insert(id);
        }
    }

    /// A socket that was full takes bytes again.
    pub(super) fn touch(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get(&id) {
            connection.touched.set(true);
            self.touched.insert(id);
        }
    }

    /// Whether anything waits for [`Self::flush`].
    pub(super) fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Writes to the next touched socket, once. One that is broken comes without a result: its
    /// reader may be waiting to be resumed, and would never notice.
    pub(super) fn flush_next(&mut self) -> Option<(ConnectionId, Option<resident::Flushed>)> {
        loop {
            let id = self.touched.pop_first()?;
            if let Some(connection) = self.connections.get(&id) {
                connection.touched.set(false);
                let broken = connection.flush() == Flushed::Broken;
                return Some((id, (!broken).then(|| taken(connection))));
            }
        }
    }

    /// What a full socket has taken meanwhile.
    pub(super) fn taken(&self, id: ConnectionId) -> Option<resident::Flushed> {
        self.connections.get(&id).map(|connection| taken(connection))
    }

    /// Hangs up. What was said last may still be on its way.
    pub(super) fn close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(&id) {
            connection.flush();
            connection.close();
        }
    }

    /// Lets the connection bring more.
    pub(super) fn resume(&self, id: ConnectionId) {
        if let Some(connection) = self.connections.get(&id) {
            connection.resume();
        }
    }

    /// Lets frames of any size through.
    pub(super) fn trust(&self, id: ConnectionId) {
        if let Some(connection) = self.connections.get(&id) {
            connection.trust();
        }
    }

    /// Gives up on an end that takes nothing for so long.
    pub(super) fn hurry(&self, id: ConnectionId, patience: u64) {
        if let Some(connection) = self.connections.get(&id) {
            connection.hurry(Duration::from_millis(patience));
        }
    }

    /// Connects to an address.
    pub(super) fn dial(&mut self, site: &Site, dial: DialId, address: String) {
        let incoming = site.sender.clone();
        let task = async move {
            let result = dial::connect(&address).await;
            // The life that dialled may be over.
            let _sent = incoming.send(Incoming::Dialled { dial, result });
        };
        self.dials.insert(dial, tokio::task::spawn_local(task).abort_handle());
    }

    /// A dial is over, by itself or because nobody waits for it.
    pub(super) fn end_dial(&mut self, dial: DialId) {
        if let Some(task) = self.dials.remove(&dial) {
            task.abort();
        }
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.dials.values().for_each(AbortHandle::abort);
        self.connections.values().for_each(|connection| connection.close());
    }
}

fn taken(connection: &Connection) -> resident::Flushed {
    resident::Flushed { waiting: connection.waiting(), sent: connection.take_sent() }
}
