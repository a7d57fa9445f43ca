//! Every schedule makes the trouble that it is named after, and every trouble stands for itself:
//! one that is left out shifts no other.

use std::collections::{BTreeMap, BTreeSet};

use raft_sim::plan::EVENTS_MIN;
use raft_sim::{Plan, Report, Schedule, Storage, run};

fn play(plan: &Plan) -> Report {
    run(plan, false).unwrap_or_else(|failure| {
        panic!(
            "{plan}, at {} ms: {}; replay and shrink it with: cargo run -- sim {plan}",
            failure.time, failure.violation
        )
    })
}

fn of(schedule: Schedule, seed: u64) -> Plan {
    Plan { schedule: Some(schedule), ..Plan::of_seed(seed) }
}

#[test]
fn every_schedule_makes_its_own_trouble_and_enough_happens() {
    for schedule in Schedule::ALL {
        let (mut kinds, mut events) = (BTreeMap::<&str, u64>::new(), 0);
        let runs = 4;
        for seed in 0..runs {
            let report = play(&of(schedule, seed));
            assert_eq!(report.schedule, Some(schedule));
            events += report.events;
            for (kind, count) in report.kinds {
                *kinds.entry(kind).or_default() += count;
            }
        }
        let only: &[&str] = match schedule {
            Schedule::Random => &[],
            Schedule::ChaseTheLeader => &[
                "kill",
                "partition: one alone",
                "partition: one deaf",
                "pause",
                "power cut",
                "retire",
                "torn write",
            ],
            Schedule::ChurnWhileTransferring => &[
                "connection breaks",
                "kill",
                "leaver leads",
                "newcomer dies",
                "retire",
                "socket full",
                "stranger",
            ],
            Schedule::IsolateOne => &["half-open", "partition: one alone", "partition: one deaf"],
            Schedule::Bridge => &["partition: bridge"],
            Schedule::Ring => &["partition: majority ring", "partition: ring"],
            Schedule::Flap => &["flap"],
            Schedule::CrashAll => &["blackout"],
            Schedule::PauseTheLeader => &["pause"],
            Schedule::SlowLeaderDisk | Schedule::FullWindow => &["disk hang"],
        };
        assert!(!kinds.is_empty(), "{schedule}: no trouble");
        let other = kinds.keys().find(|kind| !only.is_empty() && !only.contains(kind));
        assert_eq!(other, None, "{schedule}: {kinds:?}");
        assert!(events / runs >= 1500, "{schedule}: {events} events in {runs} runs");
    }
}

#[test]
fn a_short_run_is_no_longer_than_it_takes() {
    let (mut short, mut long) = (0, 0);
    for seed in 0..30 {
        let plan = Plan { storage: Some(Storage::Tolerated), ..Plan::of_seed(seed) };
        let run = play(&Plan { short: true, ..plan.clone() });
        assert!(run.events >= EVENTS_MIN, "seed {seed}: {} events", run.events);
        assert!(run.due > 0, "seed {seed}: no trouble");
        (short, long) = (short + run.events, long + play(&plan).events);
    }
    assert!(short < long, "{short} events, and in whole runs {long}");
}

#[test]
fn all_power_is_cut_once_more_in_clusters_of_every_size() {
    for members in [1, 2, 3, 5] {
        let cuts = |seed| {
            let plan = Plan { members: Some(members), ..of(Schedule::CrashAll, seed) };
            play(&plan).probes.get("last power cut").copied().unwrap_or_default()
        };
        assert!((0..6).map(cuts).sum::<u64>() > 0, "{members} members");
    }
}

#[test]
fn a_trouble_that_is_left_out_shifts_no_other() {
    for seed in 0..3 {
        let all = play(&of(Schedule::Random, seed));
        let left_out = all.troubles.get(all.troubles.len() / 2).expect("a trouble");
        let without = BTreeSet::from([left_out.number]);
        let less = play(&Plan { without, ..of(Schedule::Random, seed) });
        assert!(less.troubles.iter().all(|trouble| trouble.number != left_out.number));
        assert_eq!(all.due, less.due, "seed {seed}");
        let times: BTreeMap<u32, (u64, &str)> =
            all.troubles.iter().map(|t| (t.number, (t.time, t.kind))).collect();
        for trouble in &less.troubles {
            let same = times.get(&trouble.number).copied();
            // One that found nobody in the whole run may find somebody now.
            assert!(
                same.is_none_or(|same| same == (trouble.time, trouble.kind)),
                "seed {seed}: trouble {} was {same:?} and is {trouble:?}",
                trouble.number
            );
        }
        let before = |report: &Report| {
            let earlier = report.troubles.iter().filter(|t| t.number < left_out.number);
            earlier.cloned().collect::<Vec<_>>()
        };
        assert_eq!(before(&all), before(&less), "seed {seed}");
    }
}

#[test]
fn schedules_are_known_by_their_names() {
    for schedule in Schedule::ALL {
        assert_eq!(schedule.to_string().parse(), Ok(schedule));
    }
    let error = "storm".parse::<Schedule>().expect_err("no such schedule");
    assert!(error.contains("crash-all"), "{error}");
}
