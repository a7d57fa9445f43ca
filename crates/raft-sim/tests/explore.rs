//! Every state of small worlds, closed: see `raft_sim::explore`. `RAFT_TEST_LONG=1` closes larger
//! ones. Each is a test; one of them alone, with what it counts:
//! `cargo test -p raft-sim --test explore crash -- --nocapture`.

#![allow(clippy::print_stdout, reason = "counts are what these tests are for")]

use std::time::Instant;

use raft_sim::explore::{Bounds, Closure, Fault, explore};

/// Two terms, so that a new leader meets what an old one left behind; and only two campaigns.
const TWO_TERMS: Bounds = Bounds { terms: 2, campaigns: 2, ..ONE_TERM };
const ONE_TERM: Bounds = Bounds {
    members: 3,
    terms: 1,
    campaigns: 3,
    proposals: 0,
    crashes: 0,
    reconnects: 0,
    removals: 0,
    heartbeats: false,
    pre_votes: false,
    one_entry_a_message: false,
    slow_reads: false,
    whole_messages: false,
    symmetry: true,
    fault: None,
    states_max: 400_000_000,
};
/// More campaigns than two terms have room for.
const ANY: u8 = 9;

fn long() -> bool {
    std::env::var_os("RAFT_TEST_LONG").is_some()
}

/// Visits everything, and wants it to be right, and no less than it once was: a search that stops
/// seeing states would be green for ever.
fn close(name: &str, bounds: &Bounds, at_least: u64) -> Closure {
    let start = Instant::now();
    let closure = explore(bounds, &mut |progress| {
        if long() && progress.depth.is_multiple_of(5) {
            println!("{name}: {} deep, {} states", progress.depth, progress.states);
        }
    });
    println!("{name}: {bounds}: {closure}, {:.1} s", start.elapsed().as_secs_f64());
    if let Some(violation) = &closure.violation {
        panic!("{name}: {violation}");
    }
    assert!(closure.closed, "{name}: more states than {}", bounds.states_max);
    assert!(closure.states >= at_least, "{name}: fewer states than {at_least}");
    closure
}

/// A command, and a process that dies anywhere on its way.
#[test]
fn crash() {
    close("crash", &Bounds { proposals: 1, crashes: 1, ..TWO_TERMS }, 9_000_000);
}

/// Two commands of one leader, and a process that dies.
#[test]
fn commands() {
    close("commands", &Bounds { proposals: 2, crashes: 1, ..ONE_TERM }, 8_000_000);
}

/// As many campaigns as two terms have room for.
#[test]
fn rivals() {
    close("rivals", &Bounds { campaigns: ANY, proposals: 1, ..TWO_TERMS }, 2_000_000);
}

/// The same without a command, with a process that dies.
#[test]
fn rivals_and_a_crash() {
    close("rivals and a crash", &Bounds { campaigns: ANY, crashes: 1, ..TWO_TERMS }, 4_000_000);
}

/// Two processes that die, or one that dies twice.
#[test]
fn two_crashes() {
    close("two crashes", &Bounds { crashes: 2, ..TWO_TERMS }, 3_000_000);
}

/// Heartbeats at any time.
#[test]
fn heartbeats() {
    close("heartbeats", &Bounds { heartbeats: true, ..TWO_TERMS }, 1_500_000);
}

/// A process dies, and a pair's connections break: also those of the process that died, later than
/// everybody else's.
#[test]
fn reconnect() {
    close("reconnect", &Bounds { reconnects: 1, crashes: 1, ..TWO_TERMS }, 3_000_000);
}

/// A leader reads from its disk what a follower lacks, and that takes its time.
#[test]
fn slow_reads() {
    close("slow reads", &Bounds { slow_reads: true, reconnects: 1, ..TWO_TERMS }, 250_000);
}

/// Nobody looks at what messages are stripped of elsewhere: with all of it, members come into the
/// same states and no others.
#[test]
fn whole_messages() {
    let one_term = Bounds { campaigns: 2, proposals: 1, crashes: 1, ..ONE_TERM };
    for (bounds, at_least) in [(one_term, 49_000), (TWO_TERMS, 39_000)] {
        let stripped = close("stripped", &bounds, 1);
        let whole = close("whole", &Bounds { whole_messages: true, ..bounds }, at_least);
        assert_eq!(whole.member_states, stripped.member_states);
    }
}

/// Pre-votes as messages, and loyal voters.
#[test]
fn pre_votes() {
    close("pre-votes", &Bounds { pre_votes: true, campaigns: 3, ..TWO_TERMS }, 800_000);
    close("pre-votes and a crash", &Bounds { pre_votes: true, crashes: 1, ..TWO_TERMS }, 600_000);
}

/// A member is removed, through the joint configuration, and processes die.
#[test]
fn removal() {
    close("removal", &Bounds { removals: 1, crashes: 1, campaigns: 1, ..ONE_TERM }, 650_000);
}

/// What takes minutes each, and gigabytes.
fn close_if_long(name: &str, bounds: &Bounds, at_least: u64) {
    if long() {
        close(name, bounds, at_least);
    }
}

/// Four entries: a command of each leader, or two of one.
#[test]
fn large_two_commands() {
    close_if_long("two commands", &Bounds { proposals: 2, ..TWO_TERMS }, 25_000_000);
}

/// The same as [`crash`], with as many campaigns as two terms have room for.
#[test]
fn large_rivals_and_a_crash() {
    let bounds = Bounds { campaigns: ANY, proposals: 1, crashes: 1, ..TWO_TERMS };
    close_if_long("rivals, a command and a crash", &bounds, 1);
}

/// A command, and two processes that die.
#[test]
fn large_two_crashes() {
    close_if_long(
        "two crashes and a command",
        &Bounds { proposals: 1, crashes: 2, ..TWO_TERMS },
        1,
    );
}

/// Three terms: what two former leaders left behind.
#[test]
fn large_three_terms() {
    close_if_long("three terms", &Bounds { terms: 3, campaigns: 3, ..ONE_TERM }, 4_500_000);
}

/// A member is removed, and the leader that began it may be replaced.
#[test]
fn large_removal() {
    close_if_long("removal in two terms", &Bounds { removals: 1, ..TWO_TERMS }, 3_300_000);
}

/// Pre-votes as messages, a command and a process that dies.
#[test]
fn large_pre_votes() {
    let bounds = Bounds { pre_votes: true, proposals: 1, crashes: 1, ..TWO_TERMS };
    close_if_long("pre-votes, a command and a crash", &bounds, 12_000_000);
}

/// Heartbeats go on while a leader reads from its disk. Only here, an acknowledgement beyond what was
/// verified and a commit beyond what the message covers do harm.
#[test]
fn large_slow_reads() {
    let bounds = Bounds { slow_reads: true, heartbeats: true, reconnects: 1, ..TWO_TERMS };
    close_if_long("slow reads and heartbeats", &Bounds { whole_messages: true, ..bounds }, 1);
}

/// Heartbeats with all that they carry.
#[test]
fn large_whole_messages() {
    let bounds = Bounds { whole_messages: true, heartbeats: true, ..TWO_TERMS };
    close_if_long("whole messages and heartbeats", &bounds, 1);
}

/// Messages that carry one entry each, so that a follower lies further behind.
#[test]
fn large_one_by_one() {
    let bounds = Bounds { one_entry_a_message: true, proposals: 1, ..TWO_TERMS };
    close_if_long("one entry a message", &bounds, 1_000_000);
}

/// Names do not matter: with and without them, the same worlds.
#[test]
fn symmetry_loses_nothing() {
    let bounds = Bounds { campaigns: 2, proposals: 1, crashes: 1, ..ONE_TERM };
    let with = close("symmetric", &bounds, 1);
    let without = close("by name", &Bounds { symmetry: false, ..bounds }, 1);
    assert_eq!(with.deepest, without.deepest);
    // Six names for each state, less where two members are in the same state.
    assert!(without.states <= 6 * with.states && without.states > 5 * with.states);
}

/// A search that sees nothing finds nothing: drivers that lie are found out, each by its rule.
#[test]
fn what_a_driver_does_wrong_is_found() {
    let bounds = Bounds { proposals: 1, crashes: 1, ..ONE_TERM };
    let found = [
        (Fault::ConfirmsEarly, "R1: n1 speaks of term 1 before it is durable"),
        (Fault::SkipsWrites, "a log with a gap is written"),
        (Fault::ForgetsVote, "election safety: "),
        (Fault::LosesTail, "without a quorum of disks"),
    ];
    for (fault, rule) in found {
        let closure = explore(&Bounds { fault: Some(fault), ..bounds.clone() }, &mut |_| ());
        let violation = closure.violation.expect("found");
        println!("{fault:?}: {} states, {violation}", closure.states);
        assert!(violation.what.contains(rule), "{fault:?}: {violation}");
    }
}
