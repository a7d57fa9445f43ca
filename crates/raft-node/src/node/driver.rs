//! The client's driver: gives [`ClientCore`] its sockets and its clock.

use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use raft_core::Time;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::connection::{Connection, Talk};
use super::dial::{DialError, greet};
use super::incoming::Incoming;
use crate::binding::ConnectionId;
use crate::client_core::{
    ClientCore, ClientError, ClientNotice, Op, OpId, Output, Settings, Success,
};
use crate::hello::{Believed, Hello, Party, Protocols, Role};
use crate::wire::Frame;

/// A request, and who waits for its answer.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) op: Op,
    pub(super) done: oneshot::Sender<Result<Success, ClientError>>,
}

/// What a dial came to.
type Dialled = (u64, Result<Talk, String>);

pub(super) struct Driver {
    core: ClientCore,
    endpoints: Vec<String>,
    patience: Duration,
    notices: Option<Box<dyn FnMut(ClientNotice) + Send>>,
    submissions: mpsc::UnboundedReceiver<Submission>,
    waiting: BTreeMap<OpId, oneshot::Sender<Result<Success, ClientError>>>,
    last_op: u64,
    dials: (mpsc::UnboundedSender<Dialled>, mpsc::UnboundedReceiver<Dialled>),
    arrivals: (mpsc::UnboundedSender<Incoming>, mpsc::UnboundedReceiver<Incoming>),
    /// The last dial or connection; what earlier ones say does not matter.
    attempt: u64,
    connection: Option<Rc<Connection>>,
    origin: Instant,
    outputs: Vec<Output>,
}

impl Driver {
    pub(super) fn new(
        settings: Settings,
        notices: Option<Box<dyn FnMut(ClientNotice) + Send>>,
        submissions: mpsc::UnboundedReceiver<Submission>,
    ) -> Self {
        Self {
            endpoints: settings.endpoints.clone(),
            patience: Duration::from_millis(settings.timeout),
            core: ClientCore::new(settings),
            notices,
            submissions,
            waiting: BTreeMap::new(),
            last_op: 0,
            dials: mpsc::unbounded_channel(),
            arrivals: mpsc::unbounded_channel(),
            attempt: 0,
            connection: None,
            origin: Instant::now(),
            outputs: Vec::new(),
        }
    }

    /// Runs until the client is dropped.
    pub(super) async fn run(mut self) {
        // One timer for all: it is set anew only when it ran down or is to ring earlier, for most
        // deadlines are over before they are due.
        let mut timer = pin!(sleep_until(self.origin));
        loop {
            let deadline = self.core.next_deadline();
            let at = self.origin + Duration::from_millis(deadline.map_or(0, |time| time.0));
            if deadline.is_some() && (timer.is_elapsed() || at < timer.deadline()) {
                timer.as_mut().reset(at);
            }
            tokio::select! {
                biased;
                Some(incoming) = self.arrivals.1.recv() => self.arrived(incoming),
                Some(dialled) = self.dials.1.recv() => self.dialled(dialled),
                submission = self.submissions.recv() => match submission {
                    Some(submission) => self.submitted(submission),
                    None => break,
                },
                () = &mut timer, if deadline.is_some() => {}
            }
            while let Ok(incoming) = self.arrivals.1.try_recv() {
                self.arrived(incoming);
            }
            while let Ok(submission) = self.submissions.try_recv() {
                self.submitted(submission);
            }
            let now = self.now();
            if self.core.next_deadline().is_some_and(|deadline| deadline <= now) {
                self.core.timer(now, &mut self.outputs);
            }
            let mut outputs = std::mem::take(&mut self.outputs);
            for output in outputs.drain(..) {
                self.carry_out(output);
            }
            self.outputs = outputs;
            if let Some(connection) = &self.connection {
                connection.flush();
            }
        }
        if let Some(connection) = &self.connection {
            connection.close();
        }
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn submitted(&mut self, submission: Submission) {
        self.last_op += 1;
        let id = OpId(self.last_op);
        self.waiting.insert(id, submission.done);
        self.core.submit(self.now(), id, submission.op, &mut self.outputs);
    }

    fn arrived(&mut self, incoming: Incoming) {
        let now = self.now();
        match incoming {
            Incoming::Frames { connection, frames } if connection.0 == self.attempt => {
                for frame in frames {
                    match frame {
                        Frame::Reply { id, reply } => {
                            self.core.reply(now, id, reply, &mut self.outputs);
                        }
                        Frame::Pong { .. } => self.core.heard(now, &mut self.outputs),
                        Frame::Ping { nonce } => self.push(&Frame::Pong { nonce }),
                        // A word that this version does not know, or that is not for clients.
                        _ => {}
                    }
                }
                if let Some(connection) = &self.connection {
                    connection.resume();
                }
            }
            Incoming::Closed { connection, .. } if connection.0 == self.attempt => {
                self.hang_up();
                self.core.disconnected(now, &mut self.outputs);
            }
            // An earlier connection's, or nothing that a client is told.
            _ => {}
        }
    }

    fn dialled(&mut self, (attempt, result): Dialled) {
        if attempt != self.attempt {
            return;
        }
        let now = self.now();
        match result {
            Ok(talk) => {
                let connection = Connection::start(
                    ConnectionId(attempt),
                    talk,
                    self.arrivals.0.clone(),
                    Arc::default(),
                );
                connection.trust();
                self.connection = Some(connection);
                self.core.connected(now, &mut self.outputs);
            }
            Err(error) => self.core.refused(now, &error, &mut self.outputs),
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Dial(place) => self.dial(place),
            Output::Close => self.hang_up(),
            Output::Send { request, body } => {
                self.push(&Frame::Request { id: request, request: body });
            }
            Output::Ping(nonce) => self.push(&Frame::Ping { nonce }),
            Output::Done(id, result) => {
                if let Some(done) = self.waiting.remove(&id) {
                    // Whoever asked may have stopped waiting.
                    let _told = done.send(result.map(|success| *success));
                }
            }
            Output::Notice(notice) => {
                if let Some(notices) = &mut self.notices {
                    notices(notice);
                }
            }
        }
    }

    fn push(&self, frame: &Frame) {
        if let Some(connection) = &self.connection {
            connection.push(frame.encode());
        }
    }

    fn hang_up(&mut self) {
        self.attempt += 1;
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
    }

    fn dial(&mut self, place: usize) {
        self.hang_up();
        let attempt = self.attempt;
        let Some(address) = self.endpoints.get(place).cloned() else { return };
        let (patience, answer) = (self.patience, self.dials.0.clone());
        tokio::task::spawn_local(async move {
            let hello = Hello {
                protocol: Protocols::OURS,
                role: Role::Client,
                from: Party::default(),
                to: Believed { address: address.clone(), ..Believed::default() },
            };
            let result = match greet(&address, hello, patience).await {
                Ok((talk, _)) => Ok(talk),
                Err(DialError::Refused) => Err("nobody listens there".to_owned()),
                Err(DialError::Unwelcome(refused)) => Err(refused.to_string()),
                Err(DialError::Failed(error)) => Err(error.to_string()),
            };
            // The driver may have ended.
            let _told = answer.send((attempt, result));
        });
    }
}
