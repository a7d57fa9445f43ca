//! A node's lives: outside of a cluster in the lobby, inside as a member, and out again when it
//! is removed.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use raft_core::Config;
use raft_log::{DataDir, MemberIdentity, NodeState, OpenError, Options};
use rand::RngExt;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use super::incoming::{Incoming, Local};
use super::output::{Lines, Output};
use super::reactor::{Reactor, Works};
use super::site::Site;
use super::wal::Wal;
use super::{Failure, FailureClass, helper, snapshots};
use crate::notice::Notice;
use crate::replica::{Limits, Machine, founding, recovered, shown_mark};
use crate::resident::{Lobby, Member, Next, Resident, Room, Start};
use crate::snapshots::go_on;
use crate::state_machine::Apply;

/// How long a start without room waits before it asks the disk again.
const NO_SPACE_RETRY: Duration = Duration::from_millis(500);

/// What a node owns from life to life.
pub(super) struct Estate {
    pub(super) dir: DataDir,
    pub(super) machine: Box<dyn Apply>,
    pub(super) lines: Lines,
    pub(super) limits: Limits,
    /// The operator says that the member of this directory listens here from now on.
    pub(super) moved: bool,
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
    let Estate { mut dir, machine, lines, limits, moved } = estate;
    let mut output = None;
    let mut fresh = Some((machine, lines));
    let mut machine = None;
    loop {
        site.begin_life();
        let seed = rand::rng().random();
        let wal_wake = Arc::new(Notify::new());
        let (resident, works) = match dir.identity().clone() {
            NodeState::Member(mut me) => {
                site.settings.introduce(&me).for_each(|notice| site.notices.tell(notice));
                let Some(log) = open_log(&mut site, &mut dir).await? else { return Ok(()) };
                for note in &log.recovered.notes {
                    site.notices.tell(Notice::Fact(note.clone()));
                }
                if let Some((apply, lines)) = fresh.take() {
                    let (mark, lost) = shown_mark(&dir, log.recovered.last_index)
                        .map_err(system("read or write which lines were shown"))?;
                    lost.into_iter().for_each(|notice| site.notices.tell(notice));
                    machine = Some(Machine::new(apply, mark.index(), founding(&me)));
                    let started = Output::start(mark, lines, site.notices.clone());
                    output = Some(started.map_err(system("start a thread"))?);
                }
                let Some(machine) = machine.take() else { return Ok(()) };
                let (machine, damaged) = go_on(&log, machine)?;
                damaged.into_iter().for_each(|notice| site.notices.tell(notice));
                settle(&site, &mut dir, &mut me, (&log, &machine), moved)?;
                let (member, works) =
                    enrol(&site, &dir, (me, log, machine), (seed, limits.clone(), &wal_wake))?;
                (Resident::Member(Box::new(member)), Some(works))
            }
            state => {
                let lobby = Lobby::new(site.settings.clone(), &state, seed, site.now());
                (Resident::Lobby(Box::new(lobby)), None)
            }
        };
        let threads = (works, wal_wake);
        let reactor = Reactor::new((&mut site, &mut dir), output.as_ref(), resident, threads);
        match reactor.run().await? {
            Next::Stop => return Ok(()),
            Next::Misfit(what) => return Err(Failure { class: FailureClass::Identity, what }),
            Next::Halted(what) => return Err(Failure { class: FailureClass::TooNew, what }),
            Next::Live(Some(left)) => {
                let (state, kept) = *left;
                machine = Some(kept);
                dir.set_identity(state)
                    .map_err(system("write into the data directory that it was removed"))?;
            }
            Next::Live(None) => {}
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

/// A member starts where its directory says, or where the others look for it by its own log, or
/// where its operator says: from then on the directory says so, too.
fn settle(
    site: &Site,
    dir: &mut DataDir,
    me: &mut MemberIdentity,
    (log, machine): (&raft_log::Log, &Machine),
    moved: bool,
) -> Result<(), Failure> {
    let settings = &site.settings;
    if settings.is_place_of(me) {
        return Ok(());
    }
    let known = recovered(me, &log.recovered, machine.base())?;
    let known = known.memberships.last().and_then(|(_, membership)| membership.members.get(&me.id));
    let is_known = known.is_some_and(|member| settings.is_place(&member.address));
    if moved || is_known {
        me.address = settings.address.to_string();
        return dir
            .set_identity(NodeState::Member(me.clone()))
            .map_err(system("write the member's new address into the data directory"));
    }
    Err(Failure {
        class: FailureClass::Identity,
        what: format!(
            "{}: belongs to the member at {}, and this server is to listen at {}; start it at {}, \
             name another directory with --data-dir, or move the member: raft member update {} {}, \
             then start it here with --moved",
            dir.disk().path(".").display(),
            me.address,
            settings.address,
            me.address,
            me.id,
            settings.address
        ),
    })
}

/// A member on its log, and the threads that work for it.
fn enrol(
    site: &Site,
    dir: &DataDir,
    (me, log, machine): (MemberIdentity, raft_log::Log, Machine),
    (seed, limits, wal_wake): (u64, Limits, &Arc<Notify>),
) -> Result<(Member, Works), Failure> {
    let timeout = site.settings.election_timeout;
    let config = Config {
        election_timeout: timeout,
        heartbeat_interval: (timeout / 10).max(1),
        ..Config::new(me.id)
    };
    let start = Start {
        settings: site.settings.clone(),
        config,
        limits,
        me,
        log: &log.recovered,
        machine,
        room: Room::of(&log.spares),
        seed,
        now: site.now(),
    };
    let member = Member::new(start).map_err(Failure::from)?;
    let spares = log.spares.clone();
    let wal = Wal::start(log.writer, Arc::clone(wal_wake), Arc::clone(&site.observed))
        .map_err(system("start a thread"))?;
    let disk = Arc::clone(dir.disk());
    let helper = helper::start(log.reader, log.spares, disk, site.sender.clone())
        .map_err(system("start a thread"))?;
    let snapshots =
        snapshots::start(log.snapshots, site.sender.clone()).map_err(system("start a thread"))?;
    Ok((member, Works { wal, helper, snapshots, spares }))
}
