//! The check of a known order: each thing that can be wrong with it, and what it is called.

use raft_node::random::Random;
use raft_sim::linear::chain::{Broken, Known, Write, check};
use raft_sim::linear::{Found, HistoryOf, Limits, List, ListInput, Place, search};

use crate::world::{history, mutated};

fn done(serial: u64, called: u64, at: u64) -> Write<u64> {
    Write { serial, called, known: Known::Done { at, place: None, after: None } }
}

fn told(serial: u64, place: u64, after: Option<u64>) -> Write<u64> {
    Write { serial, called: 0, known: Known::Done { at: 9, place: Some(place), after } }
}

#[test]
fn what_can_be_wrong() {
    let failed = Write { serial: 1, called: 0, known: Known::Failed };
    let unknown = Write { serial: 1, called: 7, known: Known::Unknown };
    assert_eq!(check([done(1, 0, 3), done(2, 2, 4)], &[2, 1]), Ok(()));
    assert_eq!(check([told(1, 5, None), told(2, 8, Some(1))], &[1, 2]), Ok(()));
    assert_eq!(check([unknown], &[]), Ok(()));
    assert_eq!(check([failed], &[]), Ok(()));

    assert_eq!(check([done(1, 0, 3), done(1, 4, 5)], &[1]), Err(Broken::Ambiguous(1)));
    assert_eq!(check([done(1, 0, 3)], &[1, 1]), Err(Broken::Twice(1)));
    assert_eq!(check([done(1, 0, 3)], &[1, 2]), Err(Broken::FromNowhere(2)));
    assert_eq!(check([failed], &[1]), Err(Broken::Failed(1)));
    assert_eq!(check([done(1, 0, 3)], &[]), Err(Broken::Lost(1)));
    let late = Broken::TooEarly { serial: 2, later: 1 };
    assert_eq!(check([done(1, 0, 3), done(2, 4, 5)], &[2, 1]), Err(late));
    let late = Broken::TooEarly { serial: 1, later: 2 };
    assert_eq!(check([unknown, done(2, 4, 5)], &[1, 2]), Err(late));
    let misplaced = Broken::Misplaced { serial: 2, after: Some(3) };
    let three = [told(1, 1, None), told(3, 2, Some(1)), told(2, 3, Some(1))];
    assert_eq!(check(three, &[1, 3, 2]), Err(misplaced));
    let falls = Broken::PlaceFalls { serial: 2, place: 4, before: 5 };
    assert_eq!(check([told(1, 5, None), told(2, 4, None)], &[1, 2]), Err(falls));
}

/// A list of unique values that is read after all else: both checkers say the same of it.
#[test]
fn as_the_search_says() {
    let (mut legal, count) = ([0; 2], 3000);
    for seed in 0..count {
        let mut random = Random::new(seed);
        let (clients, length) = (1 + random.below(5), 1 + random.below(12));
        let mut all = history::<List<u64>>(&mut random, clients, length);
        if seed % 2 == 1 {
            all = mutated::<List<u64>>(&mut random, &all);
        }
        let mut order = Vec::new();
        let (mut writes, mut plain) = (Vec::new(), HistoryOf::<List<u64>>::default());
        for one in all.operations() {
            let ListInput::Append(serial) = one.input else { continue };
            if serial == 1 {
                continue;
            }
            let place = one.answer().and_then(|(_, place)| place.at);
            order.extend(place.or((serial % 2 == 0).then_some(u64::MAX)).map(|at| (at, serial)));
            let known = match one.answer() {
                Some((at, place)) => Known::Done { at: at.position, place: place.at, after: None },
                None if one.has_failed() => Known::Failed,
                None => Known::Unknown,
            };
            writes.push(Write { serial, called: one.called.position, known });
        }
        order.sort_unstable();
        let order: Vec<u64> = order.into_iter().map(|(_, serial)| serial).collect();
        let mut operations = all.operations().to_vec();
        operations.retain(|one| matches!(one.input, ListInput::Append(value) if value != 1));
        for one in &mut operations {
            if let raft_sim::linear::Outcome::Ok { output, .. } = &mut one.outcome {
                (output.count, output.list) = (None, None);
            }
        }
        let last = HistoryOf::<List<u64>>::of(all.operations().to_vec());
        plain.clone_from(&HistoryOf::<List<u64>>::of(operations));
        let end = last.operations().len() as u64 * 4;
        let read = plain.call(99, end, ListInput::Read);
        plain.ok(read, end, Place { list: Some(order.clone()), ..Place::default() });
        let ours = check(writes, &order);
        let found = search(&List::default(), &plain, Limits::default()).0;
        assert_eq!(ours.is_ok(), found != Found::Nothing, "seed {seed}: {ours:?}, {found:?}");
        legal[usize::from(ours.is_ok())] += 1;
    }
    println!("{} legal and {} illegal histories", legal[1], legal[0]);
}
