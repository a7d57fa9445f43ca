//! The client: each request goes to its driver, and its answer comes back.

use std::fmt;
use std::future::Future;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use raft_core::LogId;
use rand::RngExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::driver::{Driver, Submission};
use super::pending::Pending;
use crate::address::Address;
use crate::client_core::{ClientNotice, Op, Settings, Success};
use crate::protocol::{
    Answer, Changed, Consistency, MemberChange, MemberName, MembersView, News, NodeStatus,
    ReadAnswer,
};
use crate::sessions::{Fate, RequestName};
use crate::testimony::Testimony;
use crate::vitals::Recent;
use crate::wire::COMMAND_BYTES_MAX;

/// Milliseconds without end, that added to a clock are still a time.
const TIMEOUT_MAX: u64 = 1 << 50;

/// How a [`Client`] behaves.
pub struct ClientOptions {
    /// How long an operation may take, all its attempts together. Five seconds by default.
    pub timeout: Duration,
    /// For a single command: the session competes only with others of its kind.
    pub one_shot: bool,
    /// What a person may want to know meanwhile.
    pub notices: Option<Box<dyn FnMut(ClientNotice) + Send>>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), one_shot: false, notices: None }
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// A client of a cluster. Operations may be under way together, as many as one likes; each write
/// takes effect once, however often it had to be sent.
///
/// Dropping it does not wait for what is under way.
#[derive(Debug)]
pub struct Client {
    submit: mpsc::UnboundedSender<Submission>,
    thread: Option<JoinHandle<()>>,
}

/// A write that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its place in the log.
    pub at: LogId,
    /// What the state machine answered.
    pub response: Bytes,
    /// Who was asked, and who answered.
    pub served: Served,
}

/// Who was asked, and who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The endpoint that was asked.
    pub contacted: String,
    /// The leader, if the endpoint passed the request on to it.
    pub forwarded_to: Option<String>,
}

impl Client {
    /// A client that asks these servers, one after the other until one answers. Any member will
    /// do: it passes on what only the leader can decide.
    ///
    /// # Errors
    /// The operating system has no thread left.
    pub fn new(
        endpoints: impl IntoIterator<Item = Address>,
        options: ClientOptions,
    ) -> io::Result<Self> {
        let (mut client, driver) = Self::apart(endpoints, options);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let thread = std::thread::Builder::new().name("raft-client".into()).spawn(move || {
            LocalSet::new().block_on(&runtime, driver().run());
            // A name that is being looked up does not keep a client from ending.
            runtime.shutdown_background();
        })?;
        client.thread = Some(thread);
        Ok(client)
    }

    /// A client without a thread of its own: it works while the future runs, which takes a tokio
    /// `LocalSet` with I/O and time, and ends when the client is dropped. For programs that have
    /// such a thread already, or want many clients on one.
    pub fn local(
        endpoints: impl IntoIterator<Item = Address>,
        options: ClientOptions,
    ) -> (Self, impl Future<Output = ()> + 'static) {
        let (client, driver) = Self::apart(endpoints, options);
        (client, driver().run())
    }

    /// A client and what makes its driver, which stays on the thread where it is made.
    fn apart(
        endpoints: impl IntoIterator<Item = Address>,
        options: ClientOptions,
    ) -> (Self, impl FnOnce() -> Driver + Send + 'static) {
        let ClientOptions { timeout, one_shot, notices } = options;
        let settings = Settings {
            endpoints: endpoints.into_iter().map(|address| address.to_string()).collect(),
            timeout: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).min(TIMEOUT_MAX),
            one_shot,
            command_bytes_max: COMMAND_BYTES_MAX,
            seed: rand::rng().random(),
        };
        let (submit, submissions) = mpsc::unbounded_channel();
        let driver = move || Driver::new(settings, notices, submissions);
        (Self { submit, thread: None }, driver)
    }

    fn submit<T>(&self, op: Op, take: fn(Success) -> Option<T>) -> Pending<T> {
        let (done, result) = oneshot::channel();
        // If the driver has ended, the dropped sender says so to whoever waits.
        let _sent = self.submit.send(Submission { op, done });
        Pending::new(result, take)
    }

    /// Appends a command; ends when it is committed and applied.
    pub fn write(&self, command: impl Into<Bytes>) -> Pending<Written> {
        self.submit(Op::Write(command.into()), |success| {
            let (answer, served) = success.parts();
            match answer {
                Answer::Written { at, response } => Some(Written { at, response, served }),
                _ => None,
            }
        })
    }

    /// Asks the state machine; any member answers. What the answer is fresh enough for, see
    /// [`Consistency`].
    pub fn read(
        &self,
        query: impl Into<Bytes>,
        consistency: Consistency,
    ) -> Pending<(ReadAnswer, Served)> {
        let query = query.into();
        self.submit(Op::Read { query, consistency, news: None }, answered)
    }

    /// Asks the state machine once it has news, or once the time for that is over; of what the
    /// asked member knows. The first version to wait from is in any [`ReadAnswer`].
    pub fn read_news(&self, query: impl Into<Bytes>, news: News) -> Pending<(ReadAnswer, Served)> {
        let (query, consistency) = (query.into(), Consistency::Local);
        self.submit(Op::Read { query, consistency, news: Some(news) }, answered)
    }

    /// Who is in the cluster: the leader's view, or, without one, the asked member's own.
    pub fn members(&self) -> Pending<MembersView> {
        self.submit(Op::Members, |success| match success.answer {
            Answer::Members(view) => Some(view),
            _ => None,
        })
    }

    /// Adds the server at this address; ends when it votes.
    pub fn add_member(&self, address: &Address) -> Pending<(Changed, Served)> {
        self.change_members(MemberChange::Add(address.to_string()))
    }

    /// Removes the member with this address; ends when it is out.
    pub fn remove_member(&self, address: &Address) -> Pending<(Changed, Served)> {
        let name = MemberName::Address(address.to_string());
        self.change_members(MemberChange::Remove(name))
    }

    /// Lets members come, go or move; ends when that is done.
    pub fn change_members(&self, change: MemberChange) -> Pending<(Changed, Served)> {
        self.submit(Op::Change(change), changed)
    }

    /// Hands leadership over, to this member or to the best; ends with the new leader's address.
    pub fn transfer(&self, to: Option<&Address>) -> Pending<(String, Served)> {
        self.submit(Op::Transfer(to.map(ToString::to_string)), |success| {
            let (answer, served) = success.parts();
            match answer {
                Answer::Transferred { to } => Some((to, served)),
                _ => None,
            }
        })
    }

    /// A snapshot at the asked server: its last entry, and its bytes on the disk, zero if nothing
    /// had to be written.
    pub fn snapshot(&self) -> Pending<(LogId, u64, Served)> {
        self.submit(Op::Snapshot, |success| {
            let (answer, served) = success.parts();
            match answer {
                Answer::Snapshot { at, bytes } => Some((at, bytes, served)),
                _ => None,
            }
        })
    }

    /// How the asked server sees itself.
    pub fn status(&self) -> Pending<NodeStatus> {
        self.submit(Op::Status, |success| match success.answer {
            Answer::Status(status) => Some(*status),
            _ => None,
        })
    }

    /// What became of a write whose outcome is unknown. If it is not applied yet, it never will be:
    /// whatever copy of it is still on its way is refused from then on.
    pub fn result(&self, request: RequestName) -> Pending<(Fate, Served)> {
        self.submit(Op::Result(request), |success| {
            let (answer, served) = success.parts();
            match answer {
                Answer::Fate(fate) => Some((fate, served)),
                _ => None,
            }
        })
    }

    /// What the asked server knows of why something does not go on.
    pub fn why(&self) -> Pending<Testimony> {
        self.submit(Op::Why, |success| match success.answer {
            Answer::Why(testimony) => Some(*testimony),
            _ => None,
        })
    }

    /// How the asked server sees itself, what happened there after the event of this number, and
    /// the last entries of its log.
    pub fn recent(&self, after: u64, tail: u32) -> Pending<Recent> {
        self.submit(Op::Recent { after, tail }, |success| match success.answer {
            Answer::Recent(recent) => Some(*recent),
            _ => None,
        })
    }

    /// Ends the session at the cluster, which then keeps no answers for it any longer. To be
    /// called when all writes are done.
    pub fn end_session(&self) -> Pending<()> {
        self.submit(Op::EndSession, |_| Some(()))
    }
}

fn answered(success: Success) -> Option<(ReadAnswer, Served)> {
    let (answer, served) = success.parts();
    match answer {
        Answer::Read(answer) => Some((answer, served)),
        _ => None,
    }
}

fn changed(success: Success) -> Option<(Changed, Served)> {
    let (answer, served) = success.parts();
    match answer {
        Answer::Changed(changed) => Some((changed, served)),
        _ => None,
    }
}

impl Success {
    fn parts(self) -> (Answer, Served) {
        let Self { answer, contacted, forwarded_to } = self;
        (answer, Served { contacted, forwarded_to })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The driver ends when nobody can submit any more.
        let (nobody, _) = mpsc::unbounded_channel();
        self.submit = nobody;
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}
