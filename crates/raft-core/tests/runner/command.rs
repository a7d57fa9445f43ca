//! The commands of a script.

use std::sync::Arc;

use raft_core::{Change, Config, HardState, Index, Input, Member, NodeId, RequestId, Term, Ticket};

use super::cluster::Cluster;
use super::node::{Entry, Node};
use super::parse::{At, Id, Ids, Terms, invented_payload};
use super::{assertion, format, inject};

/// What a script can do. `CLUSTER` options are those of `Config` beside the few named here.
#[derive(Clone, Debug, goldenscript::Command)]
pub(crate) enum Command {
    /// Founds n1 to nN. They run and are connected unless `stopped`; `leader=n1` elects it and
    /// lets everything settle; `apply=manual` leaves `Applied` to the script.
    Cluster {
        word: Option<String>,
        #[arg(key)]
        n: u64,
        #[arg(key)]
        learners: Option<u64>,
        #[arg(key)]
        leader: Option<Id>,
        #[arg(key)]
        apply: Option<String>,
        #[arg(key)]
        seed: Option<u64>,
        #[arg(key)]
        append_bytes_max: Option<u64>,
        #[arg(key)]
        inflight_bytes_max: Option<u64>,
        #[arg(key)]
        inflight_appends_max: Option<usize>,
        #[arg(key)]
        tail_bytes_max: Option<u64>,
        #[arg(key)]
        join_patience: Option<u64>,
    },
    /// Sets what a stopped member has on its disk: `disk n1 term=3 vote=n2 log="1 1 2x5"`.
    Disk {
        id: Id,
        word: Option<String>,
        #[arg(key)]
        term: Option<u64>,
        #[arg(key)]
        vote: Option<Id>,
        #[arg(key)]
        log: Option<Terms>,
        #[arg(key)]
        commit: Option<u64>,
    },
    /// Starts stopped or crashed members from their disks; all of them without a name.
    Restart(#[arg(pos, many, optional)] Vec<Id>),
    /// Starts a member that was added later, with an empty disk.
    Join(Id),
    /// Kills a member: what was not persisted is gone, its connections are reset. `kept=2`: the
    /// two oldest unfinished writes reached the disk. `silent`: the machine is gone, nobody
    /// notices.
    Crash {
        id: Id,
        word: Option<String>,
        #[arg(key)]
        kept: Option<usize>,
    },
    /// Lets time pass, firing every deadline on the way; nothing is delivered or persisted.
    Tick(u64),
    /// Lets time pass in a live cluster, where messages and disks take no time, and shows only
    /// what is more than a message or a write.
    Run(u64),
    /// Goes to the member's deadline and fires it.
    Timeout(Id),
    /// Delivers what is in flight now: to a member, from a member, the oldest `n` of it, or only
    /// the one at place `nth` (from 0). With `copy` it stays in flight.
    Deliver {
        to: Option<Id>,
        word: Option<String>,
        #[arg(key)]
        from: Option<Id>,
        #[arg(key)]
        n: Option<usize>,
        #[arg(key)]
        nth: Option<usize>,
    },
    /// Loses what is in flight; chosen as in `deliver`.
    Drop {
        to: Option<Id>,
        #[arg(key)]
        from: Option<Id>,
        #[arg(key)]
        n: Option<usize>,
        #[arg(key)]
        nth: Option<usize>,
    },
    /// Shows what is in flight.
    Flight,
    /// Cuts each group from the others and from those not named: `partition n1,n2`.
    Partition(Vec<Ids>),
    /// Cuts one direction only.
    Cut(Id, Id),
    /// All pairs hear each other again, on the same connections.
    Heal,
    /// Finishes writes: all, those up to a ticket, or the oldest `n`.
    Persist {
        id: Option<Id>,
        #[arg(key)]
        upto: Option<u64>,
        #[arg(key)]
        n: Option<usize>,
    },
    /// The disks of these members finish nothing any more, except by `persist` with a name.
    Hang(Vec<Id>),
    /// They work again.
    Unhang(Vec<Id>),
    /// Delivers, persists and reads until all is quiet, among these members or all.
    Stabilize(#[arg(pos, many, optional)] Vec<Id>),
    /// The connection that the first dialled to the second: `up` or `down`.
    Link(Id, Id, String),
    /// A dial of the first to the second was refused.
    Refused(Id, Id),
    /// The socket of the first to the second takes bytes: `yes` or `no`.
    Writable(Id, Id, String),
    /// The socket of the first to the second took entries.
    Sent {
        id: Id,
        peer: Id,
        #[arg(key)]
        through: u64,
        #[arg(key)]
        bytes: Option<u64>,
    },
    /// Proposes commands of some size; the defaults are one of 100 bytes.
    Propose {
        id: Id,
        #[arg(key)]
        count: Option<usize>,
        #[arg(key)]
        size: Option<u32>,
    },
    /// Clients of a member read; the numbers go on by themselves.
    Read {
        id: Id,
        #[arg(key)]
        count: Option<u64>,
    },
    /// Writes a snapshot at an index and compacts it, but for the last `keep` entries.
    Compact {
        id: Id,
        at: u64,
        #[arg(key)]
        keep: Option<u64>,
    },
    /// The first one's newest snapshot, or the one at `at`, is complete at the second: of the first
    /// one's term, or of `term`.
    Install {
        from: Id,
        to: Id,
        #[arg(key)]
        at: Option<u64>,
        #[arg(key)]
        term: Option<u64>,
    },
    /// The first one learns what became of its snapshot: `snapshot n1 n3 sent through=5`, `failed`
    /// or `taken`.
    Snapshot {
        id: Id,
        peer: Id,
        word: String,
        #[arg(key)]
        through: Option<u64>,
    },
    /// The state machine has applied everything up to here.
    Applied(Id, u64),
    /// Says once more that everything up to a ticket is durable.
    Persisted(Id, u64),
    /// Answers the member's oldest read, with at most `n` entries, or with `wrong` ones.
    #[command(name = "read-log")]
    ReadLog {
        id: Id,
        word: Option<String>,
        #[arg(key)]
        n: Option<usize>,
    },
    /// Asks to add a member: `add n1 9994 request=1`.
    Add {
        id: Id,
        address: String,
        #[arg(key)]
        request: u128,
        #[arg(key)]
        incarnation: Option<u128>,
    },
    /// Asks to remove a member.
    Remove {
        id: Id,
        peer: Id,
        #[arg(key)]
        request: u128,
    },
    /// Asks to take a member's vote.
    Demote {
        id: Id,
        peer: Id,
        #[arg(key)]
        request: u128,
    },
    /// Asks to replace a member by the one at an address.
    Replace {
        id: Id,
        peer: Id,
        address: String,
        #[arg(key)]
        request: u128,
        #[arg(key)]
        incarnation: Option<u128>,
    },
    /// Says that a member is at another address, with the incarnation that it was founded or added
    /// with.
    Update {
        id: Id,
        peer: Id,
        address: String,
        #[arg(key)]
        request: u128,
        #[arg(key)]
        incarnation: Option<u128>,
    },
    /// Asks to hand leadership over.
    Transfer(Id, Option<Id>),
    /// Makes up a message: `inject n2 n1 append term=2 prev=1@1 entries="2 2" commit=1`.
    Inject {
        from: Id,
        to: Id,
        kind: String,
        word: Option<String>,
        #[arg(key)]
        term: u64,
        #[arg(key)]
        last: Option<At>,
        #[arg(key)]
        prev: Option<At>,
        #[arg(key)]
        entries: Option<Terms>,
        #[arg(key)]
        commit: Option<u64>,
        #[arg(key)]
        index: Option<u64>,
        #[arg(key)]
        round: Option<u64>,
        #[arg(key)]
        request: Option<u64>,
    },
    /// One line about each member.
    Status(#[arg(pos, many, optional)] Vec<Id>),
    /// The log of each member, in memory.
    Log(#[arg(pos, many, optional)] Vec<Id>),
    /// What each member would find after a crash.
    Durable(#[arg(pos, many, optional)] Vec<Id>),
    /// The configuration in force at each member.
    Membership(#[arg(pos, many, optional)] Vec<Id>),
    /// Requires facts: `assert n1 n2 role=follower commit=3`. See `assertion.rs`.
    Assert(Vec<Id>, #[arg(key, many)] Vec<(String, String)>),
}

type Done = Result<(), String>;

/// Runs a command; true if its output is to be a summary.
pub(crate) fn run(cluster: &mut Cluster, command: &Command) -> Result<bool, String> {
    match command.clone() {
        Command::Cluster { .. } => found(cluster, command)?,
        Command::Deliver { to, word, from, n, nth } => {
            let copy = word.as_deref() == Some("copy");
            for envelope in pick(cluster, to, from, n, nth, !copy) {
                cluster.receive(&envelope)?;
            }
        }
        Command::Drop { to, from, n, nth } => {
            for lost in pick(cluster, to, from, n, nth, true) {
                let text = format::message(&lost.message);
                cluster.say(true, format!("{} ✗ {}  {text}", lost.from, lost.to));
            }
        }
        Command::Run(millis) => {
            cluster.pass(millis, true)?;
            return Ok(true);
        }
        Command::Tick(millis) => cluster.pass(millis, false)?,
        Command::Timeout(id) => cluster.timeout(id.0)?,
        Command::Persist { id, upto, n } => {
            let mut ids = named(cluster, &id.into_iter().collect::<Vec<_>>());
            ids.retain(|at| id.is_some() || !cluster.hung.contains(at));
            for id in ids {
                cluster.persist(id, upto, n.unwrap_or(usize::MAX))?;
            }
        }
        Command::Stabilize(ids) => {
            let ids = named(cluster, &ids);
            cluster.stabilize(&ids)?;
        }
        Command::Hang(ids) => cluster.hung.extend(ids.iter().map(|id| id.0)),
        Command::Unhang(ids) => cluster.hung.retain(|id| !ids.contains(&Id(*id))),
        Command::ReadLog { .. }
        | Command::Propose { .. }
        | Command::Read { .. }
        | Command::Compact { .. }
        | Command::Install { .. } => bring(cluster, command)?,
        Command::Inject { .. } => inject::inject(cluster, command)?,
        Command::Assert(ids, facts) => {
            for id in ids {
                assertion::check(cluster.node(id.0)?, cluster.now, &facts)?;
            }
        }
        Command::Disk { .. } | Command::Restart(_) | Command::Join(_) | Command::Crash { .. } => {
            life(cluster, command)?
        }
        Command::Flight
        | Command::Status(_)
        | Command::Log(_)
        | Command::Durable(_)
        | Command::Membership(_) => show(cluster, command)?,
        Command::Partition(_) | Command::Cut(..) | Command::Heal | Command::Link(..) => {
            wire(cluster, command)?
        }
        Command::Refused(..)
        | Command::Writable(..)
        | Command::Sent { .. }
        | Command::Snapshot { .. }
        | Command::Applied(..)
        | Command::Persisted(..)
        | Command::Add { .. }
        | Command::Remove { .. }
        | Command::Demote { .. }
        | Command::Replace { .. }
        | Command::Update { .. }
        | Command::Transfer(..) => input(cluster, command)?,
    }
    Ok(false)
}

/// What comes with more than the core sees: payloads, numbers, files.
fn bring(cluster: &mut Cluster, command: &Command) -> Done {
    match command.clone() {
        Command::ReadLog { id, word, n } => {
            let skew = u64::from(word.as_deref() == Some("wrong"));
            cluster.answer_read(id.0, n.unwrap_or(usize::MAX), skew)
        }
        Command::Propose { id, count, size } => {
            cluster.propose(id.0, vec![size.unwrap_or(100); count.unwrap_or(1)])
        }
        Command::Read { id, count } => cluster.read(id.0, count.unwrap_or(1)),
        Command::Compact { id, at, keep } => cluster.compact(id.0, at, keep.unwrap_or(0)),
        Command::Install { from, to, at, term } => cluster.install(from.0, to.0, at, term),
        _ => Ok(()),
    }
}

fn found(cluster: &mut Cluster, command: &Command) -> Done {
    let Command::Cluster {
        word,
        n,
        learners,
        leader,
        apply,
        seed,
        append_bytes_max,
        inflight_bytes_max,
        inflight_appends_max,
        tail_bytes_max,
        join_patience,
    } = command.clone()
    else {
        return Ok(());
    };
    let mut config = Config::new(NodeId(1));
    config.append_bytes_max = append_bytes_max.unwrap_or(config.append_bytes_max);
    config.inflight_bytes_max = inflight_bytes_max.unwrap_or(config.inflight_bytes_max);
    config.inflight_appends_max = inflight_appends_max.unwrap_or(config.inflight_appends_max);
    config.tail_bytes_max = tail_bytes_max.unwrap_or(config.tail_bytes_max);
    config.join_patience = join_patience.unwrap_or(config.join_patience);
    cluster.seed = seed.unwrap_or(1);
    cluster.applies_itself = apply.as_deref() != Some("manual");
    cluster.found(n, learners.unwrap_or(0), &config);
    if word.as_deref() == Some("stopped") {
        return Ok(());
    }
    start_all(cluster)?;
    if let Some(Id(leader)) = leader {
        if !cluster.node(leader)?.raft.as_ref().is_some_and(|raft| raft.is_leader()) {
            cluster.timeout(leader)?;
        }
        let all = cluster.running();
        cluster.stabilize(&all)?;
        cluster.lines.clear();
        let led = cluster.node(leader)?.raft.as_ref().is_some_and(|raft| raft.is_leader());
        return if led { Ok(()) } else { Err(format!("{leader} was not elected")) };
    }
    Ok(())
}

fn start_all(cluster: &mut Cluster) -> Done {
    let stopped: Vec<NodeId> =
        cluster.nodes.values().filter(|node| node.raft.is_none()).map(Node::id).collect();
    stopped.into_iter().try_for_each(|id| cluster.start(id))
}

/// The members named, or all that run.
fn named(cluster: &Cluster, ids: &[Id]) -> Vec<NodeId> {
    if ids.is_empty() { cluster.running() } else { ids.iter().map(|id| id.0).collect() }
}

/// What a member finds on its disk, and its starts and ends.
fn life(cluster: &mut Cluster, command: &Command) -> Done {
    match command.clone() {
        Command::Disk { id, word, term, vote, log, commit } => {
            let node = cluster.node_mut(id.0)?;
            if node.raft.is_some() {
                return Err(format!("{} runs", id.0));
            }
            let entries = log.unwrap_or_default().0.into_iter().zip(1..);
            let entry = |(meta, index): (raft_core::EntryMeta, u64)| {
                let payload = invented_payload(index, meta.term);
                Entry { meta, payload }
            };
            node.disk.log = entries.map(entry).collect();
            let last = node.disk.log.last().map_or(0, |entry| entry.meta.term.0);
            let term = Term(term.unwrap_or(last));
            node.disk.hard_state = HardState { term, voted_for: vote.map(|id| id.0) };
            node.disk.commit_hint = commit.unwrap_or(0);
            node.ambiguous = word.as_deref() == Some("ambiguous");
            Ok(())
        }
        Command::Restart(ids) if ids.is_empty() => start_all(cluster),
        Command::Restart(ids) => ids.into_iter().try_for_each(|id| cluster.start(id.0)),
        Command::Join(Id(id)) => {
            let like = cluster.nodes.values().next().ok_or("no cluster")?;
            let config = Config { id, ..like.config.clone() };
            let founders = Arc::clone(&like.founders);
            cluster.nodes.insert(id, Node::new(config, founders));
            cluster.start(id)
        }
        Command::Crash { id: Id(id), word, kept } => {
            cluster.node_mut(id)?.crash(kept.unwrap_or(0));
            if word.as_deref() == Some("silent") {
                return Ok(());
            }
            for peer in cluster.running() {
                cluster.link(id, peer, false)?;
                cluster.link(peer, id, false)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Takes messages out of flight, or copies of them.
fn pick(
    cluster: &mut Cluster,
    to: Option<Id>,
    from: Option<Id>,
    n: Option<usize>,
    nth: Option<usize>,
    take: bool,
) -> Vec<super::network::Envelope> {
    let mut place = 0;
    let mut picked = Vec::new();
    cluster.network.flight.retain(|envelope| {
        let matches = to.is_none_or(|to| to.0 == envelope.to)
            && from.is_none_or(|from| from.0 == envelope.from);
        if !matches {
            return true;
        }
        let wanted = nth.map_or_else(|| n.is_none_or(|n| place < n), |nth| nth == place);
        place += 1;
        if wanted {
            picked.push(envelope.clone());
        }
        !(wanted && take)
    });
    picked
}

/// What the network does.
fn wire(cluster: &mut Cluster, command: &Command) -> Done {
    match command.clone() {
        Command::Partition(groups) => {
            let group = |id: NodeId| groups.iter().position(|group| group.0.contains(&id));
            let all: Vec<NodeId> = cluster.nodes.keys().copied().collect();
            for from in &all {
                for to in all.iter().filter(|to| group(*from) != group(**to)) {
                    cluster.network.cut(*from, *to);
                }
            }
            Ok(())
        }
        Command::Cut(from, to) => {
            cluster.network.cut(from.0, to.0);
            Ok(())
        }
        Command::Heal => {
            cluster.network.cut.clear();
            Ok(())
        }
        Command::Link(dialler, peer, word) => cluster.link(dialler.0, peer.0, word == "up"),
        _ => Ok(()),
    }
}

/// What happens to one member.
fn input(cluster: &mut Cluster, command: &Command) -> Done {
    let (id, input) = match command.clone() {
        Command::Refused(id, Id(peer)) => (id, Input::Refused { peer }),
        Command::Writable(id, Id(peer), word) => {
            (id, Input::Writable { peer, writable: word == "yes" })
        }
        Command::Sent { id, peer: Id(peer), through, bytes } => {
            (id, Input::Sent { peer, through: Index(through), bytes: bytes.unwrap_or(0) })
        }
        Command::Snapshot { id, peer: Id(peer), word, through } => {
            let through = Index(through.unwrap_or(0));
            (
                id,
                match word.as_str() {
                    "sent" => Input::SnapshotSent { peer, through },
                    "failed" => Input::SnapshotFailed { peer },
                    _ => Input::SnapshotTaken { peer },
                },
            )
        }
        Command::Persisted(id, ticket) => (id, Input::Persisted(Ticket(ticket))),
        Command::Applied(id, index) => (id, Input::Applied(Index(index))),
        Command::Add { id, address, request, incarnation } => {
            let change = Change::Add(member(&address, incarnation));
            (id, Input::ChangeMembership { request: RequestId(request), change })
        }
        Command::Remove { id, peer, request } => {
            let change = Change::Remove(peer.0);
            (id, Input::ChangeMembership { request: RequestId(request), change })
        }
        Command::Demote { id, peer, request } => {
            let change = Change::Demote(peer.0);
            (id, Input::ChangeMembership { request: RequestId(request), change })
        }
        Command::Replace { id, peer, address, request, incarnation } => {
            let change = Change::Replace { old: peer.0, new: member(&address, incarnation) };
            (id, Input::ChangeMembership { request: RequestId(request), change })
        }
        Command::Update { id, peer, address, request, incarnation } => {
            let founded = u128::from(peer.0.0);
            let member = member(&address, incarnation.or(Some(founded)));
            let change = Change::Update { id: peer.0, member };
            (id, Input::ChangeMembership { request: RequestId(request), change })
        }
        Command::Transfer(id, to) => (id, Input::TransferLeadership { to: to.map(|to| to.0) }),
        _ => return Ok(()),
    };
    cluster.step(id.0, input)
}

/// Whoever is at a port; its incarnation is the port, if nothing else is said.
fn member(address: &str, incarnation: Option<u128>) -> Member {
    let incarnation = incarnation.or_else(|| address.parse().ok()).unwrap_or(0);
    Member { address: format!(":{address}"), incarnation }
}

fn show(cluster: &mut Cluster, command: &Command) -> Done {
    if matches!(command, Command::Flight) {
        for e in cluster.network.flight.clone() {
            cluster.say(true, format!("{} → {}  {}", e.from, e.to, format::message(&e.message)));
        }
        return Ok(());
    }
    let (Command::Status(ids)
    | Command::Log(ids)
    | Command::Durable(ids)
    | Command::Membership(ids)) = command
    else {
        return Ok(());
    };
    let all: Vec<NodeId> = cluster.nodes.keys().copied().collect();
    let ids = if ids.is_empty() { all } else { ids.iter().map(|id| id.0).collect() };
    for id in ids {
        let node = cluster.node(id)?;
        let text = match command {
            Command::Status(_) => format::status(node),
            Command::Log(_) => format!("{id}  {}", format::log(&node.log)),
            Command::Durable(_) => {
                format!("{id}  {}  {}", node.disk.hard_state, format::log(&node.disk.log))
            }
            _ => format!("{id}  {}", node.membership()),
        };
        cluster.say(true, text);
    }
    Ok(())
}
