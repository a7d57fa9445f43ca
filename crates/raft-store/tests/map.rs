//! The map against its naive twin, and the rules of revisions as etcd's documents tell them.
#![allow(missing_docs)]

mod support;

use bytes::Bytes;
use raft_node::Apply;
use raft_store::{
    Answer, CHANGES_MAX, Command, Compare, Done, HistoryLimits, Is, KEY_BYTES_MAX, Keys, Limits,
    OPS_MAX, Only, Op, Query, Range, Refusal, Store, Test, Txn,
};
use support::chance::Chance;
use support::twin::{Outcome, Twin};
use support::{apply, row, rows, run};

fn seeds(count: u64) -> std::ops::Range<u64> {
    let alone = std::env::var("RAFT_STORE_SEED").ok();
    let alone = alone.map(|seed| seed.parse::<u64>().expect("RAFT_STORE_SEED is a number"));
    alone.map_or(0..count, |seed| seed..seed + 1)
}

fn again(seed: u64, test: &str) -> String {
    format!("RAFT_STORE_SEED={seed} cargo test -p raft-store --test map -- --exact {test}")
}

fn outcome(answer: Answer) -> Outcome {
    let Answer::Txn { revision, succeeded, done } = answer else { panic!("{answer:?}") };
    let told = |done: &Done| match done {
        Done::Put => (0, Vec::new()),
        Done::Deleted(count) => (*count, Vec::new()),
        Done::Got(found) => (found.count, rows(found).0),
    };
    (revision, succeeded, done.iter().map(told).collect())
}

fn compare_reads(store: &Store, twin: &Twin, chance: &mut Chance, how: &str) {
    assert_eq!(store.revision(), twin.revision, "{how}");
    for revision in (twin.oldest - 1..=twin.revision + 1).chain([0]) {
        let range = chance.range(revision);
        let expected = twin.range(&range);
        let found = match store.ask(&Query::Range(range.clone())) {
            Answer::Range { found, .. } => Ok(rows(&found)),
            Answer::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "{range:?}\n{how}");
        let keys = chance.some_keys();
        let expected = twin.events(&keys, revision);
        let events = match store.ask(&Query::Events { keys: keys.clone(), after: revision }) {
            Answer::Events { events, through, .. } => {
                assert_eq!(through, revision.max(twin.revision), "{how}");
                Ok(events.iter().map(row).collect())
            }
            Answer::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        };
        assert_eq!(events, expected, "{keys:?} after {revision}\n{how}");
    }
}

fn like_the_twin(seed: u64, keys: u64, limits: HistoryLimits, steps: u64, every: u64, how: &str) {
    let mut chance = Chance::new(seed, keys);
    let mut store = Store::new(Limits::default(), limits);
    let mut twin = Twin::new(limits);
    for step in 0..steps {
        let txn = chance.txn(twin.revision);
        let expected = twin.apply(&txn);
        assert_eq!(outcome(run(&mut store, txn.clone())), expected, "{txn}\n{how}");
        if step % every == 0 || step + 1 == steps {
            compare_reads(&store, &twin, &mut chance, how);
        }
    }
}

#[test]
fn few_keys_and_a_short_history() {
    for seed in seeds(60) {
        let revisions_max = [1, 5, 30][seed as usize % 3];
        let limits = HistoryLimits { revisions_max, ..HistoryLimits::DEFAULT };
        let how = again(seed, "few_keys_and_a_short_history");
        like_the_twin(seed, 20, limits, 150, 5, &how);
    }
}

#[test]
fn a_history_of_few_bytes() {
    for seed in seeds(40) {
        let bytes_max = [0, 300, 3000][seed as usize % 3];
        let limits = HistoryLimits { revisions_max: 25, bytes_max };
        let how = again(seed, "a_history_of_few_bytes");
        like_the_twin(seed, 12, limits, 120, 5, &how);
    }
}

/// The history shares its changes with snapshots in chunks of some hundred, or of many bytes.
#[test]
fn a_history_of_several_chunks() {
    for seed in seeds(3) {
        let revisions_max = [600, 700, 40][seed as usize % 3];
        let limits = HistoryLimits { revisions_max, ..HistoryLimits::DEFAULT };
        let how = again(seed, "a_history_of_several_chunks");
        let mut chance = Chance::new(seed, 40);
        let mut store = Store::new(Limits::default(), limits);
        let mut twin = Twin::new(limits);
        let mut held = None;
        for step in 0..1500 {
            let txn = if chance.below(20) == 0 {
                Txn::put(chance.key(), vec![b'v'; 40_000])
            } else {
                chance.txn(twin.revision)
            };
            let expected = twin.apply(&txn);
            assert_eq!(outcome(run(&mut store, txn)), expected, "{how}");
            if step % 300 == 299 {
                compare_reads(&store, &twin, &mut chance, &how);
                held = Some(store.snapshot());
            }
        }
        drop(held);
    }
}

#[test]
fn a_tree_of_several_levels() {
    for seed in seeds(2) {
        let limits = HistoryLimits { revisions_max: 8, ..HistoryLimits::DEFAULT };
        let how = again(seed, "a_tree_of_several_levels");
        let mut chance = Chance::new(seed, 12_000);
        let mut store = Store::new(Limits::default(), limits);
        let mut twin = Twin::new(limits);
        // Grows from both ends and in between, then shrinks to nothing.
        for step in 0..260 {
            let ops = |chance: &mut Chance| match step {
                0..180 => Op::Put(chance.key(), chance.value()),
                180..255 => Op::Delete(Keys::One(chance.key())),
                _ => Op::Delete(Keys::prefix(
                    [&b"k"[..], &[[0, b'a', b'b', 255][step % 4]]].concat(),
                )),
            };
            let count = if step < 255 { OPS_MAX } else { 1 };
            let mut success: Vec<Op> = (0..count).map(|_| ops(&mut chance)).collect();
            success.sort_by_key(Op::to_string);
            success.dedup_by(|one, other| match (one, other) {
                (Op::Put(one, _), Op::Put(other, _)) => one == other,
                _ => false,
            });
            let txn = Txn { success, ..Txn::default() };
            let expected = twin.apply(&txn);
            assert_eq!(outcome(run(&mut store, txn)), expected, "{how}");
            if step % 60 == 0 || step > 257 {
                compare_reads(&store, &twin, &mut chance, &how);
            }
        }
    }
}

/// One put is read in another way than other commands are: not in another sense.
#[test]
fn a_put_with_one_bit_changed_is_what_it_says_or_refused() {
    let bytes = Command::from(Txn::put("key", "value")).encode();
    let flip = |at: usize| {
        let mut changed = bytes.to_vec();
        changed[at / 8] ^= 1 << (at % 8);
        Bytes::from(changed)
    };
    let lengths = (0..bytes.len()).map(|length| bytes.slice(..length));
    let longer = [&bytes[..], &[0]].concat().into();
    for bytes in (0..bytes.len() * 8).map(flip).chain(lengths).chain([longer]) {
        let mut store = Store::default();
        let response = apply(&mut store, &bytes);
        match Command::decode(&bytes) {
            Ok(Command::Message(text)) => panic!("one bit is not enough for a message: {text:?}"),
            Ok(Command::Txn(txn)) => {
                let answer = Answer::decode(&response).expect("an answer");
                let mut twin = Twin::new(HistoryLimits::DEFAULT);
                assert_eq!(outcome(answer), twin.apply(&txn), "{txn}");
                compare_reads(&store, &twin, &mut Chance::new(1, 1), &txn.to_string());
            }
            Err(refusal) => {
                assert_eq!(response, Answer::Refused(refusal).encode(), "{bytes:?}");
                assert_eq!(store.version(), Store::default().version(), "{bytes:?}");
            }
        }
    }
}

fn put(store: &mut Store, key: &'static str, value: &'static str) -> u64 {
    outcome(run(store, Txn::put(key, value))).0
}

fn one(key: &'static str) -> Keys {
    Keys::One(Bytes::from(key))
}

fn get(store: &Store, key: &'static str) -> Option<(Bytes, [u64; 3])> {
    let Answer::Range { found, .. } = store.ask(&Query::Range(Range::of(one(key)))) else {
        panic!("no range");
    };
    found.records.first().map(row).map(|row| (row.1, [row.2, row.3, row.4]))
}

/// "The initial revision is 1", every change makes one, and a key's numbers follow.
#[test]
fn revisions_of_a_key() {
    let mut store = Store::default();
    assert_eq!(store.revision(), 1);
    assert_eq!((put(&mut store, "a", "x"), put(&mut store, "a", "y")), (2, 3));
    assert_eq!(get(&store, "a"), Some(("y".into(), [2, 3, 2])));
    // A put of the same value is a change.
    assert_eq!(put(&mut store, "a", "y"), 4);
    assert_eq!(outcome(run(&mut store, Txn::delete(one("a")))), (5, true, vec![(1, vec![])]));
    assert_eq!(get(&store, "a"), None);
    // Deleting nothing is no change, and what is created again begins at version 1.
    assert_eq!(outcome(run(&mut store, Txn::delete(one("a")))), (5, true, vec![(0, vec![])]));
    assert_eq!(put(&mut store, "a", "z"), 6);
    assert_eq!(get(&store, "a"), Some(("z".into(), [6, 6, 1])));
}

#[test]
fn a_transaction_has_one_revision_and_sees_its_own_changes() {
    let mut store = Store::default();
    put(&mut store, "b", "old");
    let get = |keys| Op::Get(Range::of(keys));
    let success = vec![
        get(one("a")),
        Op::Put("a".into(), "1".into()),
        get(one("a")),
        Op::Delete(one("b")),
        get(Keys::prefix("")),
    ];
    let (revision, succeeded, done) = outcome(run(&mut store, Txn { success, ..Txn::default() }));
    assert_eq!((revision, succeeded, store.revision()), (3, true, 3));
    let a = vec![("a".into(), "1".into(), 3, 3, 1)];
    assert_eq!(done, [(0, vec![]), (0, vec![]), (1, a.clone()), (1, vec![]), (1, a)]);
    let Answer::Events { events, .. } =
        store.ask(&Query::Events { keys: Keys::prefix(""), after: 2 })
    else {
        panic!("no events")
    };
    let told: Vec<_> =
        events.iter().map(|event| (event.is_deleted(), event.mod_revision())).collect();
    assert_eq!(told, [(false, 3), (true, 3)]);
}

#[test]
fn a_key_that_is_not_there_compares_as_zero_and_has_no_value() {
    let mut store = Store::default();
    let cases = [
        (Test::Exists(false), true),
        (Test::Version(Is::Equal, 0), true),
        (Test::Created(Is::Less, 1), true),
        (Test::Modified(Is::Greater, 0), false),
        (Test::Value(Is::Equal, Bytes::new()), false),
        (Test::Value(Is::NotEqual, "x".into()), false),
    ];
    for (test, holds) in cases {
        let compares = vec![Compare { key: "a".into(), test }];
        let txn = Txn { compares, ..Txn::default() };
        assert_eq!(outcome(run(&mut store, txn.clone())), (1, holds, vec![]), "{txn}");
    }
}

#[test]
fn compare_and_swap() {
    let mut store = Store::default();
    let mut cas = |old: Option<&'static str>, new: &'static str| {
        outcome(run(&mut store, Txn::cas("a", old.map(Bytes::from), new)))
    };
    assert_eq!(cas(None, "1"), (2, true, vec![(0, vec![])]));
    let there = ("a".into(), "1".into(), 2, 2, 1);
    assert_eq!(cas(None, "2"), (2, false, vec![(1, vec![there])]));
    assert_eq!(cas(Some("1"), "2"), (3, true, vec![(0, vec![])]));
    assert!(!cas(Some("1"), "3").1);
}

#[test]
fn what_breaks_a_limit_is_refused_and_changes_nothing() {
    let mut store = Store::default();
    put(&mut store, "a", "1");
    let long = Bytes::from(vec![b'k'; KEY_BYTES_MAX + 1]);
    let twice = |keys| vec![Op::Put("a".into(), "2".into()), Op::Delete(keys)];
    let old = Range { revision: 1, ..Range::of(one("a")) };
    let many = |count| (0..count).map(|n: usize| Op::Put(n.to_string().into(), Bytes::new()));
    let cases = [
        (many(OPS_MAX + 1).collect(), Refusal::TooManyOps),
        (vec![Op::Put(Bytes::new(), Bytes::new())], Refusal::EmptyKey),
        (vec![Op::Delete(Keys::One(long.clone()))], Refusal::KeyTooLong),
        (vec![Op::Put(long, Bytes::new())], Refusal::KeyTooLong),
        (twice(one("a")), Refusal::DuplicateKey),
        (twice(Keys::prefix("")), Refusal::DuplicateKey),
        ([many(1), many(1)].into_iter().flatten().collect(), Refusal::DuplicateKey),
        (vec![Op::Get(old)], Refusal::OldRevision),
    ];
    for (ops, refusal) in cases {
        for failure in [false, true] {
            let mut txn = Txn { success: vec![Op::Put("b".into(), "2".into())], ..Txn::default() };
            *(if failure { &mut txn.failure } else { &mut txn.success }) = ops.clone();
            assert_eq!(txn.check(), Err(refusal));
            assert_eq!(run(&mut store, txn), Answer::Refused(refusal));
        }
    }
    assert_eq!((store.revision(), get(&store, "b")), (2, None));
    let full = Txn { success: many(OPS_MAX).collect(), ..Txn::default() };
    assert_eq!(outcome(run(&mut store, full)).0, 3);
}

#[test]
fn no_transaction_changes_too_much_at_once() {
    let mut store = Store::default();
    let key = |n: usize| format!("key {n:05}");
    for first in (0..=CHANGES_MAX).step_by(OPS_MAX) {
        let put = |n| Op::Put(key(n).into(), Bytes::new());
        let success = (first..(first + OPS_MAX).min(CHANGES_MAX + 1)).map(put).collect();
        run(&mut store, Txn { success, ..Txn::default() });
    }
    let before = store.revision();
    let all = Txn::delete(Keys::prefix("key"));
    assert_eq!(run(&mut store, all.clone()), Answer::Refused(Refusal::TooManyChanges));
    assert_eq!(store.revision(), before);
    run(&mut store, Txn::delete(Keys::One(key(0).into())));
    assert_eq!(outcome(run(&mut store, all)).2, [(CHANGES_MAX as u64, vec![])]);

    let large = Bytes::from(vec![0; 8 << 20]);
    let puts = |keys: &[&'static str]| Txn {
        success: keys.iter().map(|key| Op::Put((*key).into(), large.clone())).collect(),
        ..Txn::default()
    };
    let before = store.revision();
    assert_eq!(run(&mut store, puts(&["a", "b"])), Answer::Refused(Refusal::TooLarge));
    assert_eq!(outcome(run(&mut store, puts(&["a"]))).0, before + 1);
}

#[test]
fn answers_are_cut_where_they_would_get_too_large() {
    let mut store = Store::default();
    let large = Bytes::from(vec![0; 7 << 20]);
    for key in ["a", "b", "c"] {
        run(&mut store, Txn::put(key, large.clone()));
    }
    let ask = |range: Range| match store.ask(&Query::Range(range)) {
        Answer::Range { found, .. } => (found.records.len(), found.count, found.more),
        other => panic!("{other:?}"),
    };
    let all = || Range::of(Keys::prefix(""));
    assert_eq!(ask(all()), (2, 3, true));
    assert_eq!(ask(Range { revision: 3, ..all() }), (2, 2, false));
    assert_eq!(ask(Range { only: Only::Keys, ..all() }), (3, 3, false));
    assert_eq!(ask(Range { only: Only::Count, ..all() }), (0, 3, false));
    let events = |after| match store.ask(&Query::Events { keys: Keys::prefix(""), after }) {
        Answer::Events { events, through, revision } => (events.len(), through, revision),
        other => panic!("{other:?}"),
    };
    assert_eq!((events(1), events(3), events(9)), ((2, 3, 4), (1, 4, 4), (0, 9, 4)));
    // A transaction's answer is kept for its session, and so it holds less.
    let gets = ["a", "b"].map(|key| Op::Get(Range::of(one(key))));
    let txn = Txn { success: gets.into(), ..Txn::default() };
    let Answer::Txn { done, .. } = run(&mut store, txn) else { panic!("refused") };
    let told: Vec<_> = done
        .iter()
        .map(|done| match done {
            Done::Got(found) => (found.records.len(), found.count, found.more),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [(1, 1, false), (0, 1, true)]);
}

#[test]
fn events_end_with_a_whole_revision() {
    let mut store = Store::default();
    run(&mut store, Txn::put("a", vec![0; 9 << 20]));
    let puts = ["b", "c"].map(|key| Op::Put(key.into(), vec![0; 4 << 20].into()));
    run(&mut store, Txn { success: puts.into(), ..Txn::default() });
    let events = |after| match store.ask(&Query::Events { keys: Keys::prefix(""), after }) {
        Answer::Events { events, through, .. } => (events.len(), through),
        other => panic!("{other:?}"),
    };
    assert_eq!((events(1), events(2)), ((1, 2), (2, 3)));
}

#[test]
fn a_prefix_ends_before_the_next_one() {
    let end = |prefix: &'static [u8]| Keys::prefix(prefix);
    assert_eq!(end(b"ab"), Keys::Between("ab".into(), "ac".into()));
    assert_eq!(end(b"a\xff"), Keys::Between((&b"a\xff"[..]).into(), "b".into()));
    assert_eq!(end(b"\xff\xff"), Keys::From((&b"\xff\xff"[..]).into()));
    assert_eq!(end(b""), Keys::From(Bytes::new()));
}

#[test]
fn commands_as_text() {
    let txn = Txn::cas("beer", Some("warm".into()), "cold");
    let text = Command::from(txn).to_string();
    assert_eq!(text, r#"if "beer" = "warm": put "beer" = "cold"; else: get "beer""#);
}
