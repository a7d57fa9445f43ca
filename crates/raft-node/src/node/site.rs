//! What outlives a member's life in a cluster: sockets that listen, the queue of what arrives,
//! where facts go.

use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use raft_core::Time;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::binding::ConnectionId;
use crate::hello::HelloRefused;
use crate::node::incoming::Incoming;
use crate::node::listen;
use crate::node::notice::Notices;
use crate::node::observe::Observed;
use crate::notice::{Notice, Told};
use crate::resident::Settings;

/// One node's surroundings.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) settings: Settings,
    pub(super) notices: Notices,
    pub(super) ready: Arc<Ready>,
    pub(super) observed: Arc<Observed>,
    /// What comes from outside: dials to the listeners, and the program's own wishes.
    doors: (mpsc::UnboundedSender<Incoming>, mpsc::UnboundedReceiver<Incoming>),
    /// What this life's own connections, diallers and threads bring. An earlier life's speak into
    /// the void.
    incoming: mpsc::UnboundedReceiver<Incoming>,
    pub(super) sender: mpsc::UnboundedSender<Incoming>,
    origin: Instant,
    last_connection: u64,
    told: Told,
}

impl Site {
    pub(super) fn new(
        settings: Settings,
        notices: Notices,
        ready: Arc<Ready>,
        doors: (mpsc::UnboundedSender<Incoming>, mpsc::UnboundedReceiver<Incoming>),
    ) -> Self {
        let (sender, incoming) = mpsc::unbounded_channel();
        Self {
            settings,
            notices,
            ready,
            observed: Observed::new(),
            doors,
            incoming,
            sender,
            origin: Instant::now(),
            last_connection: 0,
            told: Told::default(),
        }
    }

    /// A new life begins, in a cluster or outside of one: nothing that an earlier one set going
    /// reaches it.
    pub(super) fn begin_life(&mut self) {
        (self.sender, self.incoming) = mpsc::unbounded_channel();
    }

    /// The next thing that happens.
    pub(super) async fn next(&mut self) -> Option<Incoming> {
        tokio::select! {
            biased;
            incoming = self.incoming.recv() => incoming,
            outside = self.doors.1.recv() => outside,
        }
    }

    /// Something that has happened already.
    pub(super) fn next_ready(&mut self) -> Option<Incoming> {
        self.incoming.try_recv().or_else(|_| self.doors.1.try_recv()).ok()
    }

    /// Accepts from these listeners for as long as the node runs.
    pub(super) fn accept_from(&self, listeners: Vec<TcpListener>) -> std::io::Result<()> {
        for listener in listeners {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let sender = self.doors.0.clone();
            tokio::task::spawn_local(async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => {
                            let incoming = match listen::lacks_room(&stream) {
                                None => Incoming::Accepted { stream },
                                Some(limit) => Incoming::Crowded { limit },
                            };
                            if sender.send(incoming).is_err() {
                                return;
                            }
                        }
                        // Out of descriptors, or the dialler has gone: neither ends the listener.
                        Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                    }
                }
            });
        }
        Ok(())
    }

    /// Tells about a refused connection, once.
    pub(super) fn tell_refused(&mut self, refused: &HelloRefused) {
        if let Some(text) = self.told.refused(refused) {
            self.tell_of_other(text);
        }
    }

    /// Tells what an end of a connection did wrong, once.
    pub(super) fn tell_folly(&mut self, text: String) {
        if self.told.folly(&text) {
            self.tell_of_other(text);
        }
    }

    /// Tells that somebody was hung up on for lack of descriptors, once.
    pub(super) fn tell_crowded(&mut self, limit: u64) {
        self.tell_folly(format!(
            "too many connections: this process may have {limit} open files, and {} of them are \
             kept for its log and its peers; let clients share connections, or raise the limit \
             (ulimit -n)",
            listen::DESCRIPTORS_KEPT
        ));
    }

    fn tell_of_other(&self, text: String) {
        self.observed.event("notice", text.clone());
        self.notices.tell(Notice::Peer(text));
    }

    /// The time since the node started.
    pub(super) fn now(&self) -> Time {
        Time(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// When that time is.
    pub(super) fn instant(&self, time: Time) -> Instant {
        self.origin + Duration::from_millis(time.0)
    }

    /// A number for a new connection. Zero is the program's own.
    pub(super) const fn number_connection(&mut self) -> ConnectionId {
        self.last_connection += 1;
        ConnectionId(self.last_connection)
    }
}

/// Tells threads outside whether this node serves.
#[derive(Debug, Default)]
pub(super) struct Ready {
    is: Mutex<bool>,
    changed: Condvar,
}

impl Ready {
    pub(super) fn set(&self) {
        let mut is = self.is.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut is, true) {
            self.changed.notify_all();
        }
    }

    pub(super) fn clear(&self) {
        *self.is.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// Waits until it is set, for at most so long; whether it is.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        let is = self.is.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(is, patience, |is| !*is);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
