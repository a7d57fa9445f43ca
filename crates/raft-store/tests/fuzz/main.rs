//! Bytes of any kind, taken for commands, questions, answers and snapshots: never a panic, never
//! more memory than they account for, and what is accepted can be said again and means the same.
#![allow(missing_docs)]

#[path = "../../../raft-log/tests/fuzz/harness.rs"]
mod harness;
#[path = "../support/mod.rs"]
mod support;

use std::sync::LazyLock;

use bytes::Bytes;
use harness::{Cap, Named, Target, Verdict, fuzz, within};
use raft_node::Apply;
use raft_store::{Answer, Command, HistoryLimits, Keys, Limits, Query, Range, Store, message};
use support::chance::Chance;
use support::{apply, saved};

/// A name for what something is: what its `Debug` text begins with.
fn name(debug: &str) -> String {
    debug.chars().take_while(|c| c.is_alphanumeric() || *c == '(').collect()
}

/// A store that some commands by chance have made, and those commands.
fn lived(seed: u64, steps: u64) -> (Store, Vec<Bytes>) {
    let limits = HistoryLimits { revisions_max: 6, ..HistoryLimits::DEFAULT };
    let mut store = Store::new(Limits::default(), limits);
    let mut chance = Chance::new(seed, 8);
    let mut commands = vec![message(b"count"), message(b"")];
    for _ in 0..steps {
        commands.push(Command::from(chance.txn(store.revision())).encode());
    }
    commands.iter().for_each(|command| drop(apply(&mut store, command)));
    (store, commands)
}

/// The snapshot of one of them.
static OLD: LazyLock<Vec<u8>> = LazyLock::new(|| saved(&lived(2, 30).0));

/// A store that has been there for a while.
fn old() -> Store {
    let limits = HistoryLimits { revisions_max: 6, ..HistoryLimits::DEFAULT };
    let mut store = Store::new(Limits::default(), limits);
    store.restore(&mut &OLD[..]).expect("a snapshot");
    store
}

fn target(name: &'static str, check: fn(&[u8]) -> Verdict) -> Target {
    let words: &[&[u8]] = &[&[0; 4], &[0xff; 4], &[1, 0, 0, 0], &[0; 8], b"k", &[2]];
    Target { name, words, bytes_max: 1 << 14, runs: 2000, check }
}

fn named(what: &str, bytes: impl IntoIterator<Item = Bytes>) -> Vec<Named> {
    bytes.into_iter().map(|bytes| (what.to_owned(), bytes.to_vec())).collect()
}

#[test]
fn command() {
    fuzz(&target("command", check_command), || {
        let mut made = named("a command", lived(1, 12).1);
        made.extend(named("not a command", [Bytes::new(), Bytes::from_static(&[9, 9])]));
        made
    });
}

fn check_command(input: &[u8]) -> Verdict {
    let bytes = Bytes::copy_from_slice(input);
    let cap = Cap { base: 4096, each: 40 };
    let command = within(cap, input.len(), || Command::decode(&bytes));
    // Whatever it is, it is applied and answered; what is refused changes nothing.
    let mut store = old();
    let (before, said) = (store.version(), store.messages().count());
    let response = apply(&mut store, &bytes);
    let command = match command {
        Ok(command) => command,
        Err(refusal) => {
            assert_eq!(Answer::decode(&response), Ok(Answer::Refused(refusal)));
            assert_eq!((store.version(), store.messages().count()), (before, said));
            return Err(refusal.to_string());
        }
    };
    assert_eq!(command.encode(), bytes);
    match &command {
        Command::Message(_) => assert_eq!(store.messages().count(), said + 1),
        Command::Txn(_) => drop(Answer::decode(&response).expect("an answer")),
    }
    Ok(name(&format!("{command:?}")))
}

#[test]
fn query() {
    fuzz(&target("query", check_query), || {
        let mut chance = Chance::new(3, 8);
        let mut made = vec![Query::Count];
        for revision in 0..8 {
            made.push(Query::Range(chance.range(revision)));
            made.push(Query::Events { keys: chance.some_keys(), after: revision });
        }
        let mut made = named("a question", made.iter().map(Query::encode));
        made.extend(named("not a question", [Bytes::new(), Bytes::from_static(&[1, 9])]));
        made
    });
}

fn check_query(input: &[u8]) -> Verdict {
    let bytes = Bytes::copy_from_slice(input);
    let cap = Cap { base: 4096, each: 4 };
    let query = within(cap, input.len(), || Query::decode(&bytes));
    let store = old();
    let answer = Answer::decode(&store.query(input)).expect("an answer");
    assert!(saved(&store) == *OLD, "a question changed something");
    match query {
        Ok(query) => {
            assert_eq!(query.encode(), bytes);
            assert_eq!(answer, store.ask(&query));
            Ok(name(&format!("{answer:?}")))
        }
        Err(refusal) => {
            assert_eq!(answer, Answer::Refused(refusal));
            Err(refusal.to_string())
        }
    }
}

#[test]
fn answer() {
    fuzz(&target("answer", check_answer), || {
        let (store, commands) = lived(4, 12);
        let all = Range::of(Keys::prefix(""));
        let ask = |query: Query| store.query(&query.encode());
        let mut made = vec![ask(Query::Count), ask(Query::Range(all))];
        made.extend((0..12).map(|after| ask(Query::Events { keys: Keys::prefix(""), after })));
        let mut again = lived(4, 0).0;
        let txns = commands.iter().skip(2);
        made.extend(txns.map(|command| apply(&mut again, command)));
        let mut made = named("an answer", made);
        made.extend(named("not an answer", [Bytes::new(), Bytes::from_static(&[1, 9])]));
        made
    });
}

fn check_answer(input: &[u8]) -> Verdict {
    let bytes = Bytes::copy_from_slice(input);
    let cap = Cap { base: 4096, each: 40 };
    let answer = within(cap, input.len(), || Answer::decode(&bytes));
    let answer = answer.map_err(|refusal| refusal.to_string())?;
    assert_eq!(answer.encode(), bytes);
    Ok(name(&format!("{answer:?}")))
}

#[test]
fn snapshot() {
    fuzz(&target("snapshot", check_snapshot), || {
        let snapshots = [(0, 0), (5, 0), (5, 1), (5, 4), (6, 12), (7, 30)];
        let snapshots = snapshots.map(|(seed, steps)| saved(&lived(seed, steps).0).into());
        let mut made = named("a snapshot", snapshots);
        made.extend(named("nothing", [saved(&Store::default()).into(), Bytes::new()]));
        made
    });
}

fn check_snapshot(input: &[u8]) -> Verdict {
    let limits = HistoryLimits { revisions_max: 6, ..HistoryLimits::DEFAULT };
    let mut store = Store::new(Limits::default(), limits);
    // Two buffers, and what the records and the tree take.
    let cap = Cap { base: 1 << 18, each: 60 };
    let before = saved(&store);
    let restored = within(cap, input.len(), || store.restore(&mut &input[..]));
    if let Err(error) = restored {
        assert!(saved(&store) == before, "a failed restore changed something");
        return Err(error.to_string());
    }
    assert!(saved(&store) == input, "what came back is written in another way");
    // It works on: every question has an answer, and every change is done.
    let mut chance = Chance::new(9, 8);
    for revision in store.revision().saturating_sub(8)..=store.revision() {
        let range = Query::Range(chance.range(revision));
        drop(store.ask(&range));
        drop(store.ask(&Query::Events { keys: chance.some_keys(), after: revision }));
    }
    if store.revision() < u64::MAX - 20 {
        for _ in 0..8 {
            apply(&mut store, &Command::from(chance.txn(8)).encode());
        }
        let mut again = Store::new(Limits::default(), limits);
        again.restore(&mut &saved(&store)[..]).expect("what lived on is whole");
    }
    Ok("a store".into())
}
