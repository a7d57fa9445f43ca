//! One run: trouble, then calm, then everything must be well again.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use raft_node::client_core::Op;
use raft_node::{Answer, Reason};
use raft_store::message;

use crate::checkers::Violation;
use crate::client::Client;
use crate::cluster::Cluster;
use crate::faults::T;
use crate::host::address;
use crate::plan::Plan;
use crate::schedule::{Schedule, Trouble};
use crate::trace::Line;

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How long it was, in virtual milliseconds.
    pub time: u64,
    /// Entries committed.
    pub committed: usize,
    /// Commands applied.
    pub commands: usize,
    /// Writes acknowledged.
    pub acknowledged: usize,
    /// How long after the end of all trouble every member took writes, in milliseconds.
    pub healed_after: u64,
    /// How often each probe was reached.
    pub probes: BTreeMap<&'static str, u64>,
    /// How many things happened.
    pub events: u64,
    /// Which trouble came when.
    pub schedule: Option<Schedule>,
    /// How many servers founded the cluster.
    pub members: usize,
    /// How many troubles were due, left out or not: their numbers are below this.
    pub due: u32,
    /// The troubles that were done.
    pub troubles: Vec<Trouble>,
    /// How many of each kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// What happened, if it was wanted.
    pub story: Vec<Line>,
    /// The trace hash: the same for the same plan.
    pub hash: u128,
}

/// A run that went wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What is wrong.
    pub violation: Violation,
    /// When.
    pub time: u64,
    /// How long trouble was to last.
    pub length: u64,
    /// How many servers founded the cluster.
    pub members: usize,
    /// How many troubles were due, left out or not: their numbers are below this.
    pub due: u32,
    /// The troubles that were done.
    pub troubles: Vec<Trouble>,
    /// What happened until then, if it was wanted.
    pub story: Vec<Line>,
}

/// Runs a plan.
///
/// # Errors
/// What was violated.
pub fn run(plan: &Plan, tracing: bool) -> Result<Report, Box<Failure>> {
    let mut cluster = Cluster::new(plan, tracing);
    let ran = catch_unwind(AssertUnwindSafe(|| play(&mut cluster)));
    let healed_after = ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let what = text.unwrap_or("something without words").to_owned();
        cluster.world.checkers.fail("panic", what);
        0
    });
    let world = &mut cluster.world;
    if let Some(violation) = world.checkers.violation().cloned() {
        return Err(Box::new(Failure {
            violation,
            time: world.now().0,
            length: world.settings.trouble,
            members: world.settings.founders,
            due: world.troubles.due,
            troubles: std::mem::take(&mut world.troubles.done),
            story: world.checkers.observer().take_story(),
        }));
    }
    let hash = cluster.hash();
    let world = &mut cluster.world;
    Ok(Report {
        time: world.now().0,
        events: world.events,
        committed: world.checkers.committed(),
        commands: world.checkers.commands(),
        acknowledged: world.checkers.acknowledged(),
        healed_after,
        probes: world.checkers.observer().reached(),
        schedule: Some(world.plan.schedule.unwrap_or(Schedule::Random)),
        members: world.settings.founders,
        due: world.troubles.due,
        troubles: std::mem::take(&mut world.troubles.done),
        kinds: std::mem::take(&mut world.troubles.kinds),
        story: world.checkers.observer().take_story(),
        hash,
    })
}

fn play(cluster: &mut Cluster) -> u64 {
    let trouble = cluster.world.settings.trouble;
    cluster.run_until(cluster.world.now() + trouble);
    cluster.heal();
    let healed = cluster.world.now();
    let patience = if cluster.is_changing() { CHANGE_MAX } else { CALM_MAX };
    await_agreement(cluster, patience);
    let members = cluster.agreed().unwrap_or_default();
    for (host, _) in &members {
        write_through(cluster, *host);
    }
    let healed_after = cluster.world.now() - healed;
    if healed_after > patience {
        let what = format!("every member took a write only {healed_after} ms after all trouble");
        cluster.world.checkers.fail("liveness", what);
    }
    settle(cluster);
    healed_after
}

/// So long after all trouble every member takes writes again.
const CALM_MAX: u64 = 10 * T;

/// A change of members that was under way may take as long as a new member is waited for.
const CHANGE_MAX: u64 = 30 * T;

fn await_agreement(cluster: &mut Cluster, patience: u64) {
    let give_up = cluster.world.now() + patience;
    while let Err(why) = cluster.agreed().and_then(|_| cluster.changes_ended()) {
        if cluster.world.now() >= give_up {
            cluster.world.checkers.fail("liveness", format!("healed, but {why}"));
        }
        if cluster.world.checkers.violation().is_some() {
            return;
        }
        cluster.run_until(cluster.world.now() + 10);
    }
}

/// A fresh write through one member must be acknowledged.
fn write_through(cluster: &mut Cluster, host: usize) {
    if cluster.world.checkers.violation().is_some() {
        return;
    }
    let index = cluster.clients.len();
    let client = Client::new(&mut cluster.world, index, vec![address(host)], 10 * T);
    cluster.clients.push(client);
    let command = message(format!("after all, through {host}").as_bytes());
    cluster.submit(index, Op::Write(command));
    while cluster.clients[index].pending() > 0 && cluster.world.checkers.violation().is_none() {
        cluster.run_until(cluster.world.now() + 10);
    }
    for (op, result) in cluster.clients[index].take_ended() {
        let well = match &result {
            Ok(success) => matches!(success.answer, Answer::Written { .. }),
            // A removal whose client had gone may have been on its way until now.
            Err(error) => {
                matches!(error.reason, Some(Reason::Removed { .. }))
                    && cluster.hosts[host].member().is_none()
            }
        };
        if !well {
            let what = format!("healed, but {op:?} through {} -> {result:?}", address(host));
            cluster.world.checkers.fail("liveness", what);
        }
    }
}

/// Lets everything end, and compares everybody.
fn settle(cluster: &mut Cluster) {
    cluster.rest();
    await_agreement(cluster, CALM_MAX);
    cluster.inspect();
    match cluster.agreed() {
        Ok(members) => {
            let now = cluster.world.now();
            cluster.world.checkers.settled(now, &members);
        }
        Err(why) => cluster.world.checkers.fail("liveness", why),
    }
}
