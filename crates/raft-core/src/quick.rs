//! Naive twins: each pure leaf does what the obvious, slow version of it does, on random input.
//! A failure names the seed: put it into `SEEDS` to replay it alone.

extern crate std;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::ops::Range;

use crate::config::Config;
use crate::log::Log;
use crate::membership::Membership;
use crate::progress::Inflight;
use crate::rng::Rng;
use crate::tickets::Tickets;
use crate::types::{
    EntryKind, EntryMeta, HardState, Index, LogId, NoTerm, NodeId, Term, Ticket, Time,
};

const SEEDS: Range<u64> = 0..500;

fn for_each_seed(property: impl Fn(&mut Rng) + std::panic::RefUnwindSafe) {
    for seed in SEEDS {
        let run = || property(&mut Rng::new(seed));
        std::panic::catch_unwind(run).unwrap_or_else(|_| panic!("failed with seed {seed}"));
    }
}

fn some_voters(rng: &mut Rng) -> BTreeSet<NodeId> {
    (0..=rng.below(6)).map(|_| NodeId(1 + rng.below(7))).collect()
}

/// Sorts, and takes the one in the middle.
fn median(voters: &BTreeSet<NodeId>, values: &BTreeMap<NodeId, u64>) -> u64 {
    let mut sorted: Vec<u64> = voters.iter().map(|id| values[id]).collect();
    sorted.sort_unstable();
    sorted[(sorted.len() - 1) / 2]
}

#[test]
fn quorum_is_the_lower_median_of_each_half() {
    for_each_seed(|rng| {
        let values: BTreeMap<_, _> = (1..=7).map(|n| (NodeId(n), rng.below(5))).collect();
        let voters = some_voters(rng);
        let old_voters = (rng.below(2) == 0).then(|| some_voters(rng));
        let mut expected = median(&voters, &values);
        if let Some(old) = &old_voters {
            expected = expected.min(median(old, &values));
        }
        let membership = Membership { voters, old_voters, ..Membership::default() };
        assert_eq!(membership.agreed(|id| values[&id]), Some(expected));
        let level = rng.below(5);
        assert_eq!(membership.is_quorum(|id| values[&id] >= level), expected >= level);
    });
}

/// All subsets of `1..=n` as voters.
fn all_voters(n: u64) -> impl Iterator<Item = BTreeSet<NodeId>> {
    (1..1_u64 << n)
        .map(move |set| (1..=n).filter(|id| set >> (id - 1) & 1 == 1).map(NodeId).collect())
}

/// Whether so many of `voters` that they are more than half have reached `level`: by counting.
fn has_majority(voters: &BTreeSet<NodeId>, values: &[u64], level: u64) -> bool {
    let reached = voters.iter().filter(|id| values[id.0 as usize - 1] >= level).count();
    2 * reached > voters.len()
}

/// Every input up to a size: the commit index is the highest value that a majority has reached, of
/// each half if there are two.
#[test]
fn quorum_is_right_for_every_small_input() {
    let mut inputs = 0;
    let mut check = |voters: &BTreeSet<NodeId>, old: Option<&BTreeSet<NodeId>>, values: &[u64]| {
        let reached = |level: &u64| {
            has_majority(voters, values, *level)
                && old.is_none_or(|old| has_majority(old, values, *level))
        };
        let expected = values.iter().copied().filter(reached).max();
        let (voters, old_voters) = (voters.clone(), old.cloned());
        let membership = Membership { voters, old_voters, ..Membership::default() };
        let agreed = membership.agreed(|id| values[id.0 as usize - 1]);
        assert_eq!(agreed, expected, "{membership} {values:?}");
        inputs += 1;
    };
    // One majority: up to seven voters of up to four values. Two: any two halves of up to four.
    for n in 1..=7_u32 {
        let all: BTreeSet<NodeId> = (1..=u64::from(n)).map(NodeId).collect();
        for code in 0..4_u64.pow(n) {
            let values: Vec<u64> = (0..n).map(|digit| code / 4_u64.pow(digit) % 4).collect();
            check(&all, None, &values);
            if n <= 4 {
                for (new, old) in all_voters(u64::from(n))
                    .flat_map(|new| all_voters(u64::from(n)).map(move |old| (new.clone(), old)))
                {
                    check(&new, Some(&old), &values);
                }
            }
        }
    }
    assert_eq!(inputs, 21_844 + 4 + 9 * 16 + 49 * 64 + 225 * 256);
}

#[test]
fn any_two_quorums_of_a_joint_change_overlap() {
    for_each_seed(|rng| {
        let (old, new) = (some_voters(rng), some_voters(rng));
        let half = |voters: &BTreeSet<NodeId>| Membership {
            voters: voters.clone(),
            ..Membership::default()
        };
        let joint = Membership { old_voters: Some(old.clone()), ..half(&new) };
        let side = rng.next();
        let left = |id: NodeId| side >> id.0 & 1 == 0;
        for other in [half(&old), half(&new), joint.clone()] {
            assert!(!(joint.is_quorum(left) && other.is_quorum(|id| !left(id))));
        }
    });
}

#[test]
fn nobody_is_no_quorum() {
    assert_eq!(Membership::default().agreed(|_| 1), None);
    assert!(!Membership::default().is_quorum(|_| true));
}

/// A log that is a vector of entries and keeps them all.
#[derive(Default)]
struct NaiveLog {
    entries: Vec<EntryMeta>,
    evicted: usize,
    compacted: u64,
}

impl NaiveLog {
    fn term_at(&self, index: u64) -> Result<Term, NoTerm> {
        match index {
            _ if index < self.compacted => Err(NoTerm::Compacted),
            0 => Ok(Term(0)),
            _ => self.entries.get(index as usize - 1).map_or(Err(NoTerm::Missing), |e| Ok(e.term)),
        }
    }

    fn last_at_or_below(&self, id: LogId) -> LogId {
        (0..=id.index.0)
            .rev()
            .find_map(|i| {
                self.term_at(i).ok().filter(|t| *t <= id.term).map(|t| LogId::new(i, t.0))
            })
            .unwrap_or_default()
    }
}

fn some_entries(rng: &mut Rng, mut term: u64) -> Vec<EntryMeta> {
    (0..rng.below(6))
        .map(|_| {
            term = term.max(1) + rng.below(2);
            let kind = if rng.below(5) == 0 { EntryKind::Noop } else { EntryKind::Command };
            EntryMeta { term: Term(term), size: 1 + rng.below(50) as u32, kind }
        })
        .collect()
}

#[test]
fn log_is_a_vector_of_entries() {
    for_each_seed(|rng| {
        let (mut log, mut naive) =
            (Log::restore(LogId::default(), Index(0), Vec::new()), NaiveLog::default());
        for _ in 0..60 {
            let last = naive.entries.len() as u64;
            match rng.below(5) {
                0 | 1 => {
                    let term = naive.term_at(last).map_or(0, |term| term.0);
                    for entry in some_entries(rng, term) {
                        log.append(entry.clone());
                        naive.entries.push(entry);
                    }
                }
                2 => {
                    let from = 1 + rng.below(last + 1).max(naive.evicted as u64);
                    log.truncate_from(Index(from));
                    naive.entries.truncate(from as usize - 1);
                }
                3 => {
                    let index = naive.compacted.max(rng.below(last + 1));
                    let term = naive.term_at(index).expect("it is there");
                    log.compact(LogId { term, index: Index(index) });
                    naive.compacted = index;
                    naive.evicted = naive.evicted.max(index as usize);
                }
                _ => {
                    let (limit, bytes_max) = (rng.below(last + 1), rng.below(300));
                    log.evict(Index(limit), bytes_max);
                    let bytes = |naive: &NaiveLog| -> u64 {
                        naive.entries[naive.evicted..].iter().map(|e| u64::from(e.size)).sum()
                    };
                    while bytes(&naive) > bytes_max && (naive.evicted as u64) < limit {
                        naive.evicted += 1;
                    }
                }
            }
            compare(rng, &log, &naive);
        }
    });
}

fn compare(rng: &mut Rng, log: &Log, naive: &NaiveLog) {
    let last = naive.entries.len() as u64;
    assert!(log.is_consistent());
    assert_eq!(log.last_index(), Index(last));
    assert_eq!(Ok(log.last_log_id().term), naive.term_at(last));
    assert_eq!(log.tail_start(), Index(naive.evicted as u64 + 1));
    for index in 0..last + 3 {
        assert_eq!(log.term_at(Index(index)), naive.term_at(index));
        let held = index as usize > naive.evicted;
        let entry = held.then(|| naive.entries.get(index as usize - 1).cloned()).flatten();
        assert_eq!(log.entries(Index(index), 0).0.pop(), entry);
    }
    let id = LogId::new(rng.below(last + 4), rng.below(12));
    assert_eq!(log.last_at_or_below(id), naive.last_at_or_below(id));
    let first = 1 + rng.below(last + 2);
    let bytes_max = rng.below(120);
    let (entries, bytes) = log.entries(Index(first), bytes_max);
    assert_eq!(bytes, entries.iter().map(|entry| u64::from(entry.size)).sum::<u64>());
    assert!(bytes <= bytes_max || entries.len() == 1);
    if first as usize > naive.evicted {
        assert!(naive.entries[(first as usize - 1).min(last as usize)..].starts_with(&entries));
        assert!(!entries.is_empty() || first > last);
    }
}

#[test]
fn splice_finds_the_first_difference() {
    for_each_seed(|rng| {
        let held = some_entries(rng, 0);
        let mut log = Log::restore(LogId::default(), Index(0), Vec::new());
        held.iter().cloned().for_each(|entry| {
            log.append(entry);
        });
        let prev = rng.below(held.len() as u64 + 1) as usize;
        let mut sent: Vec<_> = held[prev..].to_vec();
        sent.truncate(rng.below(6) as usize);
        sent.extend(some_entries(rng, 1));
        let splice = log.splice(Index(prev as u64), &sent);
        let same = sent.iter().zip(&held[prev..]).take_while(|(a, b)| a.term == b.term).count();
        assert_eq!(splice.known, same);
        assert_eq!(splice.conflict, same < sent.len() && prev + same < held.len());
    });
}

#[test]
fn inflight_window_is_a_queue_with_a_sum() {
    for_each_seed(|rng| {
        let (max_bytes, max) = (100, 4);
        let config = Config {
            inflight_bytes_max: max_bytes,
            inflight_appends_max: max,
            ..Config::new(NodeId(1))
        };
        let (mut window, mut naive) = (Inflight::default(), VecDeque::new());
        let mut last = 0;
        for _ in 0..40 {
            let sum: u64 = naive.iter().map(|(_, bytes)| bytes).sum();
            let full = sum >= max_bytes || naive.len() >= max;
            let room = (naive.is_empty() || !full).then_some(max_bytes.saturating_sub(sum));
            assert_eq!(window.room(&config), room);
            assert_eq!(window.bytes(), sum);
            if rng.below(2) == 0 && room.is_some() {
                last += 1 + rng.below(3);
                let bytes = rng.below(60);
                window.push(Index(last), bytes);
                naive.push_back((last, bytes));
            } else {
                let acknowledged = rng.below(last + 1);
                window.acknowledge(Index(acknowledged));
                naive.retain(|(index, _)| *index > acknowledged);
            }
        }
    });
}

/// The disk as it is: operations in order, each with the entries that it wrote.
#[test]
fn durable_index_never_vouches_for_what_was_replaced() {
    for_each_seed(|rng| {
        let mut tickets = Tickets::restore(Term(1), Index(0));
        // What the member has, what the disk has, what is on its way: entries are numbers.
        let (mut log, mut disk): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
        let mut pending: VecDeque<(Ticket, Box<[u64]>)> = VecDeque::new();
        let mut number = 0;
        for _ in 0..40 {
            let last = log.len() as u64;
            if rng.below(3) == 0 && last > 0 {
                let from = 1 + rng.below(last);
                log.truncate(from as usize - 1);
                tickets.truncated(Index(from));
            }
            for _ in 0..rng.below(3) {
                number += 1;
                log.push(number);
                tickets.written(Index(log.len() as u64));
            }
            let state = HardState { term: Term(1), voted_for: None };
            if let Some(persist) = tickets.issue(state, Index(log.len() as u64), Time(0)) {
                pending.push_back((persist.ticket, log.clone().into_boxed_slice()));
            }
            if rng.below(2) == 0
                && let Some((ticket, whole)) = pending.pop_front()
            {
                disk = whole.into_vec();
                tickets.persisted(ticket);
            }
            let equal = log.iter().zip(&disk).take_while(|(a, b)| a == b).count();
            assert!(tickets.durable_index() <= Index(equal as u64));
            assert!(!pending.is_empty() || tickets.durable_index() == Index(log.len() as u64));
        }
    });
}
