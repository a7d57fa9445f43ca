//! What members do: scripts that reach every corner of the format in small slots.

use crate::life::{Part, Step, Workload};
use crate::support::Random;

/// The smallest slot: four pages for blocks.
const SMALL: u64 = 32 << 10;
/// The first seed of random steps that is left to long runs.
pub const DRAWN: u64 = 9;

/// Name, bytes of a slot, steps. What is no step of its own is a group commit of writes: `+10,20`
/// are two entries, `-2+30` replaces the last two by another one, `peers3` is a table of three.
/// A payload of 3936 bytes fills a block of one page, one of 352 its first sector.
#[rustfmt::skip]
const SCRIPTS: [(&str, u64, &str); 17] = [
    ("founding", SMALL,
        "enter|stop|enter|found|stop|start|vote|+10|commit +20|show|stop|start|stop|start"),
    ("removal", SMALL,
        "found|vote +10,300|commit +5|show|remove|stop|enter|stop|start|vote|+7,700|remove"),
    ("pages", SMALL, "found|vote +3936|+3937|stop|+3935|+4096,1"),
    ("sectors", 2 * SMALL, "found|vote|+352|+353|+1024,512|+2500|attest|+2000,1400,500"),
    ("truncations", 2 * SMALL,
        "found|vote +10,20,30|term -2+40|vote -1+50,60|-3|+70 -1+80 -1+600,90|stop|term -2+100"),
    ("votes", SMALL, "found|vote|term|vote|stop|start|term|vote|stop|start|vote term vote|stop"),
    ("peers", SMALL, "found|vote peers3|peers11 +10|stop|peers5|term peers96|stop|start|stop"),
    ("turnover", SMALL,
        "found|spare|vote +3000|+3000,700|spare|+3000,3000,3000|attest|vote +9000|commit +100\
         |show|stop|+9000"),
    ("recycling", SMALL,
        "found|vote +1000|stop|+1500|stop|+30|stop|vote +20|stop|start|stop|+700|stop|start"),
    ("attests", SMALL,
        "found|vote +10|attest|attest|+20|attest|stop|attest|+30|attest|+40|attest|stop|start"),
    ("large", SMALL, "found|vote +40000|+10|stop|start|+30|stop|start"),
    ("full_tail", 2 * SMALL, "found|vote +8000|+7000|+4000,3000|stop|+100|stop|start"),
    ("groups", 2 * SMALL,
        "found|vote +10 +20 peers2|+500 commit -9+30 term|+400 +3000 +2000 commit|attest\
         |+1 -1+2 vote peers9 +2500"),
    ("snapshots", SMALL,
        "found|vote +10,300|commit|snapshot|+20|commit|snapshot|stop|+30 commit|snapshot|stop|start"),
    ("compaction", SMALL,
        "found|vote +3000|+3000,3000,3000|commit|snapshot|compact|+3000,3000,3000|stop|+3000,3000\
         |commit|snapshot|compact|attest|+9000|-1+3000,3000|stop|start"),
    ("installation", SMALL,
        "found|vote +10,300|commit +5|install3|+30|commit|snapshot|stop|install2|stop|start|+9000"),
    ("given_up", SMALL,
        "found|vote +3000|+3000,3000 commit|snapshot|term +3000,3000|-2+9000|install1|+3000\
         |+3000,3000|commit|snapshot|compact|+9000|stop|+9000|stop|start"),
];

/// All of them, and some random ones.
pub fn workloads() -> Vec<Workload> {
    let scripts = SCRIPTS.iter().map(|(name, slot_bytes, script)| Workload {
        name: (*name).to_owned(),
        slot_bytes: *slot_bytes,
        steps: script.split('|').map(step).collect(),
    });
    scripts.chain((1..DRAWN).map(drawn)).collect()
}

fn step(text: &str) -> Step {
    match text {
        "enter" => Step::Enter,
        "found" => Step::Found,
        "remove" => Step::Remove,
        "start" => Step::Start,
        "attest" => Step::Attest,
        "spare" => Step::Spare,
        "show" => Step::Show,
        "snapshot" => Step::Snapshot,
        "compact" => Step::Compact,
        "stop" => Step::Stop,
        text if text.starts_with("install") => {
            Step::Install(text["install".len()..].parse().expect("so many entries more"))
        }
        writes => Step::Commit(writes.split(' ').map(part).collect()),
    }
}

fn part(text: &str) -> Part {
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text} is no number"));
    let sizes = |text: &str| {
        let sizes = text.split(',').filter(|size| !size.is_empty());
        sizes.map(|size| usize::try_from(number(size)).expect("a size")).collect()
    };
    match text {
        "vote" => Part::Vote,
        "term" => Part::Term,
        "commit" => Part::Commit,
        _ => {
            if let Some(entries) = text.strip_prefix('+') {
                return Part::Entries(sizes(entries));
            }
            if let Some(replaced) = text.strip_prefix('-') {
                let (count, by) = replaced.split_once('+').unwrap_or((replaced, ""));
                return Part::Replace(number(count), sizes(by));
            }
            let peers = text.strip_prefix("peers");
            Part::Peers(number(peers.unwrap_or_else(|| panic!("{text} is no write"))))
        }
    }
}

/// Random steps.
pub fn drawn(seed: u64) -> Workload {
    let mut random = Random(seed);
    let mut steps = vec![Step::Found, Step::Commit(vec![Part::Vote])];
    for _ in 0..10 {
        steps.push(match random.below(15) {
            0 => Step::Attest,
            1 => Step::Spare,
            2 => Step::Show,
            3 | 4 => Step::Stop,
            5 => Step::Commit(vec![Part::Any(3000), Part::Any(300)]),
            6 => Step::Snapshot,
            7 => Step::Compact,
            8 => Step::Install(1 + random.below(3)),
            _ => Step::Commit(vec![Part::Any(6000)]),
        });
    }
    let slot_bytes = SMALL << random.below(2);
    Workload { name: format!("drawn_{seed}"), slot_bytes, steps }
}
