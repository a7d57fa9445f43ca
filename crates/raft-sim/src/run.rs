//! One run: trouble, then calm, then everything must be well again.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::checkers::Violation;
use crate::cluster::Cluster;
use crate::plan::{Plan, Reach, Storage};
use crate::schedule::{Schedule, Trouble};
use crate::trace::Line;

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Which trouble came when.
    pub schedule: Option<Schedule>,
    /// What disks did at worst.
    pub storage: Storage,
    /// How far the network went.
    pub reach: Reach,
    /// How much happened: wakes of servers and clients, and everything that was on the agenda.
    pub events: u64,
    /// How many servers founded the cluster.
    pub members: usize,
    /// How many troubles were due, left out or not: their numbers are below this.
    pub due: u32,
    /// The troubles that were done.
    pub troubles: Vec<Trouble>,
    /// How many of each kind.
    pub kinds: BTreeMap<&'static str, u64>,
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
            time: world.time().0,
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
        schedule: Some(world.settings.schedule),
        storage: world.settings.storage,
        reach: world.settings.reach,
        events: world.events,
        members: world.settings.founders,
        due: world.troubles.due,
        troubles: std::mem::take(&mut world.troubles.done),
        kinds: std::mem::take(&mut world.troubles.kinds),
        time: world.time().0,
        committed: world.checkers.committed(),
        commands: world.checkers.commands(),
        acknowledged: world.checkers.acknowledged(),
        healed_after,
        probes: world.probes(),
        story: world.checkers.observer().take_story(),
        hash,
    })
}

/// As long as the run is to have it, and until enough has happened.
fn make_trouble(cluster: &mut Cluster) {
    let (begin, t) = (cluster.world.time(), cluster.world.settings.t);
    // No longer, however little happens.
    let trouble_max = 60 * t;
    cluster.run_until(begin + cluster.world.settings.trouble);
    while cluster.world.events < cluster.world.settings.events_min
        && cluster.world.settings.trouble < trouble_max
        && cluster.world.checkers.violation().is_none()
    {
        cluster.world.settings.trouble += t / 10;
        cluster.run_until(begin + cluster.world.settings.trouble);
    }
}

fn play(cluster: &mut Cluster) -> u64 {
    make_trouble(cluster);
    cluster.heal();
    if cluster.world.settings.storage == Storage::Exceeded {
        cluster.wait_and_see();
        return 0;
    }
    // What is written through all members is as good without company, and sooner done.
    cluster.resting |= cluster.world.plan.short;
    let healed = cluster.world.time();
    let patience = cluster.patience();
    let until = cluster.await_agreement(patience);
    cluster.write_through_all(until);
    let healed_after = cluster.world.time() - healed;
    cluster.settle();
    if cluster.world.settings.last_blackout {
        cluster.cut_all_power();
    }
    cluster.inspect();
    healed_after
}
