//! Breadth first, so that the first violation found has the shortest story.

use std::collections::VecDeque;

use raft_core::NodeId;

use super::action::Action;
use super::catalog::{Catalog, Renaming};
use super::member::{Member, Setting};
use super::rules::Chronicle;
use super::script;
use super::table::Visited;
use super::world::{Stepper, World};
use super::{Bounds, Closure, Progress, Violation};

/// How each state was found: from which, and by what.
type Trail = Vec<(u32, Action)>;

/// Worlds of one depth, one after the other: how many messages, members, chronicle, messages.
#[derive(Default)]
struct Level {
    words: VecDeque<u32>,
}

impl Level {
    fn push(&mut self, world: &World) {
        self.words.push_back(world.flight.len() as u32);
        self.words.extend(&world.members);
        self.words.push_back(world.chronicle);
        self.words.extend(&world.flight);
    }

    fn pop(&mut self, members: usize, world: &mut World) -> bool {
        let Some(messages) = self.words.pop_front() else { return false };
        world.members.clear();
        world.members.extend(self.words.drain(..members));
        world.chronicle = self.words.pop_front().unwrap_or_default();
        world.flight.clear();
        world.flight.extend(self.words.drain(..messages as usize));
        true
    }
}

struct Search<'a> {
    bounds: &'a Bounds,
    catalog: Catalog,
    stepper: Stepper,
    visited: Visited,
    trail: Trail,
    level: Level,
    next: Level,
    actions: Vec<Action>,
    closure: Closure,
}

pub(super) fn search(bounds: &Bounds, progress: &mut dyn FnMut(&Progress)) -> Closure {
    let mut search = Search::new(bounds);
    let mut at = 0;
    loop {
        while search.level.pop(bounds.members, &mut search.stepper.world) {
            let broken = search.expand(at);
            if broken || search.trail.len() as u64 >= bounds.states_max {
                return search.finish();
            }
            at += 1;
        }
        if search.next.words.is_empty() {
            search.closure.closed = true;
            return search.finish();
        }
        std::mem::swap(&mut search.level, &mut search.next);
        search.closure.deepest += 1;
        let Closure { deepest, states, transitions, .. } = search.closure;
        progress(&Progress { depth: deepest, states, transitions });
    }
}

impl<'a> Search<'a> {
    /// The world before anything happened.
    fn new(bounds: &'a Bounds) -> Self {
        let mut catalog = Catalog::new(Setting::of(bounds), renamings(bounds), bounds.terms);
        let stepper = Stepper::new(bounds);
        let mut level = Level::default();
        level.push(&found(bounds, &mut catalog));
        Self {
            bounds,
            catalog,
            stepper,
            visited: Visited::new(),
            trail: vec![(0, Action(0))],
            level,
            next: Level::default(),
            actions: Vec::new(),
            closure: Closure::default(),
        }
    }

    /// Makes all successors of the world that was popped. Says whether a rule is broken.
    fn expand(&mut self, at: u32) -> bool {
        let Self { stepper, catalog, visited, trail, next, actions, closure, .. } = self;
        stepper.enter(catalog);
        let grown = stepper.saturate(catalog, actions);
        if (grown || at == 0) && !visited.insert(stepper.print()) {
            return false;
        }
        closure.states += 1;
        stepper.actions(catalog, actions);
        for &action in actions.iter() {
            match stepper.step(action, catalog) {
                Ok(false) => {}
                Ok(true) => {
                    closure.transitions += 1;
                    if visited.insert(stepper.made_print()) {
                        trail.push((at, action));
                        next.push(&stepper.made);
                    }
                }
                Err(what) => {
                    let path = path(trail, at, action);
                    let events = path.len();
                    let first = found(self.bounds, catalog);
                    let script = script::tell(self.bounds, catalog, first, &path);
                    closure.violation = Some(Violation { what, events, script });
                    return true;
                }
            }
        }
        false
    }

    fn finish(self) -> Closure {
        let members = self.catalog.members.values.len() as u64;
        let messages = self.catalog.envelopes.values.len() as u64;
        let words = self.level.words.capacity() + self.next.words.capacity();
        let bytes = self.visited.bytes()
            + self.trail.capacity() * size_of::<(u32, Action)>()
            + words * size_of::<u32>()
            + self.catalog.bytes();
        Closure { member_states: members, messages, bytes: bytes as u64, ..self.closure }
    }
}

fn found(bounds: &Bounds, catalog: &mut Catalog) -> World {
    let ids = (1..=bounds.members as u64).map(NodeId);
    let members: Vec<Member> = ids.map(|id| Member::new(id, &catalog.setting)).collect();
    World {
        members: members.into_iter().map(|member| catalog.member(member)).collect(),
        chronicle: catalog.chronicle(Chronicle::default()),
        flight: Vec::new(),
    }
}

/// All ways to call the members by each other's names; the first changes nothing.
///
/// The core compares names for being the same, and goes through peers in the order of their names:
/// that order decides in which order it sends, of which nothing depends here, and to whom a
/// leader that is removed hands over. So there are no other names where somebody is removed.
fn renamings(bounds: &Bounds) -> Vec<Renaming> {
    let mut all: Vec<Renaming> = vec![Vec::new()];
    for id in (1..=bounds.members as u64).map(NodeId) {
        let longer = |names: Renaming| {
            (0..=names.len()).rev().map(move |place| {
                let mut names = names.clone();
                names.insert(place, id);
                names
            })
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    if !bounds.symmetry || bounds.removals > 0 {
        all.truncate(1);
    }
    all
}

fn path(trail: &Trail, mut at: u32, last: Action) -> Vec<Action> {
    let mut path = vec![last];
    while at > 0 {
        let (parent, action) = trail[at as usize];
        path.push(action);
        at = parent;
    }
    path.reverse();
    path
}
