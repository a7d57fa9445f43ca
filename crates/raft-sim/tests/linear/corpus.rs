//! Histories with known verdicts: `tests/corpus/`.

use std::collections::BTreeMap;

use raft_sim::linear::{
    self, Change, HistoryOf, Limits, Map, MapInput, MapOutput, Model, Register, RegisterInput,
    RegisterOutput, Verdict,
};

use crate::other;

const REGISTERS: &str = include_str!("../corpus/registers.txt");
const MAPS: &str = include_str!("../corpus/maps.txt");

/// The histories of a file: name, whether it is legal, events.
fn histories(file: &str) -> Vec<(&str, bool, Vec<&str>)> {
    let mut histories = Vec::new();
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        if let Some(title) = line.strip_prefix("history ") {
            let (name, verdict) = title.split_once(' ').expect("a name and a verdict");
            assert!(matches!(verdict, "legal" | "illegal"), "{name}: {verdict}");
            histories.push((name, verdict == "legal", Vec::new()));
        } else if let Some((_, _, events)) = histories.last_mut() {
            events.extend(line.split_whitespace());
        }
    }
    histories
}

/// Makes a history of its events: `call` reads what follows the colon, `answer` what follows the
/// equals sign; an answer without output is one that tells nothing.
fn read<M: Model>(
    events: &[&str],
    call: impl Fn(&str) -> M::Input,
    mut answer: impl FnMut(&M::Input, &str) -> Option<M::Output>,
) -> HistoryOf<M> {
    let mut history = HistoryOf::<M>::default();
    let mut under_way = BTreeMap::new();
    for (time, event) in events.iter().enumerate() {
        let at = event.find([':', '=']).expect("a call or an answer");
        let client: u64 = event[..at].parse().expect("a client");
        let (time, text) = (time as u64, &event[at + 1..]);
        if event[at..].starts_with(':') {
            let before = under_way.insert(client, history.call(client, time, call(text)));
            assert!(before.is_none(), "{event}: one thing after the other");
            continue;
        }
        let operation = under_way.remove(&client).expect("an answer to a call");
        match text {
            "?" => {}
            "!" => history.failed(operation, time),
            text => match answer(&history.operations()[operation].input, text) {
                Some(output) => history.ok(operation, time, output),
                None => panic!("{event} is no answer"),
            },
        }
    }
    history
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

fn register(events: &[&str]) -> HistoryOf<Register<u64>> {
    let call = |text: &str| match text.split_at(1) {
        ("r", "") => RegisterInput::Read,
        ("w", value) => RegisterInput::Write(number(value)),
        ("c", values) => {
            let (from, to) = values.split_once(',').expect("two values");
            RegisterInput::Cas { from: number(from), to: number(to) }
        }
        _ => panic!("{text} is no call"),
    };
    read::<Register<u64>>(events, call, |input, text| match (input, text) {
        (RegisterInput::Read, "nil") => Some(RegisterOutput::Value(None)),
        (RegisterInput::Read, value) => Some(RegisterOutput::Value(Some(number(value)))),
        (RegisterInput::Write(_), "ok") => Some(RegisterOutput::Written),
        (RegisterInput::Cas { .. }, text) => Some(RegisterOutput::Swapped(text == "ok")),
        _ => None,
    })
}

fn map(events: &[&str]) -> HistoryOf<Map<u64, String>> {
    let call = |text: &str| {
        let (kind, rest) = text.split_at(1);
        let (key, piece) = rest.split_once(',').unwrap_or((rest, ""));
        let change = match kind {
            "g" => Change::Get,
            "p" => Change::Put(piece.to_owned()),
            "a" => Change::Append(piece.to_owned()),
            _ => panic!("{text} is no call"),
        };
        MapInput { key: number(key), change }
    };
    let mut last: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    read::<Map<u64, String>>(events, call, |input, text| {
        if text == "ok" {
            return Some(MapOutput::Done);
        }
        let (same, more) = text.split_once('+')?;
        let known = last.entry(input.key).or_default();
        known.truncate(number(same) as usize);
        known.extend(more.split(',').filter(|piece| !piece.is_empty()).map(str::to_owned));
        Some(MapOutput::Text(known.clone()))
    })
}

/// Judges it, and looks at the counter-example.
fn judge<M: Model>(name: &str, model: &M, history: &HistoryOf<M>, legal: bool) -> (u64, usize) {
    let checked = linear::check(model, history, Limits::default());
    match &checked.verdict {
        Verdict::Legal => assert!(legal, "{name} is illegal"),
        Verdict::Undecided => panic!("{name} is undecided after {} steps", checked.steps),
        Verdict::Illegal(example) => {
            assert!(!legal, "{name} is legal, but {example}");
            println!("{name}: {example}");
        }
    }
    let few = match checked.verdict {
        Verdict::Illegal(example) => example.timeline.bars.len(),
        _ => 0,
    };
    (checked.steps, few)
}

#[test]
fn registers() {
    let histories = histories(REGISTERS);
    assert_eq!(histories.len(), 102);
    let (mut steps, mut most, mut longest) = (0, 0, 0);
    for (name, legal, events) in histories {
        let history = register(&events);
        let (took, few) = judge(name, &Register::default(), &history, legal);
        assert_eq!(other::is_legal(&history), legal, "{name}, says the other one");
        (steps, most, longest) = (steps + took, most.max(took), longest.max(few));
    }
    println!("{steps} steps, {most} at most, counter-examples of up to {longest} operations");
    assert!(most < 100_000, "the search takes detours: {most} steps");
}

#[test]
fn maps() {
    let histories = histories(MAPS);
    assert_eq!(histories.len(), 6);
    let mut steps = 0;
    for (name, legal, events) in histories {
        steps += judge(name, &Map::default(), &map(&events), legal).0;
    }
    println!("{steps} steps");
    assert!(steps < 200_000, "the search takes detours: {steps} steps");
}
