//! Starting a node.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use raft_log::{DataDir, Holder, OpenError, RealDisk, SnapshotError};
use tokio::sync::mpsc;

use super::life::{self, Estate};
use super::notice::Notices;
use super::output::Lines;
use super::site::{Ready, Site};
use super::{Failure, FailureClass, Node, StopHandle, listen};
use crate::address::Address;
use crate::notice::Notice;
use crate::replica::{Limits, SnapshotLimits, Unusable};
use crate::resident::Settings;
use crate::state_machine::Apply;

/// The election timeout unless said otherwise.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// A node to be. See [`node`].
pub struct Builder {
    dir: PathBuf,
    listen: Option<Address>,
    cluster: Vec<Address>,
    election_timeout: Duration,
    snapshots: SnapshotLimits,
    insecure: bool,
    moved: bool,
    lines: Lines,
    notices: Box<dyn FnMut(Notice) + Send>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// A node whose data lie in this directory.
pub fn node(dir: impl Into<PathBuf>) -> Builder {
    Builder {
        dir: dir.into(),
        listen: None,
        cluster: Vec::new(),
        election_timeout: ELECTION_TIMEOUT,
        snapshots: SnapshotLimits::default(),
        insecure: false,
        moved: false,
        lines: Box::new(|_| Ok(())),
        notices: Box::new(|_| {}),
    }
}

impl Builder {
    /// Where to listen, and by which address others know this member.
    #[must_use]
    pub fn listen(mut self, address: Address) -> Self {
        self.listen = Some(address);
        self
    }

    /// The founders of a new cluster, this one among them. Without any, the node waits to be
    /// added to a cluster. Ignored once the directory has state.
    #[must_use]
    pub fn cluster(mut self, founders: impl IntoIterator<Item = Address>) -> Self {
        self.cluster = founders.into_iter().collect();
        self
    }

    /// The election timeout T, one second by default. Heartbeats come every T / 10; all members
    /// should have the same.
    #[must_use]
    pub const fn election_timeout(mut self, timeout: Duration) -> Self {
        self.election_timeout = timeout;
        self
    }

    /// When snapshots are taken, what stays of the log below them, and how fast they are sent.
    #[must_use]
    pub const fn snapshots(mut self, limits: SnapshotLimits) -> Self {
        self.snapshots = limits;
        self
    }

    /// Listen beyond this machine although nothing is encrypted and nobody authenticated.
    #[must_use]
    pub const fn insecure(mut self, insecure: bool) -> Self {
        self.insecure = insecure;
        self
    }

    /// The member of this directory listens here from now on, and not where it did. The others have
    /// to be told: see [`crate::MemberChange::Update`].
    #[must_use]
    pub const fn moved(mut self, moved: bool) -> Self {
        self.moved = moved;
        self
    }

    /// Where the state machine's lines go.
    #[must_use]
    pub fn lines(mut self, lines: Lines) -> Self {
        self.lines = lines;
        self
    }

    /// Where facts for people go.
    #[must_use]
    pub fn notices(mut self, notices: Box<dyn FnMut(Notice) + Send>) -> Self {
        self.notices = notices;
        self
    }

    /// Opens the directory, listens, and starts.
    ///
    /// # Errors
    /// What, why and what next; nothing was changed, except that a new directory may have been
    /// made.
    pub fn start(self, machine: impl Apply) -> Result<Node, Failure> {
        let address = self.checked_address()?;
        let disk =
            Arc::new(RealDisk::open(&self.dir).map_err(|error| disk_failure(&self.dir, &error))?);
        let holder = Holder { pid: std::process::id(), address: address.to_string() };
        let dir = DataDir::open(disk, holder)?;
        let listeners = listen::listen(&address).map_err(|error| Failure {
            class: FailureClass::Address,
            what: format!(
                "cannot listen at {address}: {error}; another process may listen there: stop it, \
                 or choose another port"
            ),
        })?;
        let no_thread = |error: std::io::Error| Failure {
            class: FailureClass::Disk,
            what: format!(
                "cannot start a thread: {error}; see that the limits of the system are not reached"
            ),
        };
        let (notices, last_words) = Notices::start(self.notices).map_err(no_thread)?;
        notices.tell(Notice::Fact(format!("data in {}", self.dir.display())));
        notices.tell(Notice::Listening {
            address: address.to_string(),
            loopback: address.is_loopback(),
        });
        let timeout = u64::try_from(self.election_timeout.as_millis()).unwrap_or(u64::MAX);
        let settings = Settings { address, cluster: self.cluster, election_timeout: timeout };
        let ready = Arc::<Ready>::default();
        let channel = mpsc::unbounded_channel();
        let handle = StopHandle { sender: channel.0.clone() };
        let site = Site::new(settings, notices, Arc::clone(&ready), channel);
        let limits = Limits { snapshots: self.snapshots, ..Limits::default() };
        let (machine, lines, moved) = (Box::new(machine), self.lines, self.moved);
        let estate = Estate { dir, machine, lines, limits, moved };
        let thread = std::thread::Builder::new()
            .name("raft".into())
            .spawn(move || {
                let _last_words = last_words;
                life::run(site, estate, listeners)
            })
            .map_err(no_thread)?;
        Ok(Node { handle, ready, thread: Some(thread) })
    }

    fn checked_address(&self) -> Result<Address, Failure> {
        let usage = |what: String| Failure { class: FailureClass::Usage, what };
        let address = self
            .listen
            .clone()
            .ok_or_else(|| usage("a node needs an address: say .listen(…)".into()))?;
        if !address.is_loopback() && !self.insecure {
            return Err(usage(format!(
                "{address} can be reached from other machines, and nothing is encrypted or \
                 authenticated yet; use an address without a host for this machine only, or say \
                 --insecure if the network is yours alone"
            )));
        }
        if self.election_timeout < Duration::from_millis(50) {
            return Err(usage(format!(
                "an election timeout of {} ms is too short for heartbeats a tenth of it; use at \
                 least 50 ms",
                self.election_timeout.as_millis()
            )));
        }
        Ok(address)
    }
}

fn disk_failure(dir: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure {
        class: FailureClass::Disk,
        what: format!(
            "cannot use the data directory {}: {error}; make it writable, or name another with \
             --data-dir",
            dir.display()
        ),
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let class = match &error {
            OpenError::Damaged { .. } => FailureClass::Damaged,
            OpenError::Io { .. } | OpenError::NoSpace { .. } => FailureClass::Disk,
            OpenError::Locked { .. } => FailureClass::Locked,
            OpenError::ForeignFiles { .. }
            | OpenError::OtherIdentity { .. }
            | OpenError::NotMember { .. } => FailureClass::Identity,
            OpenError::TooNew { .. } => FailureClass::TooNew,
        };
        Self { class, what: error.to_string() }
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        let class = match &error {
            SnapshotError::Io { .. } | SnapshotError::NoSpace { .. } => FailureClass::Disk,
            SnapshotError::TooNew { .. } | SnapshotError::Unusable { .. } => FailureClass::TooNew,
            SnapshotError::Damaged { .. } | SnapshotError::OtherCluster { .. } => {
                FailureClass::Damaged
            }
        };
        Self { class, what: error.to_string() }
    }
}

impl From<Unusable> for Failure {
    fn from(error: Unusable) -> Self {
        let class = match &error {
            Unusable::Membership { .. } => FailureClass::TooNew,
            Unusable::LostTerm { .. } => FailureClass::Damaged,
        };
        Self { class, what: error.to_string() }
    }
}
