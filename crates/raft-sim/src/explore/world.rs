//! One state of the world, and what becomes of it.

use super::Bounds;
use super::action::{Action, Kind, actions};
use super::catalog::{Catalog, Standing};
use super::member::{Envelope, Member};
use super::table::Pairs;

/// A state: members by number, the chronicle, and every message that may still arrive, rising.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub(super) members: Vec<u32>,
    pub(super) chronicle: u32,
    pub(super) flight: Vec<u32>,
}

/// Turns a world into its successors, one after the other, with what that needs at hand.
pub(super) struct Stepper {
    bounds: Bounds,
    /// The world that is looked at, and the sums of the fingerprints of all that is in it, one for
    /// each renaming.
    pub(super) world: World,
    sums: Vec<u128>,
    /// The one that was made of it last, likewise.
    pub(super) made: World,
    made_sums: Vec<u128>,
    standings: Vec<Standing>,
    /// Chronicles with one more crash, proposal and so on.
    counted: Pairs,
    /// What [`Self::saturate`] did: each message, and by what it came to be.
    pub(super) causes: Vec<(u32, Action)>,
}

impl Stepper {
    pub(super) fn new(bounds: &Bounds) -> Self {
        Self {
            bounds: bounds.clone(),
            world: World::default(),
            sums: Vec::new(),
            made: World::default(),
            made_sums: Vec::new(),
            standings: Vec::new(),
            counted: Pairs::default(),
            causes: Vec::new(),
        }
    }

    /// Looks at `self.world` before anything is made of it.
    pub(super) fn enter(&mut self, catalog: &Catalog) {
        self.sums.clear();
        self.sums.extend_from_slice(catalog.chronicles.prints(self.world.chronicle));
        for &member in &self.world.members {
            add(&mut self.sums, catalog.members.prints(member));
        }
        for &envelope in &self.world.flight {
            add(&mut self.sums, catalog.envelopes.prints(envelope));
        }
    }

    /// What the world is, whatever its members are called.
    pub(super) fn print(&self) -> u128 {
        self.sums.iter().copied().min().unwrap_or_default()
    }

    /// The same for the world that was made last.
    pub(super) fn made_print(&self) -> u128 {
        self.made_sums.iter().copied().min().unwrap_or_default()
    }

    pub(super) fn actions(&self, catalog: &Catalog, into: &mut Vec<Action>) {
        actions(&self.bounds, &self.world, catalog, into);
    }

    /// Does what changes nothing but that there are more messages, until there is no more of that.
    /// Says whether there was any.
    ///
    /// Messages never go away by arriving, no event asks for the absence of one, and no rule does
    /// either: so by any events that a world can go through, a world with the same members and more
    /// messages can go too, to the same members. The smaller world need not be looked at. Only what
    /// is not counted is done here, and all of it happens once more under the eyes of the rules.
    pub(super) fn saturate(&mut self, catalog: &mut Catalog, actions: &mut Vec<Action>) -> bool {
        self.causes.clear();
        self.made.members.clone_from(&self.world.members);
        self.note_standings(catalog);
        loop {
            let known = self.causes.len();
            self.actions(catalog, actions);
            for &action in actions.iter() {
                if action.message().is_some() || action.kind() == Some(Kind::Heartbeat) {
                    self.saturate_by(action, catalog);
                }
            }
            if self.causes.len() == known {
                return known > 0;
            }
        }
    }

    fn saturate_by(&mut self, action: Action, catalog: &mut Catalog) {
        let member = self.world.members[place(action, catalog)];
        let number = catalog.outcome(member, action);
        let outcome = &catalog.outcomes[number as usize];
        if outcome.next != member || outcome.broken.is_some() {
            return;
        }
        for &sent in &outcome.sent {
            if let Err(place) = self.world.flight.binary_search(&sent)
                && !catalog.is_dead(sent, &self.standings)
            {
                self.world.flight.insert(place, sent);
                add(&mut self.sums, catalog.envelopes.prints(sent));
                self.causes.push((sent, action));
            }
        }
    }

    /// Makes the world after `action`. False if nothing changed; an error if a rule is broken.
    pub(super) fn step(&mut self, action: Action, catalog: &mut Catalog) -> Result<bool, String> {
        self.made.members.clone_from(&self.world.members);
        self.made.flight.clone_from(&self.world.flight);
        self.made.chronicle = self.world.chronicle;
        self.made_sums.clone_from(&self.sums);
        self.count(action, catalog);
        if action.kind() == Some(Kind::Crash) {
            self.lose(catalog, |envelope| catalog.labels[envelope as usize].to == action.at());
        }
        let mut changed = self.happen(action, catalog)?;
        for echo in action.echoes(self.world.members.len()) {
            changed |= self.happen(echo, catalog)?;
        }
        Ok(changed || self.made.chronicle != self.world.chronicle)
    }

    /// One event at one member. Says whether anything changed.
    fn happen(&mut self, action: Action, catalog: &mut Catalog) -> Result<bool, String> {
        let at = place(action, catalog);
        let before = self.made.members[at];
        let number = catalog.outcome(before, action);
        let outcome = &catalog.outcomes[number as usize];
        if let Some(broken) = &outcome.broken {
            return Err(broken.clone());
        }
        let next = outcome.next;
        let mut changed = next != before;
        self.made.members[at] = next;
        self.note_standings(catalog);
        if changed {
            subtract(&mut self.made_sums, catalog.members.prints(before));
            add(&mut self.made_sums, catalog.members.prints(next));
            let standing = |member: u32| catalog.glances[member as usize].standing;
            if standing(before) != standing(next) {
                let standings = std::mem::take(&mut self.standings);
                self.lose(catalog, |envelope| catalog.is_dead(envelope, &standings));
                self.standings = standings;
            }
        }
        for &sent in &outcome.sent {
            if let Err(place) = self.made.flight.binary_search(&sent)
                && !catalog.is_dead(sent, &self.standings)
            {
                self.made.flight.insert(place, sent);
                add(&mut self.made_sums, catalog.envelopes.prints(sent));
                changed = true;
            }
        }
        if outcome.notable {
            self.watch(at, before, number, catalog)?;
        }
        Ok(changed)
    }

    fn note_standings(&mut self, catalog: &Catalog) {
        self.standings.clear();
        let standing = |&member: &u32| catalog.glances[member as usize].standing;
        self.standings.extend(self.made.members.iter().map(standing));
    }

    fn lose(&mut self, catalog: &Catalog, lost: impl Fn(u32) -> bool) {
        let sums = &mut self.made_sums;
        self.made.flight.retain(|&envelope| {
            let gone = lost(envelope);
            if gone {
                subtract(sums, catalog.envelopes.prints(envelope));
            }
            !gone
        });
    }

    /// Counts what is bounded.
    fn count(&mut self, action: Action, catalog: &mut Catalog) {
        let Some(kind) = action.kind().filter(|kind| {
            use Kind::{Campaign, Crash, Propose, Reconnect, Remove, Timeout};
            matches!(kind, Campaign | Timeout | Propose | Remove | Crash | Reconnect)
        }) else {
            return;
        };
        let before = self.made.chronicle;
        let after = self.counted.get(before, kind as u32).unwrap_or_else(|| {
            let mut chronicle = catalog.chronicles.get(before).clone();
            match kind {
                Kind::Campaign | Kind::Timeout => chronicle.campaigns += 1,
                Kind::Propose => chronicle.proposals += 1,
                Kind::Remove => chronicle.removals += 1,
                Kind::Crash => chronicle.crashes += 1,
                _ => chronicle.reconnects += 1,
            }
            let after = catalog.chronicle(chronicle);
            self.counted.insert(before, kind as u32, after);
            after
        });
        self.rewrite(after, catalog);
    }

    fn rewrite(&mut self, chronicle: u32, catalog: &Catalog) {
        subtract(&mut self.made_sums, catalog.chronicles.prints(self.made.chronicle));
        add(&mut self.made_sums, catalog.chronicles.prints(chronicle));
        self.made.chronicle = chronicle;
    }

    /// Holds the new world to the rules that concern more than one member.
    fn watch(
        &mut self,
        at: usize,
        before: u32,
        outcome: u32,
        catalog: &mut Catalog,
    ) -> Result<(), String> {
        let members = self.made.members.iter().map(|&member| catalog.members.get(member));
        let members: Vec<&Member> = members.collect();
        let sent = &catalog.outcomes[outcome as usize].sent;
        let sent: Vec<&Envelope> = sent.iter().map(|&sent| catalog.envelopes.get(sent)).collect();
        let known = catalog.chronicles.get(self.made.chronicle);
        let mut chronicle = known.clone();
        chronicle.watch(&members, at, catalog.members.get(before), &sent)?;
        if chronicle != *known {
            let after = catalog.chronicle(chronicle);
            self.rewrite(after, catalog);
        }
        Ok(())
    }
}

/// To which member it happens first.
fn place(action: Action, catalog: &Catalog) -> usize {
    let to = action.message().map(|(envelope, _)| catalog.labels[envelope as usize].to);
    to.unwrap_or(action.at())
}

fn add(sums: &mut [u128], prints: &[u128]) {
    sums.iter_mut().zip(prints).for_each(|(sum, print)| *sum = sum.wrapping_add(*print));
}

fn subtract(sums: &mut [u128], prints: &[u128]) {
    sums.iter_mut().zip(prints).for_each(|(sum, print)| *sum = sum.wrapping_sub(*print));
}
