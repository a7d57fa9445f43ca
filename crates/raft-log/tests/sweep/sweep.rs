//! Does every change to every scene, and compares what comes of it with what has to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use raft_core::HardState;
use raft_log::{
    DataDir, Disk, InspectError, Log, OpenError, PeerBoot, RecoveredLog, Shown, inspect,
};

use crate::change::Change;
use crate::image::Image;
use crate::layout::{Expected, shown};
use crate::scene::{Scene, options, scenes};
use crate::support::format::PAGE;
use crate::support::holder;
use crate::support::model::Model;

/// What can come of a damage, and how often it did.
type Outcomes = BTreeMap<&'static str, u64>;

const REFUSED: &str = "refused, and named";
const WHOLE: &str = "whole";
const DOUBTED: &str = "whole, and the end is called torn";
const CUT: &str = "last commit cut, and the end is called torn";
const GONE: &str = "last commit gone, like one that was never written";
const VOTE_CUT: &str = "vote of the last commit gone, and the end is called torn";
const SPARED: &str = "whole, and a snapshot that is damaged is not used";
const UNREAD: &str = "whole, and a snapshot is refused when it is read";
const PROOF_CUT: &str = "what was proven cut with its only proof, and the end is called torn";

/// All that is lost by any change of pages, by scene and outcome. This is what a log without a
/// second copy cannot notice: its last commit, as long as nothing was written after it. A page of
/// it that reads as zeros, or as the old bytes of a slot that was used before, looks like one
/// that was never written; of whatever else is left the start says that the end is torn. The vote
/// stands in two pages, and is lost if both are: here they change places. So do the mark that
/// proves the last commit and a page of that commit: two damages at once.
const LOSSES: [(&str, &str, u64); 14] = [
    ("fresh", CUT, 121),
    ("fresh", GONE, 18),
    ("fresh", VOTE_CUT, 1),
    ("fresh attested", PROOF_CUT, 5),
    ("full", CUT, 143),
    ("full", GONE, 21),
    ("full", VOTE_CUT, 1),
    ("recycled", CUT, 160),
    ("recycled", GONE, 39),
    ("recycled", VOTE_CUT, 1),
    ("recycled attested", PROOF_CUT, 5),
    ("installed", CUT, 192),
    ("installed", GONE, 27),
    ("installed", VOTE_CUT, 1),
];

/// Says which case it was if there is a panic in it.
struct Case<'a>(&'a Scene, &'a Change);

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let name = format!("{}: {}", self.0.name, self.1);
            println!("RAFT_LOG_CASE='{name}' cargo test -p raft-log --test sweep sweep::");
        }
    }
}

fn open(image: &Image) -> Result<(DataDir, Log), OpenError> {
    let mut dir = DataDir::open_seeded(Arc::new(image.clone()), holder(), Some(1))?;
    let log = dir.open_log(options(99))?;
    Ok((dir, log))
}

/// A look's verdict: what would be recovered, or the first refusal.
fn look(image: &Image) -> Result<(RecoveredLog, Shown), String> {
    let disk: Arc<dyn Disk> = Arc::new(image.clone());
    match inspect(&disk, &mut |_| {}) {
        Ok(found) if found.damages.is_empty() => {
            assert_eq!(found.cut.is_some(), found.log.tail_ambiguous);
            Ok((found.log, found.shown))
        }
        Ok(found) => Err(found.damages[0].to_string()),
        Err(InspectError::Refused(refusal)) => Err(refusal.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Looks at the directory and starts in it; tells what came of it.
fn try_case(scene: &Scene, change: &Change, image: &Image) -> &'static str {
    let _case = Case(scene, change);
    let before = image.fork();
    let expected = scene.layout.expected(image);
    let looked = look(image);
    assert_eq!(image.differing(&before), [""; 0], "a look changed something");
    match open(image) {
        Err(refusal) => {
            check_refusal(&refusal, &expected);
            let changed = image.differing(&before);
            assert!(changed.is_empty() || changed == ["LOCK"], "a refusal changed {changed:?}");
            assert_eq!(looked.unwrap_err(), refusal.to_string(), "a look and a start");
            REFUSED
        }
        Ok((_dir, log)) => {
            let (mut recovered, mark) = looked.expect("what a start opens");
            recovered.boot = log.recovered.boot;
            assert_eq!(recovered, log.recovered, "a look and a start");
            let index = |mark| if let Shown::At(index) = mark { Some(index.0) } else { None };
            assert_eq!(index(mark), shown(&before), "the mark of what was shown");
            check_log(scene, &log, (&expected, &before))
        }
    }
}

fn check_refusal(refusal: &OpenError, expected: &Expected) {
    let OpenError::Damaged { file, offset, first, last, .. } = refusal else {
        panic!("{refusal}");
    };
    let Expected::Refused { files, offset: at, first: from, last: to } = expected else {
        panic!("{refusal}; but it has to be {expected:?}");
    };
    assert!(files.iter().any(|name| file.ends_with(name)), "{refusal}; not {files:?}");
    assert_eq!(*offset, *at as u64, "{refusal}");
    // Of a file that is lost or cut, another file may say which indexes were in it.
    if *at > 0 {
        assert_eq!((first.map(|i| i.0), last.map(|i| i.0)), (*from, *to), "{refusal}");
    }
    let text = refusal.to_string();
    assert!(text.contains("replace it, or restore the file"), "{text}");
}

/// Of each snapshot a start says what its ends do, and whoever reads it what the rest does.
fn check_snapshots(scene: &Scene, log: &Log, image: &Image) -> (usize, &'static str) {
    let (layout, recovered) = (&scene.layout, &log.recovered);
    let usable = layout.usable(image);
    let found: Vec<_> = recovered.snapshot.iter().chain(&recovered.older_snapshots).collect();
    assert_eq!(found, usable.iter().collect::<Vec<_>>());
    for id in &usable {
        let read = log.snapshots.open(*id).and_then(|reader| reader.verify());
        assert_eq!(read.is_ok(), layout.is_kept(image, *id), "{id}: {read:?}");
    }
    let listed = log.snapshots.list().unwrap();
    let named = listed.iter().filter(|id| !usable.contains(id)).count();
    let outcome = match usable.iter().all(|id| layout.is_kept(image, *id)) {
        _ if usable.len() < layout.snapshots.len() => SPARED,
        true => WHOLE,
        false => UNREAD,
    };
    (named, outcome)
}

fn check_log(scene: &Scene, log: &Log, (expected, image): (&Expected, &Image)) -> &'static str {
    let (named, snapshots) = check_snapshots(scene, log, image);
    let recovered = &log.recovered;
    let Expected::Opened { blocks, ambiguous, hard_state } = *expected else {
        panic!("opened with {recovered:?}; but it has to be {expected:?}");
    };
    let whole = scene.layout.states.last().unwrap();
    let (entries, peers) = &scene.layout.states[blocks];
    let (start, entries) = (scene.layout.start, entries.clone());
    let model = Model { start, entries, commit: u64::MAX, ..Model::default() };
    model.check_recovered(recovered);
    model.check_read(log);
    assert_eq!(recovered.hard_state, hard_state);
    assert_eq!(rows(&recovered.peers), *peers);
    assert_eq!(recovered.tail_ambiguous, ambiguous, "{:?}", recovered.notes);
    assert_eq!(recovered.notes.len(), usize::from(ambiguous) + named);
    let lost = scene.layout.states[blocks] != *whole;
    let hint = scene.recovered.commit_hint;
    assert!(if lost { recovered.commit_hint <= hint } else { recovered.commit_hint == hint });
    match judge_loss(scene, blocks, ambiguous, hard_state, lost) {
        WHOLE => snapshots,
        loss => loss,
    }
}

fn judge_loss(
    scene: &Scene,
    blocks: usize,
    ambiguous: bool,
    hard_state: HardState,
    lost: bool,
) -> &'static str {
    let vote_lost = hard_state != scene.recovered.hard_state;
    match (lost || vote_lost, ambiguous) {
        (false, false) => WHOLE,
        (false, true) => DOUBTED,
        (true, true) if blocks < scene.unproven => PROOF_CUT,
        (true, true) if vote_lost => VOTE_CUT,
        (true, true) => CUT,
        (true, false) => {
            assert!(blocks >= scene.unproven && !vote_lost, "lost without a word");
            GONE
        }
    }
}

/// The peers' table as it stands in a block.
fn rows(peers: &[PeerBoot]) -> Vec<u8> {
    let row = |peer: &PeerBoot| {
        let (id, incarnation) = (peer.id.0.to_le_bytes(), peer.incarnation.to_le_bytes());
        [&id[..], &incarnation, &peer.epoch.to_le_bytes(), &peer.nonce.to_le_bytes()].concat()
    };
    peers.iter().flat_map(row).collect()
}

pub fn is_long() -> bool {
    std::env::var_os("RAFT_TEST_LONG").is_some()
}

/// Does all these changes, on two threads.
fn run(scene: &Scene, changes: &[Change]) -> Outcomes {
    let wanted = std::env::var("RAFT_LOG_CASE").ok();
    let half = |parity: usize| {
        let mut outcomes = Outcomes::new();
        for change in changes.iter().skip(parity).step_by(2) {
            let other = |name: &String| *name != format!("{}: {change}", scene.name);
            if wanted.as_ref().is_some_and(other) {
                continue;
            }
            if let Some(image) = change.of(&scene.image) {
                *outcomes.entry(try_case(scene, change, &image)).or_default() += 1;
            }
        }
        outcomes
    };
    let (mut all, odd) = thread::scope(|scope| {
        let odd = scope.spawn(|| half(1));
        (half(0), odd.join().expect("no failure in the other half"))
    });
    odd.into_iter().for_each(|(outcome, count)| *all.entry(outcome).or_default() += count);
    for (outcome, count) in &all {
        println!("{:18} {count:7} {outcome}", scene.name);
    }
    all
}

/// A bit that is turned, all zeros, all ones: for a byte that is zero one of them is enough. With
/// RAFT_TEST_LONG every bit, and all three everywhere.
fn bytes_at(file: &str, at: usize, old: u8, changes: &mut Vec<Change>) {
    let chosen = (at.wrapping_mul(0x9e37_79b1) >> 7) % 8;
    let mut values = vec![old ^ (1 << chosen), 0x00, 0xff];
    if is_long() {
        values.extend((0..8).filter(|bit| *bit != chosen).map(|bit| old ^ (1 << bit)));
    } else if old == 0 {
        values = vec![if at.is_multiple_of(2) { 0xff } else { 1 << chosen }];
    }
    values.retain(|value| *value != old);
    values.sort_unstable();
    values.dedup();
    changes.extend(values.into_iter().map(|value| Change::Byte { file: file.into(), at, value }));
}

/// Every byte that means something, and samples of those that do not.
fn byte_changes(scene: &Scene) -> Vec<Change> {
    let mut changes = Vec::new();
    let newest_only = scene.name != "fresh" && !is_long();
    for name in scene.image.names() {
        let bytes = scene.image.read(&name).unwrap();
        let slot = scene.layout.chain.iter().find(|slot| slot.name == name);
        let is_snapshot = name.starts_with("snap/");
        if newest_only && name != scene.layout.newest().name && !is_snapshot {
            continue;
        }
        for (at, old) in bytes.iter().enumerate() {
            let counts = match slot {
                Some(slot) => at < 2 * PAGE || slot.blocks.iter().any(|b| b.at <= at && at < b.end),
                None if name.ends_with(".seg") => false,
                None if is_snapshot => true,
                None => name != "LOCK" && (at < 64 || name == "NODE" || *old != 0),
            };
            if counts || at % 17 == 0 {
                bytes_at(&name, at, *old, &mut changes);
            }
        }
    }
    changes
}

fn slot_names(scene: &Scene) -> Vec<String> {
    scene.image.names().into_iter().filter(|name| name.ends_with(".seg")).collect()
}

/// Every page zeroed, swapped with every other, and as it was at any time before.
fn page_changes(scene: &Scene) -> Vec<Change> {
    let (mut changes, mut pages) = (Vec::new(), Vec::new());
    for name in slot_names(scene) {
        let count = scene.image.read(&name).unwrap().len() / PAGE;
        pages.extend((0..count).map(|page| (name.clone(), page)));
    }
    for (at, (file, page)) in pages.iter().enumerate() {
        for (what, byte) in [("zeroed", 0x00), ("all ones", 0xff)] {
            let bytes = vec![byte; PAGE];
            changes.push(Change::Page { file: file.clone(), page: *page, what, bytes });
        }
        let swap = |other: &(String, usize)| Change::Swap {
            one: (file.clone(), *page),
            other: other.clone(),
        };
        changes.extend(pages[at + 1..].iter().map(swap));
    }
    for (file, page, bytes) in scene.older.clone() {
        changes.push(Change::Page { file, page, what: "as it was before", bytes });
    }
    changes
}

/// Every file cut at every page (NODE at every byte) and grown, removed, and slots exchanged.
fn file_changes(scene: &Scene) -> Vec<Change> {
    let mut changes = Vec::new();
    for file in scene.image.names() {
        let length = scene.image.read(&file).unwrap().len();
        let step = if file == "NODE" || file.starts_with("snap/") { 1 } else { PAGE };
        let lengths = (0..length).step_by(step).chain([length - 1, length + PAGE, 2 * length]);
        changes.extend(lengths.map(|bytes| Change::Length { file: file.clone(), bytes }));
        changes.push(Change::Remove { file });
    }
    let slots = slot_names(scene);
    for (at, one) in slots.iter().enumerate() {
        let exchange = |other: &String| Change::Exchange { one: one.clone(), other: other.clone() };
        changes.extend(slots[at + 1..].iter().map(exchange));
    }
    changes
}

/// The outcomes by which something is lost.
fn losses(scene: &Scene, outcomes: &Outcomes) -> Vec<(&'static str, &'static str, u64)> {
    let lost = outcomes
        .iter()
        .filter(|(name, _)| ![REFUSED, WHOLE, DOUBTED, SPARED, UNREAD].contains(name));
    lost.map(|(outcome, count)| (scene.name, *outcome, *count)).collect()
}

/// One byte costs at most the last commit, never a vote, and the start says so.
#[test]
fn every_byte() {
    for scene in scenes() {
        let outcomes = run(&scene, &byte_changes(&scene));
        let allowed = |outcome| outcome == CUT && !scene.name.ends_with("attested");
        let losses = losses(&scene, &outcomes);
        assert!(losses.iter().all(|(_, outcome, _)| allowed(*outcome)), "{losses:?}");
    }
}

/// Some of the changes of pages and files, for a reader that takes longer: every so many-th.
pub fn samples(scene: &Scene, step: usize) -> Vec<Change> {
    let pages = page_changes(scene);
    let files = file_changes(scene);
    pages.into_iter().step_by(step * 3).chain(files.into_iter().step_by(step)).collect()
}

#[test]
fn every_page() {
    let mut found = Vec::new();
    for scene in scenes() {
        found.extend(losses(&scene, &run(&scene, &page_changes(&scene))));
    }
    if std::env::var_os("RAFT_LOG_CASE").is_none() {
        found.sort_unstable();
        let mut known = LOSSES;
        known.sort_unstable();
        assert_eq!(found, known);
    }
}

/// A file that is cut, grown, gone or in the place of another costs nothing: it is refused.
#[test]
fn every_file() {
    for scene in scenes() {
        assert_eq!(losses(&scene, &run(&scene, &file_changes(&scene))), []);
    }
}
