//! Snapshots: what is written is what was there, whenever it is written, and comes back.
#![allow(missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::io::ErrorKind;

use bytes::Bytes;
use raft_node::{Apply, Fill, NotAdmitted, Part};
use raft_store::{
    Answer, Command, HistoryLimits, Keys, Limits, Op, Query, Range, Store, Txn, message,
};
use support::chance::Chance;
use support::{apply, saved, written};

const LIMITS: HistoryLimits = HistoryLimits { revisions_max: 20, bytes_max: 4000 };

fn store() -> Store {
    Store::new(Limits::default(), LIMITS)
}

fn command(chance: &mut Chance, revision: u64) -> Bytes {
    match chance.below(12) {
        0 => message(b"count"),
        1 => message(&vec![b'm'; chance.below(3000) as usize]),
        2 if chance.below(8) == 0 => message(&vec![b'm'; 70_000]),
        _ => Command::from(chance.txn(revision)).encode(),
    }
}

/// Everything that a question could find out.
fn everything(store: &Store) -> Vec<Bytes> {
    let ask = |query: Query| store.query(&query.encode());
    let at = |revision| ask(Query::Range(Range { revision, ..Range::of(Keys::prefix("")) }));
    let after = |after| ask(Query::Events { keys: Keys::prefix(""), after });
    let mut all: Vec<Bytes> = (0..=store.revision()).flat_map(|n| [at(n), after(n)]).collect();
    all.push(ask(Query::Count));
    all.extend(store.messages().iter().map(Bytes::copy_from_slice));
    all
}

#[test]
fn same_commands_same_bytes_and_what_is_restored_goes_on_alike() {
    for seed in 0..20 {
        let mut chance = Chance::new(seed, 30);
        let (mut one, mut other) = (store(), store());
        let mut middle = None;
        for step in 0..300 {
            if step == 150 {
                middle = Some((one.snapshot(), saved(&one), everything(&one)));
            }
            let command = command(&mut chance, one.revision());
            let answer = apply(&mut one, &command);
            assert_eq!(answer, apply(&mut other, &command), "seed {seed}");
            if let Some((_, bytes, state)) = &middle
                && step == 150
            {
                other = store();
                other.restore(&mut &bytes[..]).expect("a snapshot");
                assert_eq!(&everything(&other), state, "seed {seed}");
                assert_eq!(apply(&mut other, &command), answer, "seed {seed}");
            }
        }
        let (snapshot, bytes, _) = middle.expect("it was taken");
        assert!(written(&*snapshot) == bytes, "seed {seed}: written later, it is another one");
        assert!(saved(&one) == saved(&other), "seed {seed}: two members differ");
        assert_eq!(everything(&one), everything(&other), "seed {seed}");
        assert_eq!(one.version(), other.version());
    }
}

/// Some changes of the first chunk of the history have gone, and the last one is not full.
#[test]
fn what_a_snapshot_shares_stays_as_it_was() {
    let limits = HistoryLimits { revisions_max: 700, ..HistoryLimits::DEFAULT };
    let new = || Store::new(Limits::default(), limits);
    let mut chance = Chance::new(1, 200);
    let mut one = new();
    let mut held = Vec::new();
    for step in 0..2200 {
        let command = Command::from(chance.txn(one.revision())).encode();
        apply(&mut one, &command);
        if step % 350 == 349 {
            held.push((one.snapshot(), saved(&one)));
        }
    }
    for (snapshot, bytes) in held {
        assert!(written(&*snapshot) == bytes, "written later, it is another one");
        let mut other = new();
        other.restore(&mut &bytes[..]).expect("a snapshot");
        assert!(saved(&other) == bytes, "restored, it is another one");
    }
}

#[test]
fn sealed_text_is_a_part_of_its_own_and_stays_as_it_is() {
    let part = |store: &Store, part| {
        let mut bytes = Vec::new();
        store.snapshot().write(part, &mut bytes).expect("a Vec takes everything");
        bytes
    };
    let mut store = store();
    let text = message(&vec![b'x'; 1 << 20]);
    (0..9).for_each(|_| drop(apply(&mut store, &text)));
    assert_eq!(store.snapshot().parts(), [Part::Sealed(0), Part::Changing]);
    let first = part(&store, 0);
    assert_eq!((first.len() >> 10, part(&store, 1).len() >> 10), (8192, 1024));
    (0..9).for_each(|_| drop(apply(&mut store, &text)));
    assert_eq!(store.snapshot().parts(), [Part::Sealed(0), Part::Sealed(1), Part::Changing]);
    assert!(part(&store, 0) == first, "a sealed part changed");
    assert_eq!(part(&store, 3), b"");
    let mut other = Store::default();
    other.restore(&mut &saved(&store)[..]).expect("a snapshot");
    assert!(saved(&other) == saved(&store), "another one came back");
    assert!(part(&other, 0) == first, "a sealed part is another one after a restore");
    // A part at a wrong place, and one that is missing.
    for parts in [[1, 0, 2].as_slice(), &[0, 2], &[0, 1], &[0, 1, 2, 2], &[2]] {
        let bytes: Vec<u8> = parts.iter().flat_map(|place| part(&store, *place)).collect();
        other.restore(&mut &bytes[..]).expect_err("not all parts");
        assert_eq!(other.messages().count(), 18);
    }
}

/// A small store, whose bytes in both formats are pinned below.
fn small() -> Store {
    let mut store = store();
    apply(&mut store, &message(b"beer"));
    for txn in [Txn::put("k", "v"), Txn::put("k", "w"), Txn::delete(Keys::prefix("k"))] {
        apply(&mut store, &Command::from(txn).encode());
    }
    apply(&mut store, &Command::from(Txn::put("z", "")).encode());
    store
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_formats_are_as_they_were() {
    let number = |number: u64| hex(&number.to_le_bytes());
    let record = |key: &str, value: &str, numbers: [u64; 3]| {
        let [created, modified, version] = numbers.map(number);
        let length = hex(&(36 + key.len() as u32 + value.len() as u32).to_le_bytes());
        let head = format!("{length}{created}{modified}{version}{}", number(0));
        format!("{head}01000000{}{}", hex(key.as_bytes()), hex(value.as_bytes()))
    };
    let text = format!("0202{}{}0400000062656572", number(0), number(1));
    let current = format!("{}{}", number(1), record("z", "", [5, 5, 1]));
    // What each revision replaced: nothing, `v`, `w`, nothing.
    let replaced = [("k", "", [0, 0, 0]), ("k", "v", [2, 2, 1]), ("k", "w", [2, 3, 2])];
    let replaced = replaced.into_iter().chain([("z", "", [0, 0, 0])]).zip(2..);
    let change = |((key, value, numbers), revision)| {
        format!("{}{}", number(revision), record(key, value, numbers))
    };
    let changes: String = replaced.map(change).collect();
    let map = format!("{}{}{current}{}{changes}", number(5), number(1), number(4));
    assert_eq!(hex(&saved(&small())), format!("{text}{map}"));

    let put = Command::from(Txn::put("k", "v")).encode();
    assert_eq!(hex(&put), "02000000000100000000010000006b010000007600000000");
    assert_eq!(hex(&message(b"m")), "016d");
    let query = Query::Events { keys: Keys::prefix("k"), after: 2 };
    assert_eq!(hex(&query.encode()), format!("010101010000006b010000006c{}", number(2)));
    let answer = small().ask(&Query::Range(Range::of(Keys::prefix(""))));
    let found = format!("{}0001000000{}", number(1), record("z", "", [5, 5, 1]));
    assert_eq!(hex(&answer.encode()), format!("0101{}{found}", number(5)));
}

#[test]
fn what_is_not_a_snapshot_is_refused_and_changes_nothing() {
    let bytes = saved(&small());
    let mut store = store();
    apply(&mut store, &message(b"kept"));
    let before = saved(&store);
    for length in 0..bytes.len() {
        let error = store.restore(&mut &bytes[..length]).expect_err("not all of it");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{length} bytes: {error}");
        assert!(saved(&store) == before, "{length} bytes changed it");
    }
    let mut newer = bytes.clone();
    newer[1] = 9;
    let error = store.restore(&mut &newer[..]).expect_err("too new");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.to_string(), "the store's snapshot has format 9; this version reads 2");
    let longer = [&bytes[..], &[0]].concat();
    let error = store.restore(&mut &longer[..]).expect_err("too long").to_string();
    assert_eq!(error, "the store's snapshot is damaged: something follows its end");
    assert!(saved(&store) == before);
}

/// Every number that is told has to fit to the others: only leases and values may be any.
#[test]
fn no_history_but_the_one_that_was_is_taken() {
    let bytes = saved(&small());
    let (text, leases, values) = (2 + 8 + 8 + 4 + 4, 3 * 8, 2);
    let (mut taken, mut why) = (0, BTreeSet::new());
    for place in text..bytes.len() {
        for flip in [1, 2, 4, 0x80] {
            let mut changed = bytes.clone();
            changed[place] ^= flip;
            match store().restore(&mut &changed[..]) {
                Ok(()) => taken += 1,
                Err(error) => drop(why.insert(error.to_string())),
            }
        }
    }
    assert_eq!(taken, 4 * (leases + values));
    let damaged = |what| format!("the store's snapshot is damaged: {what}");
    for what in [
        "a change of the map cannot be",
        "a change of the map is missing",
        "a record of the map is none",
        "a revision of the map is missing",
        "the map's history is not in order",
        "the map's revisions cannot be",
    ] {
        assert!(why.contains(&damaged(what)), "{what}: {why:#?}");
    }
}

#[test]
fn what_does_not_fit_is_not_admitted() {
    let mut store = Store::new(Limits { text_bytes_max: 20, map_bytes_max: 100 }, LIMITS);
    let full = |store: &Store, command: Bytes| match store.admits(&command, 0) {
        Ok(()) => String::new(),
        Err(NotAdmitted::Full(what)) => what,
        Err(other) => panic!("{other:?}"),
    };
    let next = "messages are kept for good: start the servers with a larger --text-log-max";
    assert_eq!(full(&store, message(&[b'm'; 16])), "");
    let said = full(&store, message(&[b'm'; 17]));
    assert_eq!(
        said,
        format!("the text log is full: it has 0 bytes of at most 20, and this takes 21; {next}")
    );
    apply(&mut store, &message(b"01234567"));
    assert_eq!(full(&store, message(b"abcd")), "");
    assert!(full(&store, message(b"abcde")).contains("12 bytes of at most 20, and this takes 9;"));
    let put = |bytes| Command::from(Txn::put("k", vec![b'v'; bytes])).encode();
    assert_eq!(full(&store, put(63)), "");
    let said = full(&store, put(64));
    assert!(said.starts_with("the map is full: it has 0 bytes of at most 100, "), "{said}");
    assert!(said.ends_with("and this takes 101; make room: raft del KEY"), "{said}");
    apply(&mut store, &put(63));
    assert!(full(&store, put(0)).contains("it has 100 bytes of at most 100"));
    assert_eq!(full(&store, Command::from(Txn::delete(Keys::prefix(""))).encode()), "");
    let fill = |what: &str, bytes, bytes_max| Fill { what: what.into(), bytes, bytes_max };
    assert_eq!(store.fills(), [fill("text log", 12, 20), fill("map", 100, 100)]);
    store.set_limits(Limits::default());
    assert_eq!(full(&store, put(1000)), "");
}

#[test]
fn what_is_under_way_counts_until_it_is_known_what_became_of_it() {
    let store = Store::new(Limits { text_bytes_max: 20, map_bytes_max: 1000 }, LIMITS);
    let put = Command::from(Txn::put("k", "v")).encode();
    assert_eq!(store.admits(&message(b"0123456789"), 6), Ok(()));
    let soon = |what: &str, max| {
        let text = format!("the {what} may be full soon: it has 0 bytes of at most {max}");
        Err(NotAdmitted::Undecided(text))
    };
    assert_eq!(store.admits(&message(b"0123456789"), 7), soon("text log", 20));
    assert_eq!(store.admits(&message(b"0123456789"), u64::MAX), soon("text log", 20));
    // A transaction may make four times as many bytes of records.
    assert_eq!(store.admits(&put, 240), Ok(()));
    assert_eq!(store.admits(&put, 241), soon("map", 1000));
    let delete = Command::from(Txn::delete(Keys::prefix(""))).encode();
    assert_eq!(store.admits(&delete, u64::MAX), Ok(()));
}

#[test]
fn what_is_put_takes_less_than_four_times_its_command() {
    for ops in [1, 2, 128] {
        let put = |n: u8| Op::Put(Bytes::from(vec![n + 1]), Bytes::new());
        let txn = Txn { success: (0..ops).map(put).collect(), ..Txn::default() };
        let command = Command::from(txn).encode();
        let mut store = store();
        let Answer::Txn { .. } = Answer::decode(&apply(&mut store, &command)).expect("an answer")
        else {
            panic!("it is done")
        };
        let [_, map] = &store.fills()[..] else { panic!("two limits") };
        assert_eq!(map.bytes, u64::from(ops) * 37);
        assert!(map.bytes <= 4 * command.len() as u64);
    }
}

#[test]
fn what_is_no_command_is_not_admitted_whatever_room_there_is() {
    let unknown = |format| {
        let text = format!("format {format} is not known to this version");
        Err(NotAdmitted::Invalid(text))
    };
    assert_eq!(store().admits(&Bytes::from_static(&[9]), 0), unknown(9));
    assert_eq!(store().admits(&Bytes::new(), 0), unknown(0));
}

#[test]
fn only_changes_of_the_keys_that_are_asked_for_are_news() {
    let mut store = store();
    let put = |store: &mut Store, key: &str| {
        let since = store.version();
        apply(store, &Command::from(Txn::put(key.to_owned(), "cold")).encode());
        since
    };
    let asks =
        |prefix: &'static str, after| Query::Events { keys: Keys::prefix(prefix), after }.encode();
    let since = put(&mut store, "beer/1");
    assert!(store.has_news(&asks("beer/", 1), since) && store.has_news(&asks("", 1), since));
    assert!(!store.has_news(&asks("wine/", 1), since), "of another key");
    assert!(!store.has_news(&asks("beer/", 2), since), "known already");
    assert!(!store.has_news(&asks("beer/", 1), store.version()), "nothing since");
    let since = store.version();
    apply(&mut store, &message(b"I like beer."));
    assert!(!store.has_news(&asks("wine/", 2), since), "a message");
    assert!(store.has_news(&Query::Count.encode(), since) && store.has_news(&Bytes::new(), since));
    let since = put(&mut store, "wine/1");
    (0..5).for_each(|_| _ = put(&mut store, "water"));
    assert!(store.has_news(&asks("wine/", 2), since), "and others after it");
    assert!(!store.has_news(&asks("wine/", 2), store.version() - 5));
    (0..40).for_each(|_| _ = put(&mut store, "water"));
    let since = store.version() - 1;
    assert!(store.has_news(&asks("wine/", 2), since), "what happened is not known any more");
}

#[test]
fn a_question_that_is_none_is_answered_so() {
    let answer = |query: &[u8]| Answer::decode(&store().query(query)).map(|answer| answer.encode());
    for query in [&b""[..], b"\x01", b"\x01\x07", b"\x02\x00", b"\x01\x02\x00"] {
        let answer = answer(query).expect("an answer");
        assert_eq!(answer.get(1), Some(&4), "{query:?}: {answer:?}");
    }
}

#[test]
fn a_message_takes_little_more_than_its_text() {
    for (bytes, count) in [(0, 200_000), (20, 200_000), (3000, 3000), (70_000, 200)] {
        let text = vec![b'm'; bytes];
        let mut store = store();
        let used = allocation_counter::measure(|| {
            (0..count).for_each(|_| drop(apply(&mut store, &message(&text))));
        });
        // The lists of chunks grow by doubling.
        let most = count * (bytes as i64 + 32) + 16 * 1024;
        assert!(used.bytes_current <= most, "{count} of {bytes}: {}", used.bytes_current);
    }
}
