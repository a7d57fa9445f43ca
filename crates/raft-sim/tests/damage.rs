//! Damage, done to a log of one server: each kind hits what it says, and a start comes to the
//! right verdict whatever is hit.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::{HardState, Index, NodeId, Term};
use raft_log::{
    DataDir, Founder, Holder, Kind, Log, MemberIdentity, NodeState, OpenError, Options, ReadError,
    Write, encode_entry,
};
use raft_node::random::Random;
use raft_sim::disk::{Harm, Part, Platter};

fn open(platter: &Platter, seed: u64) -> Result<(DataDir, Log), OpenError> {
    let holder = Holder { pid: 1, address: ":1".into() };
    let mut dir = DataDir::open_seeded(platter.mount(), holder, Some(7))?;
    if let NodeState::New { incarnation } = *dir.identity() {
        let (cluster, id, address) = (5, NodeId(1), ":1".to_owned());
        let founders = vec![Founder { address: address.clone(), incarnation }];
        let me = MemberIdentity { incarnation, cluster, id, address, founders };
        dir.set_identity(NodeState::Member(me)).expect("a sound disk");
    }
    let bytes = 32 * 1024;
    let options =
        Options { slot_bytes_start: bytes, slot_bytes_max: bytes, spares: 1, seed: Some(seed) };
    dir.open_log(options).map(|log| (dir, log))
}

fn payload(index: u64) -> Bytes {
    Bytes::from(format!("entry {index} ").repeat(100))
}

fn entry(index: u64) -> Write {
    let entry = encode_entry(Index(index), Term(1), Kind::COMMAND, &[&payload(index)]);
    Write { first: Index(index), count: 1, entries: vec![entry], ..Write::default() }
}

fn vote(start: u64) -> Write {
    let hard_state = HardState { term: Term(start + 1), voted_for: Some(NodeId(1)) };
    Write { hard_state: Some(hard_state), ..Write::default() }
}

/// A server's disk after some starts, and what it must remember.
fn used(seed: u64) -> (Platter, u64) {
    let platter = Platter::new(seed);
    let mut last = 0;
    for start in 0..3 {
        // Starts after which little is written use slots again.
        for idle in 0..seed % 4 {
            drop(open(&platter, 10 * start + idle).expect("a sound disk"));
            platter.kill();
        }
        let (_dir, mut log) = open(&platter, 10 * start + 9).expect("a sound disk");
        if !seed.is_multiple_of(3) {
            log.writer.write(&[vote(start)]).unwrap();
        }
        for place in 0..7 {
            last += 1;
            // The last vote is sometimes all that the newest commit holds.
            let votes = place == 6 && seed.is_multiple_of(3);
            let write = if votes { vote(start) } else { entry(last) };
            last -= u64::from(votes);
            log.writer.write(&[write]).unwrap();
        }
        platter.kill();
    }
    (platter, last)
}

/// Opens after a cut of power: correct, or refused with the place named.
fn verdict(platter: &Platter, last: u64, forgets: Option<Index>) -> &'static str {
    platter.cut();
    let (_dir, log) = match open(platter, 99) {
        Ok(opened) => opened,
        Err(OpenError::Damaged { file, .. }) => {
            assert!(file.starts_with("/simulated"));
            return "refused";
        }
        Err(error) => panic!("{error}"),
    };
    let held = log.recovered.last_index;
    assert!(held.0 == last || forgets.is_some_and(|from| from <= held.next()), "{held} of {last}");
    assert_eq!(log.recovered.hard_state.term, Term(3), "a vote is not forgotten");
    let mut index = 0;
    while index < held.0 {
        let range = log.reader.read(Index(index + 1), held, 1 << 20).expect("it was just verified");
        for entry in range.entries {
            index += 1;
            assert_eq!((entry.index, entry.payload), (Index(index), payload(index)));
        }
    }
    if held.0 < last { "forgotten" } else { "whole" }
}

#[test]
fn whatever_rots_or_gets_old_is_refused_or_does_no_harm() {
    let mut seen = BTreeMap::<(Harm, Part), BTreeMap<&str, u32>>::new();
    for seed in 0..600 {
        let (platter, last) = used(seed);
        let harm = if seed % 2 == 0 { Harm::Rot } else { Harm::Stale };
        let Some(scar) = platter.harm(harm, Some(&|_, _| true), &mut Random::new(seed)) else {
            continue;
        };
        let verdict = verdict(&platter, last, scar.forgets);
        assert!(verdict != "forgotten" || scar.part == Part::NewestCommit, "{scar}");
        *seen.entry((harm, scar.part)).or_default().entry(verdict).or_default() += 1;
    }
    let verdicts = |harm, part| seen[&(harm, part)].keys().copied().collect::<Vec<_>>();
    for harm in [Harm::Rot, Harm::Stale] {
        assert_eq!(verdicts(harm, Part::BlockHeader), ["refused"]);
        assert!(verdicts(harm, Part::NewestCommit).contains(&"forgotten"));
        assert!(verdicts(harm, Part::BlockBody).contains(&"refused"));
    }
    assert_eq!(verdicts(Harm::Rot, Part::SlotHeader), ["refused", "whole"], "both copies, or one");
    assert_eq!(verdicts(Harm::Stale, Part::SlotHeader), ["whole"], "the other copy is newer");
    assert_eq!(verdicts(Harm::Rot, Part::Node), ["refused"]);
    assert_eq!(verdicts(Harm::Rot, Part::Unused), ["whole"]);
}

#[test]
fn the_newest_commit_is_spared_where_somebody_needs_it() {
    let mut scars = 0;
    for seed in (0..300).filter(|seed: &u64| !seed.is_multiple_of(3)) {
        let (platter, _) = used(seed);
        let scar = platter.harm(Harm::Rot, Some(&|_, _| false), &mut Random::new(seed));
        scars += u32::from(scar.is_some());
        assert_ne!(scar.map(|scar| scar.part), Some(Part::NewestCommit));
    }
    assert!(scars > 100, "all else is hit: {scars}");
}

#[test]
fn what_is_read_back_was_written_or_is_refused() {
    let mut verdicts = BTreeMap::<Harm, [u32; 2]>::new();
    for seed in 0..900 {
        let (platter, mut last) = used(seed);
        let (_dir, mut log) = open(&platter, 99).expect("a sound disk");
        let harm = [Harm::Rot, Harm::Stale, Harm::Misdirected][seed as usize % 3];
        let scar = platter.harm(harm, None, &mut Random::new(seed));
        last += 1;
        log.writer.write(&[entry(last)]).unwrap();
        if scar.or(platter.take_scar()).is_none() {
            continue;
        }
        for index in (1..=last).map(Index) {
            let [right, refused] = verdicts.entry(harm).or_default();
            match log.reader.read(index, index, 1) {
                Ok(range) => {
                    let read = &range.entries[0];
                    assert_eq!((read.index, &read.payload), (index, &payload(index.0)));
                    *right += 1;
                }
                Err(ReadError::Corrupt { .. }) => *refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(verdicts.len(), 3);
    assert!(verdicts.values().all(|[_, refused]| *refused > 20), "{verdicts:?}");
}

#[test]
fn a_write_that_went_astray_is_missed_once_another_one_follows() {
    let mut missed = 0;
    for seed in 0..200 {
        let (platter, mut last) = used(seed);
        let (_dir, mut log) = open(&platter, 50).unwrap();
        let scar = platter.harm(Harm::Misdirected, Some(&|_, _| true), &mut Random::new(seed));
        assert_eq!(scar, None, "it is only armed");
        last += 1;
        log.writer.write(&[entry(last)]).unwrap();
        let Some(scar) = platter.take_scar() else { continue };
        log.writer.attest().unwrap();
        let (file, _) = scar.missed.clone().expect("where it should be");
        assert!(file.starts_with("wal/"), "{scar}");
        assert_eq!(verdict(&platter, last, None), "refused", "{scar}");
        missed += 1;
    }
    assert!(missed > 150, "{missed}");
}
