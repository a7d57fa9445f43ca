//! A violation told in the language of the golden scripts (`raft-core/tests/script.rs`), so that it
//! can be pasted there, played and looked at.
//!
//! Two things have no command there and stand as comments: that a message arrives when its receiver
//! has not heard its leader for an election timeout, and that a message outlives the crash of its
//! sender. Time passes for all members at once in a script, here for each by itself.

use raft_core::NodeId;

use super::Bounds;
use super::action::{Action, Kind};
use super::catalog::Catalog;
use super::world::{Stepper, World};

struct Teller<'a> {
    catalog: &'a mut Catalog,
    stepper: Stepper,
    lines: Vec<String>,
    /// What the script's network holds, in the order of sending: receiver, and which message if it
    /// is one of ours.
    flight: Vec<(usize, Option<u32>)>,
}

/// The story of `path`, which begins in `first`.
pub(super) fn tell(
    bounds: &Bounds,
    catalog: &mut Catalog,
    first: World,
    path: &[Action],
) -> Vec<String> {
    let mut stepper = Stepper::new(bounds);
    stepper.world = first;
    let lines = vec![format!("cluster n={}", bounds.members)];
    let mut teller = Teller { catalog, stepper, lines, flight: Vec::new() };
    for &action in path {
        teller.stepper.enter(teller.catalog);
        teller.stepper.saturate(teller.catalog, &mut Vec::new());
        teller.play_with_causes(action);
        if teller.stepper.step(action, teller.catalog).is_ok() {
            std::mem::swap(&mut teller.stepper.world, &mut teller.stepper.made);
        }
    }
    teller.lines.push("---".to_owned());
    teller.lines
}

impl Teller<'_> {
    /// A message that only came to be by an event that changed nothing else needs that one first.
    fn play_with_causes(&mut self, action: Action) {
        if let Some((envelope, _)) = action.message()
            && !self.flight.iter().any(|(_, held)| *held == Some(envelope))
        {
            let mut causes = self.stepper.causes.iter();
            if let Some(&(_, cause)) = causes.find(|(made, _)| *made == envelope) {
                self.play_with_causes(cause);
            }
        }
        self.play(action);
    }

    fn play(&mut self, action: Action) {
        let id = NodeId(action.at() as u64 + 1);
        let peer = NodeId(action.peer() as u64 + 1);
        match action.kind() {
            None => self.deliver(action),
            Some(Kind::Persist) => self.lines.push(format!("persist {id} n=1")),
            Some(Kind::Timeout | Kind::Heartbeat) => {
                self.lines.push(format!("timeout {id}"));
            }
            Some(Kind::Campaign) => self.campaign(action.at()),
            Some(Kind::QuorumLost) => {
                self.lines.push(format!("# {id} loses its quorum: tick, then"));
                self.lines.push(format!("timeout {id}"));
            }
            Some(Kind::TransferLate) => self.lines.push(format!("timeout {id}")),
            Some(Kind::Propose) => self.lines.push(format!("propose {id}")),
            Some(Kind::Remove) => {
                self.lines.push(format!("remove {id} {peer} request=1"));
            }
            Some(Kind::Crash) => {
                self.lines.push(format!("crash {id}"));
                self.lines.push(format!("restart {id}"));
                let catalog = &*self.catalog;
                self.flight.retain(|(to, held)| {
                    let from = held.map(|held| catalog.labels[held as usize].from);
                    *to != action.at() && from != Some(action.at())
                });
            }
            Some(Kind::Read) => {
                self.lines.push(format!("# for {peer}, if {id} reads for others too"));
                self.lines.push(format!("read-log {id}"));
            }
            Some(Kind::Reconnect) => {
                for (a, b) in [(id, peer), (peer, id)] {
                    self.lines.push(format!("link {a} {b} down"));
                    self.lines.push(format!("link {a} {b} up"));
                }
            }
        }
        self.note_sent(action);
    }

    /// The script's members ask each other for pre-votes; here whoever may grants them.
    fn campaign(&mut self, at: usize) {
        let members = self.stepper.world.members.len();
        let (id, peer) = (at as u64 + 1, (at + 1) % members + 1);
        let member = self.catalog.members.get(self.stepper.world.members[at]);
        let term = member.term().next();
        self.lines.push(format!("timeout n{id}"));
        self.lines.push(format!("inject n{peer} n{id} pre-vote-response term={term}"));
        self.flight.extend((0..members).filter(|&to| to != at).map(|to| (to, None)));
    }

    fn deliver(&mut self, action: Action) {
        let Some((envelope, late)) = action.message() else { return };
        let sent = self.catalog.envelopes.get(envelope);
        let (from, to, message) = (sent.from, sent.to, &sent.message);
        if late {
            self.lines.push(format!("# {to} has not heard its leader for an election timeout"));
        }
        let place = to.0 as usize - 1;
        let mut bound = self.flight.iter().filter(|(receiver, _)| *receiver == place);
        match bound.position(|(_, held)| *held == Some(envelope)) {
            Some(nth) => self.lines.push(format!("deliver {to} nth={nth} copy")),
            None => self.lines.push("# a message from before the crash arrives".to_owned()),
        }
        self.lines.push(format!("# {from} → {to}  {message}"));
    }

    fn note_sent(&mut self, action: Action) {
        let at = match action.message() {
            Some((envelope, _)) => self.catalog.labels[envelope as usize].to,
            None => action.at(),
        };
        let member = self.stepper.world.members[at];
        let outcome = self.catalog.outcome(member, action);
        let sent = &self.catalog.outcomes[outcome as usize].sent;
        let labels = &self.catalog.labels;
        self.flight.extend(sent.iter().map(|&sent| (labels[sent as usize].to, Some(sent))));
    }
}
