//! Snapshot files: written, shared, read, sent, received, damaged, and gone again.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use std::io::Read;

use raft_core::LogId;
use raft_log::{
    DataDir, InspectedSnapshot, SnapshotError, SnapshotInfo, SnapshotPart, SnapshotReader,
    Snapshots,
};
use support::{Crash, MemDisk, Random, open};

const OWN: &[u8] = b"sessions and members";
const MIB: usize = 1 << 20;

/// What a state machine writes: parts, each with its bytes.
type State = Vec<(SnapshotPart, Vec<u8>)>;

fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    (0..length).map(|_| random.next().to_le_bytes()[0]).collect()
}

fn sealed(name: u64, length: usize) -> (SnapshotPart, Vec<u8>) {
    (SnapshotPart::Sealed(name), bytes(length, name))
}

fn changing(length: usize, seed: u64) -> (SnapshotPart, Vec<u8>) {
    (SnapshotPart::Changing, bytes(length, seed))
}

fn new() -> (MemDisk, DataDir, Snapshots) {
    let disk = MemDisk::default();
    let (dir, log) = open(&disk, 1).unwrap();
    drop(log);
    let snapshots = dir.snapshots().unwrap();
    (disk, dir, snapshots)
}

fn again(disk: &MemDisk) -> (DataDir, Snapshots) {
    let dir = DataDir::open(std::sync::Arc::new(disk.clone()), support::holder()).unwrap();
    let snapshots = dir.snapshots().unwrap();
    (dir, snapshots)
}

/// Writes a snapshot; tells which parts were asked for.
fn write(
    snapshots: &Snapshots,
    id: LogId,
    state: &State,
) -> Result<(SnapshotInfo, Vec<usize>), SnapshotError> {
    let mut asked = Vec::new();
    let mut writer = snapshots.write(id, OWN)?;
    for (number, (part, bytes)) in state.iter().enumerate() {
        writer.part(*part, |to| {
            asked.push(number);
            bytes.chunks(1000).try_for_each(|chunk| to.write_all(chunk))
        })?;
    }
    Ok((writer.finish()?, asked))
}

fn read(snapshot: &SnapshotReader) -> Result<(Vec<u8>, Vec<u8>), String> {
    let mut contents = snapshot.contents().map_err(|error| error.to_string())?;
    let mut state = Vec::new();
    contents.read_to_end(&mut state).map_err(|error| error.to_string())?;
    Ok((contents.take_own(), state))
}

fn check(snapshots: &Snapshots, id: LogId, state: &State) {
    let snapshot = snapshots.open(id).unwrap();
    snapshot.verify().unwrap();
    let all: Vec<u8> = state.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    let (own, found) = read(&snapshot).unwrap();
    assert!(own == OWN && found == all, "{id} reads otherwise than it was written");
}

fn files(disk: &MemDisk) -> Vec<String> {
    let names = disk.names().into_iter();
    names.filter_map(|name| name.strip_prefix("snap/").map(str::to_owned)).collect()
}

#[test]
fn what_was_written_is_read() {
    let (_disk, _dir, snapshots) = new();
    let states: [State; 5] = [
        vec![],
        vec![changing(0, 1)],
        vec![changing(10, 1), sealed(7, 0), changing(0, 2), sealed(8, 3000)],
        vec![sealed(9, MIB), changing(MIB, 3), changing(MIB + 1, 4)],
        vec![changing(1, 5), sealed(u64::MAX, 3 * MIB + 17), sealed(9, MIB), changing(2 * MIB, 6)],
    ];
    for (index, state) in (1..).zip(&states) {
        write(&snapshots, LogId::new(index, 2), state).unwrap();
        check(&snapshots, LogId::new(index, 2), state);
    }
    let ids: Vec<LogId> = (1..=5).rev().map(|index| LogId::new(index, 2)).collect();
    assert_eq!(snapshots.list().unwrap(), ids);
}

#[test]
fn sealed_parts_are_written_once_and_go_with_the_last_that_names_them() {
    let (disk, _dir, snapshots) = new();
    let states: [State; 3] = [
        vec![sealed(1, 500), sealed(2, 500), changing(5, 1)],
        vec![sealed(1, 500), sealed(2, 500), sealed(3, 500), changing(6, 2)],
        vec![sealed(3, 500), sealed(4, 500), changing(7, 3)],
    ];
    let asked: Vec<Vec<usize>> = (1..)
        .zip(&states)
        .map(|(index, state)| {
            let (info, asked) = write(&snapshots, LogId::new(index, 1), state).unwrap();
            snapshots.prune(info.id).unwrap();
            asked
        })
        .collect();
    assert_eq!(asked, [vec![0, 1, 2], vec![2, 3], vec![1, 2]]);
    let part = |name| format!("{name:016x}.part");
    let mut expected = vec!["2-1".into(), "3-1".into()];
    expected.extend((1..=4).map(part));
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(sorted(files(&disk)), sorted(expected), "two snapshots and their parts stay");
    let open = snapshots.open(LogId::new(2, 1)).unwrap();
    let (info, _) = write(&snapshots, LogId::new(9, 1), &vec![sealed(4, 500)]).unwrap();
    snapshots.prune(info.id).unwrap();
    assert_eq!(read(&open).unwrap().1.len(), 1506, "one that is read stays");
    write(&snapshots, LogId::new(1, 1), &vec![sealed(1, 500)]).unwrap();
    snapshots.prune(info.id).unwrap();
    assert!(!files(&disk).contains(&"1-1".to_owned()), "one that is read does not keep older ones");
    drop(open);
    snapshots.prune(info.id).unwrap();
    let expected = vec!["3-1".into(), "9-1".into(), part(3), part(4)];
    assert_eq!(sorted(files(&disk)), sorted(expected));
}

/// The helper removes nothing that a received snapshot, or one that is newer, needs.
#[test]
fn pruning_spares_what_is_newer_what_is_damaged_and_what_is_made() {
    let (disk, _dir, snapshots) = new();
    for index in 1..=4 {
        write(&snapshots, LogId::new(index, 1), &vec![sealed(index, 10)]).unwrap();
    }
    let mut making = snapshots.write(LogId::new(3, 2), OWN).unwrap();
    making.part(SnapshotPart::Sealed(1), |_| Ok(())).unwrap();
    disk.damage("snap/2-1", |bytes| bytes[200] ^= 1);
    snapshots.prune(LogId::new(3, 1)).unwrap();
    assert_eq!(snapshots.list().unwrap().len(), 4, "2-1 may be damaged, 1-1 is the one before");
    making.finish().unwrap();
    disk.take_away("snap/2-1");
    disk.take_away("snap/1-1");
    disk.put("snap/notes", vec![1]);
    disk.put("snap/7-7-00000000.recv", vec![1]);
    snapshots.prune(LogId::new(3, 2)).unwrap();
    let parts = [1, 3, 4].map(|name: u64| format!("{name:016x}.part"));
    let mut expected: Vec<String> = ["3-1", "3-2", "4-1", "notes"].map(str::to_owned).to_vec();
    expected.extend(parts);
    expected.sort();
    assert_eq!(files(&disk), expected);
}

/// Every byte of every file is covered, and no length but the right one passes.
#[test]
fn every_damaged_byte_is_noticed() {
    let (disk, _dir, snapshots) = new();
    let (id, state) = (LogId::new(5, 2), vec![sealed(1, 60), changing(40, 1), sealed(2, 0)]);
    write(&snapshots, id, &state).unwrap();
    let found = || -> Result<(), String> {
        let snapshot = snapshots.open(id).map_err(|error| error.to_string())?;
        snapshot.verify().map_err(|error| error.to_string())
    };
    let mut cases = 0;
    for name in files(&disk) {
        let name = format!("snap/{name}");
        let whole = disk.read(&name);
        for at in 0..whole.len() {
            for bit in [1, 128] {
                disk.damage(&name, |bytes| bytes[at] ^= bit);
                assert!(found().unwrap_err().contains(&name), "{name}: byte {at}");
                disk.put(&name, whole[..at].to_vec());
                assert!(found().unwrap_err().contains(&name), "{name}: cut at {at}");
                disk.put(&name, whole.clone());
                cases += 2;
            }
        }
        disk.put(&name, [&whole[..], &[0]].concat());
        assert!(found().is_err(), "{name}: longer than it was");
        disk.put(&name, whole.clone());
        disk.take_away(&name);
        assert!(found().is_err(), "{name}: missing");
        disk.put(&name, whole);
    }
    println!("{cases} damaged snapshots");
    found().unwrap();
    check(&snapshots, id, &state);
}

#[test]
fn what_is_newer_or_of_another_cluster_is_named() {
    let (disk, _dir, snapshots) = new();
    let id = LogId::new(5, 2);
    write(&snapshots, id, &vec![changing(40, 1)]).unwrap();
    let whole = disk.read("snap/5-2");
    let change = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        let crc = crc32c::crc32c(&[&bytes[..12], &bytes[16..128]].concat());
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        disk.put("snap/5-2", bytes);
        snapshots.open(id).map(drop).unwrap_err().to_string()
    };
    let newer = "/disk/snap/5-2: written in format 2.0 with features 0x0, newer than this program \
                 knows";
    assert_eq!(change(8, 2), newer);
    assert!(change(16, 2).contains("format 1.0 with features 0x2"));
    assert!(change(32, 7).contains("a snapshot of cluster"));
    assert!(change(48, 6).contains("made under another name"));
}

#[test]
fn a_full_disk_leaves_no_temporary_file() {
    let (disk, _dir, snapshots) = new();
    let state = vec![changing(2000, 1), sealed(1, 3000), changing(100, 2)];
    let mut refused = 0;
    for free in (0..7000).step_by(50) {
        let id = LogId::new(free + 1, 1);
        disk.set_free(Some(free));
        match write(&snapshots, id, &state) {
            Ok(_) => {
                disk.set_free(None);
                check(&snapshots, id, &state);
            }
            Err(SnapshotError::NoSpace { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        disk.set_free(None);
        assert!(!files(&disk).iter().any(|name| name.ends_with(".tmp")), "{:?}", files(&disk));
    }
    assert!((10..140).contains(&refused), "{refused} of 140 attempts found the disk full");
}

/// Sends pieces of any size until the receiver has all, or for `pieces`.
fn send(
    from: &SnapshotReader,
    to: &Snapshots,
    random: &mut Random,
    pieces: u64,
) -> Result<(Option<SnapshotInfo>, u64), SnapshotError> {
    let mut receiver = to.receive(from.info())?;
    let (mut sent, mut left) = (0, pieces);
    while let Some(offset) = receiver.wanted() {
        if left == 0 {
            return Ok((None, sent));
        }
        left -= 1;
        let again = random.below(200).min(offset);
        let size = 1 + usize::try_from(random.below(900)).unwrap();
        let piece = from.read_at(offset - again, size).unwrap();
        sent += piece.len() as u64;
        receiver.add(offset - again, &piece)?;
    }
    Ok((Some(receiver.finish()?), sent))
}

#[test]
fn a_snapshot_arrives_over_broken_connections_and_restarts() {
    for seed in 1..=30 {
        let mut random = Random(seed);
        let (_, _from_dir, source) = new();
        let (mut disk, dir, target) = new();
        let state = vec![changing(3000, 1), sealed(1, 5000), sealed(2, 700), changing(9, 2)];
        let id = LogId::new(5, 2);
        write(&source, id, &state).unwrap();
        // One of the parts is there already.
        write(&target, LogId::new(2, 1), &vec![sealed(1, 5000)]).unwrap();
        let from = source.open(id).unwrap();
        let mut here = Some((dir, target));
        let (mut sent, mut crashes) = (0, 0);
        loop {
            let (_, target) = here.as_ref().unwrap();
            let pieces = 1 + random.below(8);
            let (received, bytes) = match send(&from, target, &mut random, pieces) {
                Err(SnapshotError::Damaged { .. }) => (None, 0),
                done => done.unwrap(),
            };
            sent += bytes;
            if received.is_some() {
                assert_eq!(received, Some(from.info()));
                break;
            }
            assert!(!target.list().unwrap().contains(&id), "counts before it is whole");
            if random.chance(4) && crashes < 3 {
                crashes += 1;
                drop(here.take());
                let crash = [Crash::Process, Crash::PowerTorn(512), Crash::PowerNothing];
                disk = disk.crash(crash[usize::try_from(random.below(3)).unwrap()], &mut random);
                here = Some(again(&disk));
            }
        }
        let (_, target) = here.as_ref().unwrap();
        check(target, id, &state);
        let wasted = sent.saturating_sub(from.info().bytes);
        assert!(crashes > 0 || wasted < 5000, "seed {seed}: {sent} bytes sent");
    }
}

#[test]
fn what_arrives_damaged_never_counts() {
    let (_, _from_dir, source) = new();
    let state = vec![changing(300, 1), sealed(1, 200)];
    let id = LogId::new(5, 2);
    write(&source, id, &state).unwrap();
    let from = source.open(id).unwrap();
    let whole = |offset: u64| {
        let bytes = from.read_at(offset, MIB).unwrap();
        if bytes.is_empty() { None } else { Some((offset, bytes)) }
    };
    let (disk, _dir, target) = new();
    for at in 0..from.info().bytes {
        let mut receiver = target.receive(from.info()).unwrap();
        let result = (|| -> Result<SnapshotInfo, SnapshotError> {
            while let Some((offset, bytes)) = receiver.wanted().and_then(whole) {
                let mut bytes = bytes.to_vec();
                if let Some(byte) = at.checked_sub(offset).and_then(|at| bytes.get_mut(at as usize))
                {
                    *byte ^= 4;
                }
                receiver.add(offset, &bytes)?;
            }
            receiver.finish()
        })();
        assert!(result.is_err(), "byte {at} was damaged on its way");
        assert_eq!(target.list().unwrap(), []);
    }
    let (info, _) = send(&from, &target, &mut Random(1), u64::MAX).unwrap();
    assert_eq!(info, Some(from.info()));
    check(&target, id, &state);
    assert!(!files(&disk).iter().any(|name| name.ends_with(".recv")), "{:?}", files(&disk));
}

#[test]
fn a_receiver_on_a_full_disk_frees_what_it_took() {
    let (_, _from_dir, source) = new();
    let id = LogId::new(5, 2);
    write(&source, id, &vec![changing(3000, 1), sealed(1, 5000)]).unwrap();
    let from = source.open(id).unwrap();
    let (disk, _dir, target) = new();
    disk.set_free(Some(4000));
    let full = send(&from, &target, &mut Random(1), u64::MAX).unwrap_err();
    assert!(matches!(full, SnapshotError::NoSpace { .. }), "{full}");
    assert_eq!(files(&disk), Vec::<String>::new());
    disk.set_free(None);
    assert_eq!(send(&from, &target, &mut Random(1), u64::MAX).unwrap().0, Some(from.info()));
}

#[test]
fn on_a_real_disk_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let disk = std::sync::Arc::new(raft_log::RealDisk::open(dir.path()).unwrap());
    let mut data = DataDir::open(disk, support::holder()).unwrap();
    let incarnation = data.identity().incarnation();
    data.set_identity(raft_log::NodeState::Member(support::identity(incarnation))).unwrap();
    let snapshots = data.snapshots().unwrap();
    let state = vec![changing(2 * MIB, 1), sealed(1, MIB)];
    write(&snapshots, LogId::new(5, 2), &state).unwrap();
    check(&snapshots, LogId::new(5, 2), &state);
    let mode =
        |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("snap"), mode("snap/5-2")), (0o700, 0o600));
    assert_eq!(mode("snap/0000000000000001.part"), 0o600);
}

/// A state of every kind of part, in two snapshots.
fn two(snapshots: &Snapshots) -> [(LogId, State); 2] {
    let older = vec![changing(10, 1), sealed(7, 0), sealed(8, MIB + 3000), changing(0, 2)];
    let newer = vec![sealed(8, MIB + 3000), changing(MIB, 3), changing(100, 4), sealed(9, 50)];
    let both = [(LogId::new(5, 2), older), (LogId::new(9, 3), newer)];
    for (id, state) in &both {
        write(snapshots, *id, state).unwrap();
    }
    both
}

fn save(snapshots: &Snapshots, to: &MemDisk) -> Result<Option<(LogId, usize)>, SnapshotError> {
    let mut last = 0;
    let saved = snapshots.save(to, "kept.snap", &mut |progress| {
        assert!(last <= progress.done && progress.done <= progress.total);
        last = progress.done;
    });
    Ok(saved?.map(|(id, faults)| (id, faults.len())))
}

fn open_saved(disk: &MemDisk) -> Result<SnapshotReader, SnapshotError> {
    Snapshots::open_saved(std::sync::Arc::new(disk.clone()), "kept.snap")
}

#[test]
fn a_saved_snapshot_is_one_file_and_needs_no_other() {
    let (_disk, _dir, snapshots) = new();
    let to = MemDisk::default();
    assert_eq!(save(&snapshots, &to).unwrap(), None, "there is none");
    let [_, (id, state)] = two(&snapshots);
    to.put("kept.snap", b"an older one".to_vec());
    to.put("kept.snap.tmp", b"left behind".to_vec());
    assert_eq!(save(&snapshots, &to).unwrap(), Some((id, 0)));
    assert_eq!(to.names(), ["kept.snap"]);
    let saved = open_saved(&to.crash(Crash::PowerNothing, &mut Random(1))).unwrap();
    assert_eq!((saved.info().id, saved.cluster()), (id, 99));
    let all: Vec<u8> = state.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    let (own, found) = read(&saved).unwrap();
    assert!(own == OWN && found == all, "it reads otherwise than it was written");
    assert_eq!(saved.parts(), [SnapshotPart::Changing; 4]);
}

#[test]
fn no_byte_of_a_saved_snapshot_can_change() {
    let (_disk, _dir, snapshots) = new();
    let state = vec![changing(300, 1), sealed(7, 200), changing(0, 2)];
    write(&snapshots, LogId::new(5, 2), &state).unwrap();
    let to = MemDisk::default();
    save(&snapshots, &to).unwrap();
    let whole = to.read("kept.snap");
    // Reserved bytes are covered too.
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        to.put("kept.snap", bytes);
        let read = open_saved(&to).and_then(|snapshot| snapshot.verify());
        assert!(read.is_err(), "byte {at}");
    }
    for length in 0..whole.len() {
        to.put("kept.snap", whole[..length].to_vec());
        let read = open_saved(&to).and_then(|snapshot| snapshot.verify());
        assert!(read.is_err(), "{length} bytes");
    }
}

#[test]
fn the_newest_sound_one_is_saved() {
    let (disk, _dir, snapshots) = new();
    let [(older, _), (newer, _)] = two(&snapshots);
    let to = MemDisk::default();
    // Right at its ends, wrong in between.
    disk.damage("snap/9-3", |bytes| bytes[300_000] ^= 1);
    assert_eq!(save(&snapshots, &to).unwrap(), Some((older, 1)));
    assert_eq!(open_saved(&to).unwrap().info().id, older);
    to.take_away("kept.snap");
    disk.damage("snap/0000000000000008.part", |bytes| bytes[5000] ^= 1);
    let error = save(&snapshots, &to).unwrap_err();
    assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
    assert_eq!(to.names(), [""; 0], "nothing is left of what could not be saved");
    let mut looked = snapshots.look(|id| id != newer).unwrap();
    assert_eq!(
        looked.iter().map(|row| (row.id, row.fault.is_none())).collect::<Vec<_>>(),
        [(newer, true), (older, true)]
    );
    assert_eq!(looked.iter().map(InspectedSnapshot::serves).collect::<Vec<_>>(), [false, true]);
    snapshots.verify(&mut looked, &mut |_| {}).unwrap();
    assert!(looked.iter().all(|row| row.fault.is_some() && !row.serves()));
}

#[test]
fn a_snapshot_that_shares_parts_is_no_saved_one() {
    let (disk, _dir, snapshots) = new();
    two(&snapshots);
    let to = MemDisk::default();
    to.put("kept.snap", disk.read("snap/5-2"));
    let error = open_saved(&to).unwrap_err().to_string();
    assert!(error.contains("it shares parts with others"), "{error}");
}
