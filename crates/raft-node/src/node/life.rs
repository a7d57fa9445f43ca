//! A node's lives: outside of a cluster in the lobby, inside as a member, and out again when it
//! is removed.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use raft_core::{Config, Index, Time};
use raft_log::{DataDir, Disk, MemberIdentity, NodeState, OpenError, Options, Shown, ShownMark};
use rand::RngExt;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use super::helper::Helper;
use super::incoming::{Incoming, Local};
use super::lobby::{self, Left};
use super::output::{Lines, Output};
use super::reactor::{Ended, Parts, Reactor};
use super::site::Site;
use super::wal::Wal;
use super::{Failure, FailureClass};
use crate::address::Address;
use crate::binding::{Binding, Boot};
use crate::notice::Notice;
use crate::replica::{Limits, Machine, Replica, founding, recovered};
use crate::state_machine::Apply;

/// How long a start without room waits before it asks the disk again.
const NO_SPACE_RETRY: Duration = Duration::from_millis(500);

/// What a node owns from life to life.
pub(super) struct Estate {
    pub(super) dir: DataDir,
    pub(super) machine: Box<dyn Apply>,
    pub(super) lines: Lines,
}

/// Runs a node on this thread until it ends.
pub(super) fn run(site: Site, estate: Estate, listeners: Vec<TcpListener>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(system("watch sockets"))?;
    let ended = LocalSet::new().block_on(&runtime, async move {
        site.accept_from(listeners).map_err(system("watch sockets"))?;
        live(site, estate).await
    });
    // A name that is being looked up does not keep a node from ending.
    runtime.shutdown_background();
    ended
}

/// What this server could not do, as a failure.
fn system(doing: &str) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure {
        class: FailureClass::Disk,
        what: format!(
            "cannot {doing}: {error}; see that the disk works and the limits of the system are \
             not reached, then start again"
        ),
    }
}

async fn live(mut site: Site, estate: Estate) -> Result<(), Failure> {
    let Estate { mut dir, machine, lines } = estate;
    let mut output = None;
    let mut fresh = Some((machine, lines));
    let mut machine = None;
    loop {
        let me = match dir.identity().clone() {
            NodeState::Member(me) => me,
            NodeState::New { .. } | NodeState::Removed(..) => {
                match lobby::wait(&mut site, &mut dir).await? {
                    Left::Member(me) => me,
                    Left::Stopped => return Ok(()),
                }
            }
        };
        check_address(&site, &dir, &me)?;
        tell_who(&site, &me);
        let Some(log) = open_log(&mut site, &mut dir).await? else { return Ok(()) };
        for note in &log.recovered.notes {
            site.notices.tell(Notice::Fact(note.clone()));
        }
        if let Some((apply, lines)) = fresh.take() {
            let mark = shown_mark(&site, &dir, log.recovered.last_index)?;
            machine = Some(Machine::new(apply, mark.index(), founding(&me)));
            let started = Output::start(mark, lines, site.notices.clone());
            output = Some(started.map_err(system("start a thread"))?);
        }
        let (Some(kept), Some(out)) = (machine.take(), output.as_ref()) else { return Ok(()) };
        site.begin_life();
        let parts = parts(&site, &me, log, kept, dir.disk())?;
        match Reactor::new(&mut site, me.clone(), parts, out).run().await {
            Ended::Stopped => return Ok(()),
            Ended::Failed(failure) => return Err(failure),
            Ended::Removed { at, machine: kept } => {
                machine = Some(*kept);
                dir.set_identity(NodeState::Removed(me, at))
                    .map_err(system("write into the data directory that it was removed"))?;
            }
        }
    }
}

/// A start on a full disk waits for room: what this member promised is in its log, and it says
/// nothing to anybody before it could write that it is back. `None` if it is asked to stop
/// meanwhile.
async fn open_log(site: &mut Site, dir: &mut DataDir) -> Result<Option<raft_log::Log>, Failure> {
    let mut told = false;
    loop {
        match dir.open_log(Options::default()) {
            Err(error @ OpenError::NoSpace { .. }) => {
                if !std::mem::replace(&mut told, true) {
                    site.notices.tell(Notice::NoSpace { what: error.to_string() });
                }
            }
            other => return Ok(Some(other?)),
        }
        let again = Instant::now() + NO_SPACE_RETRY;
        while Instant::now() < again {
            tokio::select! {
                // Who dials is hung up on, who asks gets no answer.
                Some(incoming) = site.next() => {
                    if matches!(incoming, Incoming::Local(Local::Stop)) {
                        return Ok(None);
                    }
                }
                () = sleep_until(again) => {}
            }
        }
    }
}

/// The others dial the address that is in the configuration, and nobody would be there.
fn check_address(site: &Site, dir: &DataDir, me: &MemberIdentity) -> Result<(), Failure> {
    let given = &site.settings.address;
    if me.address.parse::<Address>().is_ok_and(|address| address.is_same_place(given)) {
        return Ok(());
    }
    Err(Failure {
        class: FailureClass::Identity,
        what: format!(
            "{}: belongs to the member at {}, and this server is to listen at {given}; start it \
             at {}, or name another directory with --data-dir",
            dir.disk().path(".").display(),
            me.address,
            me.address
        ),
    })
}

fn tell_who(site: &Site, me: &MemberIdentity) {
    site.notices.tell(Notice::Fact(format!(
        "member {} of cluster {:016x}",
        me.id,
        (me.cluster >> 64) as u64
    )));
    let founders: Vec<&str> = me.founders.iter().map(|founder| founder.address.as_str()).collect();
    let given = &site.settings.cluster;
    let same = given.len() == founders.len()
        && given.iter().all(|address| founders.contains(&address.to_string().as_str()));
    if !given.is_empty() && !same {
        site.notices.tell(Notice::Fact(format!(
            "the list given with -c is ignored: this directory belongs to a cluster that was \
             founded by {}",
            founders.join(",")
        )));
    }
}

fn parts(
    site: &Site,
    me: &MemberIdentity,
    log: raft_log::Log,
    machine: Machine,
    disk_of: &Arc<dyn Disk>,
) -> Result<Parts, Failure> {
    let origin = Instant::now();
    let wal_wake = Arc::new(Notify::new());
    let timeout = u64::try_from(site.settings.election_timeout.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        election_timeout: timeout,
        heartbeat_interval: (timeout / 10).max(1),
        ..Config::new(me.id)
    };
    let boot_of = |peer: &raft_log::PeerBoot| {
        let boot = Boot { incarnation: peer.incarnation, epoch: peer.epoch, nonce: peer.nonce };
        (peer.id, boot)
    };
    let table = log.recovered.peers.iter().map(boot_of).collect();
    let binding = Binding::new(table, timeout);
    let boot = log.recovered.boot;
    let recovered = recovered(me, &log.recovered)
        .map_err(|error| Failure { class: FailureClass::TooNew, what: error.to_string() })?;
    let seed = rand::rng().random();
    let replica = Replica::new(config, recovered, machine, Limits::default(), seed, Time(0));
    let spares = log.spares.clone();
    let wal = Wal::start(log.writer, Arc::clone(&wal_wake), Arc::clone(&site.observed))
        .map_err(system("start a thread"))?;
    let helper = Helper::start(log.reader, log.spares, Arc::clone(disk_of), site.sender.clone())
        .map_err(system("start a thread"))?;
    Ok(Parts { replica, wal, wal_wake, helper, binding, boot, origin, spares })
}

/// Up to where lines were shown. If that is lost, everything recovered counts as shown: nothing
/// repeats, and a line may be missing, which is said.
fn shown_mark(site: &Site, dir: &DataDir, last_index: Index) -> Result<ShownMark, Failure> {
    let (mut mark, shown) = dir.shown().map_err(system("read which lines were shown"))?;
    if let Shown::Lost(why) = shown {
        site.notices.tell(Notice::Fact(format!(
            "it is not known which lines were shown ({why}): those up to index {last_index} are \
             not shown again"
        )));
        mark.advance(last_index).map_err(system("write which lines were shown"))?;
    }
    Ok(mark)
}
