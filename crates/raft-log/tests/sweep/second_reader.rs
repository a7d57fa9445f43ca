//! `docs/read_log.py` reads a directory by the document alone. It and the log must say the same
//! of every directory, whole or damaged.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;

use raft_core::NodeId;
use raft_log::{
    Disk, InspectError, Inspection, Kind, MemberIdentity, OpenError, RealDisk, Shown, inspect,
};

use crate::image::Image;
use crate::scene::scenes;
use crate::support::model::Model;
use crate::support::{Crash, MemDisk, Random, open};
use crate::sweep::{is_long, samples};

/// What the script says; `None` if there is no Python on this machine. With CI set there has to be.
fn script(dir: &Path) -> Option<Output> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/read_log.py");
    match Command::new("python3").arg(path).arg(dir).stdin(Stdio::null()).output() {
        Ok(output) => Some(output),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "python3 is missing: {error}");
            println!("skipped: there is no python3");
            None
        }
    }
}

fn look(dir: &Path) -> Result<Inspection, InspectError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open_read_only(dir).unwrap());
    inspect(&disk, &mut |_| {})
}

/// What the script has to say of a directory that is whole.
fn told(inspection: &Inspection) -> String {
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{words}").unwrap();
    let MemberIdentity { cluster, id, address, founders, .. } = &inspection.identity;
    let state = if inspection.removed_at.is_some() { "removed" } else { "member" };
    line(format!("state {state}"));
    line(format!("cluster {cluster:032x}"));
    line(format!("node {id}", id = id.0));
    line(format!("address {address}"));
    inspection.removed_at.iter().for_each(|at| line(format!("removed-at {at}")));
    for founder in founders {
        line(format!("founder {:032x} {}", founder.incarnation, founder.address));
    }
    match inspection.shown {
        Shown::At(index) => line(format!("shown {index}")),
        Shown::Lost(_) => line("shown lost".into()),
    }
    let log = &inspection.log;
    line(format!("begins after {}", log.start.index));
    let snapshot = log.snapshot.map_or("none".into(), |id| id.index.to_string());
    line(format!("snapshot {snapshot}"));
    line(format!("starts {}", inspection.starts));
    line(format!("term {}", log.hard_state.term));
    let vote = log.hard_state.voted_for.map_or("none".into(), |NodeId(id)| id.to_string());
    line(format!("vote {vote}"));
    line(format!("last {}", log.last_index));
    line(format!("committed at least {}", log.commit_hint));
    line(format!("torn end {}", if log.tail_ambiguous { "yes" } else { "no" }));
    log.peers.iter().for_each(|peer| line(format!("peer {} start {}", peer.id.0, peer.epoch)));
    for slot in &inspection.slots {
        let mut contents = inspection.contents(slot).unwrap();
        for block in &slot.blocks {
            let entries = contents.entries(block).unwrap();
            for entry in entries.iter().filter(|entry| !entry.void).map(|entry| &entry.entry) {
                let kind = match entry.kind {
                    Kind::NOOP => "no-op".into(),
                    Kind::MEMBERSHIP => "membership".into(),
                    Kind::COMMAND => "command".into(),
                    Kind::SESSION => "session".into(),
                    Kind(other) => format!("kind {other}"),
                };
                let (length, crc) = (entry.payload.len(), crc32c::crc32c(&entry.payload));
                let (index, term) = (entry.index, entry.term);
                line(format!("entry {index} term {term} {kind} {length} bytes {crc:08x}"));
            }
        }
    }
    text
}

/// The file that a refusal names.
fn named(error: &OpenError) -> String {
    let (OpenError::Damaged { file, .. }
    | OpenError::OtherIdentity { file, .. }
    | OpenError::TooNew { file, .. }) = error
    else {
        panic!("{error}");
    };
    file.file_name().unwrap().to_string_lossy().into_owned()
}

/// Whether both read it; false if they refuse it. `None` without Python.
pub fn compare(dir: &Path, case: &str) -> Option<bool> {
    let output = script(dir)?;
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    let refusal = match look(dir) {
        Ok(mut inspection) if !inspection.damages.is_empty() => inspection.damages.remove(0),
        Ok(inspection) => {
            assert_eq!(out, told(&inspection), "{case}: {err}");
            assert_eq!(output.status.code(), Some(0), "{case}");
            return Some(true);
        }
        Err(InspectError::New { .. }) => {
            assert_eq!((&*out, output.status.code()), ("state new\n", Some(0)), "{case}: {err}");
            return Some(true);
        }
        Err(InspectError::Refused(refusal)) => refusal,
        Err(error) => panic!("{case}: {error}"),
    };
    assert_eq!(output.status.code(), Some(1), "{case}: {refusal}\n{out}");
    let same = err.starts_with("refused: ") && err.contains(&named(&refusal));
    assert!(same, "{case}: {refusal}, but\n{err}");
    Some(false)
}

pub fn write_out(image: &Image, dir: &Path) {
    fs::create_dir_all(dir.join("wal")).unwrap();
    for name in image.names() {
        fs::write(dir.join(&name), &**image.read(&name).unwrap()).unwrap();
    }
}

#[test]
fn both_read_the_kept_directories() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut dirs: Vec<_> =
        fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    dirs.sort();
    for dir in dirs {
        let Some(read) = compare(&dir, &dir.display().to_string()) else { return };
        assert!(read, "{}", dir.display());
    }
}

/// Random work over several starts, a crash at the end, and often damage.
fn random_directory(seed: u64) -> Image {
    let mut random = Random(seed);
    let (disk, mut model) = (MemDisk::default(), Model::default());
    for start in 0..1 + random.below(4) {
        let (_dir, mut log) = open(&disk, seed * 10 + start + 1).unwrap();
        for _ in 0..random.below(12) {
            log.writer.write(&[model.random_write(&mut random, 4000)]).unwrap();
        }
    }
    let crash = if random.chance(2) { Crash::Process } else { Crash::PowerTorn(512) };
    let image = Image::of(&disk.crash(crash, &mut random));
    if random.chance(2) {
        let names = image.names();
        let name = &names[usize::try_from(random.below(names.len() as u64)).unwrap()];
        let mut bytes = image.read(name).unwrap().to_vec();
        // Headers and first blocks rather than the zeros behind.
        let at = random.below(bytes.len().min(30_000) as u64);
        // LOCK and SHOWN are never synced: a crash may leave them empty.
        if let Some(byte) = bytes.get_mut(usize::try_from(at).unwrap()) {
            *byte ^= 1 << random.below(8);
        }
        image.put(name, bytes);
    }
    image
}

/// On two threads: how many directories were refused and how many read, by both alike; `None`
/// without Python.
fn compare_all(
    count: usize,
    make: impl Fn(usize) -> Option<(Image, String)> + Sync,
) -> Option<[u32; 2]> {
    let half = |parity: usize| {
        let mut read = [0; 2];
        for (image, case) in (parity..count).step_by(2).filter_map(&make) {
            let temp = tempfile::tempdir().unwrap();
            write_out(&image, temp.path());
            read[usize::from(compare(temp.path(), &case)?)] += 1;
        }
        Some(read)
    };
    let (even, odd) = thread::scope(|scope| {
        let odd = scope.spawn(|| half(1));
        (half(0), odd.join().unwrap())
    });
    let ([refused, read], [refused_too, read_too]) = (even?, odd?);
    println!("{} directories read, {} refused", read + read_too, refused + refused_too);
    Some([refused + refused_too, read + read_too])
}

#[test]
fn both_read_random_directories() {
    let seeds = if is_long() { 2000 } else { 48 };
    let make = |seed: usize| Some((random_directory(seed as u64), format!("seed {seed}")));
    let Some([refused, read]) = compare_all(seeds, make) else { return };
    assert!(read > 20 && refused > 5, "{read} read, {refused} refused");
}

#[test]
fn both_refuse_what_was_damaged() {
    for scene in scenes().iter().step_by(2) {
        let changes = samples(scene, if is_long() { 2 } else { 18 });
        let make = |at: usize| {
            let name = format!("{}: {}", scene.name, changes[at]);
            Some((changes[at].of(&scene.image)?, name))
        };
        let Some([refused, _]) = compare_all(changes.len(), make) else { return };
        assert!(refused > 10, "{refused} refused");
    }
}
