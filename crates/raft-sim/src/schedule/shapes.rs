//! The shapes of partitions: who does not reach whom.

use raft_node::random::Random;

use crate::chance::shuffle;
use crate::network::Place;

/// Who is cut off from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// Two sides; clients belong to one of them.
    Halves,
    /// One server, with some of the clients, and everybody else.
    Alone,
    /// One server does not reach one other, but is reached by it.
    OneWay,
    /// One server reaches everybody and is reached by nobody.
    Deaf,
    /// Two halves, and one server that is of both.
    Bridge,
    /// Everybody reaches two neighbours.
    Ring,
    /// Everybody reaches a majority, and no two the same one, as far as the number allows.
    MajorityRing,
}

/// Who is there, and who is meant if it is about one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    pub(super) hosts: usize,
    pub(super) clients: usize,
    pub(super) one: usize,
}

/// The directions that are cut.
pub(super) fn cut(shape: Shape, scene: Scene, random: &mut Random) -> Vec<(Place, Place)> {
    let Scene { hosts, clients, one } = scene;
    let place = Place::Host(one);
    let others = (0..hosts).filter(|host| *host != one).map(Place::Host);
    match shape {
        Shape::Halves | Shape::Alone => {
            let side = |random: &mut Random, place| match place {
                Place::Host(host) if shape == Shape::Alone => host == one,
                _ => random.below(2) == 0,
            };
            let places = (0..hosts).map(Place::Host).chain((0..clients).map(Place::Client));
            let sides: Vec<_> = places.map(|place| (place, side(random, place))).collect();
            both_ways(&sides, |a, b| a != b)
        }
        Shape::OneWay => {
            let others: Vec<Place> = others.collect();
            let other = random.below(others.len() as u64) as usize;
            others.get(other).map(|other| (place, *other)).into_iter().collect()
        }
        Shape::Deaf => others.map(|other| (other, place)).collect(),
        Shape::Bridge => {
            let seats = seated(hosts, random);
            let half = hosts / 2;
            both_ways(&seats, |a, b| a < half && b > half || b < half && a > half)
        }
        Shape::Ring => both_ways(&seated(hosts, random), |a, b| distance(a, b, hosts) > 1),
        Shape::MajorityRing => {
            let reach = (hosts / 2).div_ceil(2);
            both_ways(&seated(hosts, random), |a, b| distance(a, b, hosts) > reach)
        }
    }
}

/// Everybody takes a seat.
fn seated(hosts: usize, random: &mut Random) -> Vec<(Place, usize)> {
    let mut seats: Vec<usize> = (0..hosts).collect();
    shuffle(random, &mut seats);
    (0..hosts).map(Place::Host).zip(seats).collect()
}

fn distance(a: usize, b: usize, seats: usize) -> usize {
    let apart = a.abs_diff(b);
    apart.min(seats - apart)
}

fn both_ways<S: Copy>(places: &[(Place, S)], apart: impl Fn(S, S) -> bool) -> Vec<(Place, Place)> {
    let pairs = places.iter().flat_map(|a| places.iter().map(move |b| (a, b)));
    pairs.filter(|(a, b)| a.0 != b.0 && apart(a.1, b.1)).map(|(a, b)| (a.0, b.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(shape: Shape, hosts: usize, seed: u64) -> Vec<Vec<usize>> {
        let scene = Scene { hosts, clients: 0, one: 0 };
        let cut = cut(shape, scene, &mut Random::new(seed));
        let reaches = |a, b| !cut.contains(&(Place::Host(a), Place::Host(b)));
        (0..hosts).map(|a| (0..hosts).filter(|b| reaches(a, *b)).collect()).collect()
    }

    #[test]
    fn a_bridge_reaches_all_and_its_sides_do_not_reach_each_other() {
        for (hosts, seed) in (3..8).flat_map(|hosts| (0..9).map(move |seed| (hosts, seed))) {
            let reached = reached(Shape::Bridge, hosts, seed);
            let bridges = reached.iter().filter(|to| to.len() == hosts).count();
            assert_eq!(bridges, 1, "{hosts} servers, seed {seed}: {reached:?}");
        }
    }

    #[test]
    fn in_a_ring_everybody_reaches_its_neighbours() {
        for (hosts, seed) in (3..8).flat_map(|hosts| (0..9).map(move |seed| (hosts, seed))) {
            let reached = reached(Shape::Ring, hosts, seed);
            assert!(reached.iter().all(|to| to.len() == 3), "{hosts} servers, seed {seed}");
        }
    }

    #[test]
    fn in_a_majority_ring_everybody_reaches_a_majority_of_its_own() {
        for (hosts, seed) in [5, 7].into_iter().flat_map(|h| (0..9).map(move |seed| (h, seed))) {
            let mut reached = reached(Shape::MajorityRing, hosts, seed);
            assert!(reached.iter().all(|to| to.len() > hosts / 2 && to.len() < hosts));
            reached.sort();
            reached.dedup();
            assert_eq!(reached.len(), hosts, "seed {seed}: no two the same");
        }
    }

    #[test]
    fn who_is_alone_is_reached_by_nobody_and_who_is_deaf_reaches_all() {
        let alone = reached(Shape::Alone, 4, 7);
        assert_eq!(alone, [vec![0], vec![1, 2, 3], vec![1, 2, 3], vec![1, 2, 3]]);
        let deaf = reached(Shape::Deaf, 3, 7);
        assert_eq!(deaf, [vec![0, 1, 2], vec![1, 2], vec![1, 2]]);
    }
}
