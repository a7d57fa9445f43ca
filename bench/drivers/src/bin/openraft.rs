//! openraft: three members in one process, without disk and network, asked by so many clients.
//!
//! `openraft --clients N --seconds S`: entries are empty, there is no state, the logs are in
//! memory, and a message is a function call, which is the setting of openraft's own benchmark.
//! The servers have two threads, the clients a third.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Debug};
use std::future::Future;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bench_drivers::{Outcome, flag, tell, worked};
use futures_util::{Stream, StreamExt};
use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};
use openraft::entry::RaftEntry;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::storage::{EntryResponder, IOFlushed, LogState, RaftLogStorage, RaftStateMachine};
use openraft::{
    Config, EmptyNode, OptionalSend, Raft, RaftLogReader, RaftNetworkFactory, RaftNetworkV2,
    RaftSnapshotBuilder, ServerState, SnapshotPolicy,
};
use tokio::runtime::Builder;

const MEMBERS: u64 = 3;
const WARM_UP: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(1);

/// What is written: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Empty;

impl fmt::Display for Empty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("empty")
    }
}

openraft::declare_raft_types!(
    Types:
        D = Empty,
        R = Empty,
        Node = EmptyNode,
);

type Member = Raft<Types, Machine>;

fn main() -> Outcome<()> {
    let (clients, seconds): (usize, f64) = (flag("clients", 1), flag("seconds", 2.0));
    let servers = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let asking = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let members = servers.block_on(start())?;
    let leader = members.lock().map_err(|_| "a member ended")?.get(&1).cloned();
    let leader = leader.ok_or("there is no member 1")?;
    let (goes_on, done) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    for _ in 0..clients {
        let (leader, goes_on, done) = (leader.clone(), Arc::clone(&goes_on), Arc::clone(&done));
        asking.spawn(async move {
            while goes_on.load(Ordering::Relaxed) {
                match leader.client_write(Empty).await {
                    Ok(_) => done.fetch_add(1, Ordering::Relaxed),
                    // Its lease has run out: it leads again after the next heartbeat.
                    Err(_) => {
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                };
            }
        });
    }
    std::thread::sleep(WARM_UP);
    let (begun, before, cpu) = (Instant::now(), done.load(Ordering::Relaxed), worked());
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let count = (done.load(Ordering::Relaxed) - before) as f64;
    let (elapsed, cpu) = (begun.elapsed().as_secs_f64(), worked() - cpu);
    goes_on.store(false, Ordering::Relaxed);
    if count == 0.0 {
        return Err("nothing was written".into());
    }
    tell(&[("per_second", count / elapsed), ("processor_us", cpu * 1e6 / count)]);
    // What the members own is given back by the system.
    std::process::exit(0)
}

/// Founds the cluster, and waits until member 1 leads.
async fn start() -> Outcome<Members> {
    let config = Config {
        heartbeat_interval: 500,
        election_timeout_min: 1_500,
        election_timeout_max: 3_000,
        max_payload_entries: 4_096,
        snapshot_policy: SnapshotPolicy::Never,
        ..Config::default()
    };
    let (config, members) = (Arc::new(config.validate()?), Members::default());
    for id in 1..=MEMBERS {
        let network = Network(Arc::clone(&members));
        let member =
            Raft::new(id, Arc::clone(&config), network, Log::default(), Machine::default()).await?;
        locked(&members).insert(id, member);
    }
    let first = locked(&members).get(&1).cloned().ok_or("there is no member 1")?;
    let nodes: BTreeMap<u64, EmptyNode> = (1..=MEMBERS).map(|id| (id, EmptyNode {})).collect();
    first.initialize(nodes).await?;
    first.wait(Some(Duration::from_secs(10))).state(ServerState::Leader, "a leader").await?;
    // It leads for good when a majority has confirmed its lease.
    while first.client_write(Empty).await.is_err() {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(members)
}

type Members = Arc<Mutex<BTreeMap<u64, Member>>>;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Messages are function calls.
struct Network(Members);

struct Peer {
    members: Members,
    id: u64,
    found: Option<Member>,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Peer;

    async fn new_client(&mut self, id: u64, _: &EmptyNode) -> Peer {
        Peer { members: Arc::clone(&self.0), id, found: None }
    }
}

impl Peer {
    fn member(&mut self) -> Result<Member, RPCError<Types>> {
        if self.found.is_none() {
            self.found = locked(&self.members).get(&self.id).cloned();
        }
        self.found.clone().ok_or_else(|| failed(&io::Error::other("it has not started")))
    }
}

fn failed(error: &(impl std::error::Error + 'static)) -> RPCError<Types> {
    RPCError::Network(NetworkError::new(error))
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = ();

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let member = self.member()?;
        member.append_entries(request).await.map_err(|error| failed(&error))
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let member = self.member()?;
        member.vote(request).await.map_err(|error| failed(&error))
    }

    async fn full_snapshot(
        &mut self,
        _: VoteOf<Types>,
        _: SnapshotOf<Types, ()>,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Err(StreamingError::Network(NetworkError::new(&io::Error::other("nobody is behind"))))
    }
}

/// A log in memory, which begins at index 0 and is never purged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    vote: Option<VoteOf<Types>>,
    entries: VecDeque<EntryOf<Types>>,
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R>(&mut self, range: R) -> io::Result<Vec<EntryOf<Types>>>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let held = locked(&self.0);
        let from = match range.start_bound() {
            Bound::Included(from) => *from as usize,
            Bound::Excluded(before) => *before as usize + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(last) => *last as usize + 1,
            Bound::Excluded(to) => *to as usize,
            Bound::Unbounded => usize::MAX,
        };
        let to = to.min(held.entries.len());
        Ok(held.entries.range(from.min(to)..to).cloned().collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<VoteOf<Types>>> {
        Ok(locked(&self.0).vote)
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let last_log_id = locked(&self.0).entries.back().map(RaftEntry::log_id);
        Ok(LogState { last_purged_log_id: None, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> io::Result<()> {
        locked(&self.0).vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        locked(&self.0).entries.extend(entries);
        callback.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> io::Result<()> {
        let keep = last.map_or(0, |last| last.index as usize + 1);
        locked(&self.0).entries.truncate(keep);
        Ok(())
    }

    async fn purge(&mut self, _: LogIdOf<Types>) -> io::Result<()> {
        Err(io::Error::other("nothing is purged without snapshots"))
    }
}

/// No state but how far it is.
#[derive(Default)]
struct Machine {
    applied: Option<LogIdOf<Types>>,
    membership: StoredMembershipOf<Types>,
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = ();
    type SnapshotBuilder = NoSnapshots;

    async fn applied_state(
        &mut self,
    ) -> io::Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let id = entry.log_id();
            self.applied = Some(id);
            if let Some(membership) = entry.get_membership() {
                self.membership = StoredMembershipOf::<Types>::new(Some(id), membership);
            }
            if let Some(responder) = responder {
                responder.send(Empty);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> NoSnapshots {
        NoSnapshots
    }

    async fn install_snapshot(&mut self, _: &SnapshotMetaOf<Types>, _: ()) -> io::Result<()> {
        Err(io::Error::other("there are no snapshots"))
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<Types, ()>>> {
        Ok(None)
    }
}

struct NoSnapshots;

impl RaftSnapshotBuilder<Types> for NoSnapshots {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, ()>> {
        Err(io::Error::other("there are no snapshots"))
    }
}
