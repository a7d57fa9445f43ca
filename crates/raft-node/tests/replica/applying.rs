//! What is committed is applied once, in order, as far as it is understood and there is a budget.

use raft_core::{Index, LogId};
use raft_log::Kind;
use raft_node::replica::{Effect, Limits};

use crate::bench::Bench;

#[test]
fn lines_at_or_below_the_shown_mark_are_not_shown_again() {
    let command = |text: &[u8]| [&[0; 24][..], text].concat();
    let payload = command(b"a");
    let register: (Kind, &[u8]) = (Kind::SESSION, &[0]);
    let mut commands = vec![register];
    let mut one = payload.clone();
    one[..8].copy_from_slice(&1u64.to_le_bytes());
    one[8..16].copy_from_slice(&1u64.to_le_bytes());
    let mut two = one.clone();
    two[8..16].copy_from_slice(&2u64.to_le_bytes());
    commands.extend([(Kind::COMMAND, &one[..]), (Kind::COMMAND, &two[..])]);
    for (shown, expected) in [(0, 2), (2, 1), (3, 0)] {
        let mut bench = Bench::with(Limits::default(), Index(shown));
        bench.follow(LogId::default(), &commands, 3);
        bench.persisted();
        assert_eq!(bench.replica.applied_index(), Index(3));
        assert_eq!(bench.shown(), expected, "mark {shown}");
        let wanted = bench.wanted.lock().expect("nobody panics");
        assert_eq!(wanted.iter().filter(|wanted| **wanted).count(), expected, "mark {shown}");
    }
}

#[test]
fn an_entry_of_an_unknown_kind_stops_the_replica_and_is_not_skipped() {
    let mut bench = Bench::new();
    bench.follow(LogId::default(), &[(Kind::NOOP, b""), (Kind(200), b"?"), (Kind::NOOP, b"")], 3);
    bench.persisted();
    assert_eq!(bench.replica.applied_index(), Index(1));
    let halts = bench.effects.iter().any(|effect| matches!(effect, Effect::Halt { .. }));
    assert!(halts, "{:?}", bench.effects);
}

#[test]
fn what_no_budget_was_left_for_is_applied_in_the_next_calls() {
    let mut bench = Bench::with(Limits { apply_bytes_max: 1, ..Limits::default() }, Index(0));
    bench.follow(LogId::default(), &[(Kind::NOOP, b""), (Kind::NOOP, b""), (Kind::NOOP, b"")], 3);
    bench.persisted();
    for applied in 1..=3 {
        assert_eq!(bench.replica.applied_index(), Index(applied));
        assert_eq!(bench.replica.is_behind(), applied < 3);
        bench.step(vec![]);
    }
}
