//! What a search tells.

use std::fmt;

use super::Bounds;

/// What a search saw.
#[derive(Clone, Debug, Default)]
pub struct Closure {
    /// Different states.
    pub states: u64,
    /// Events that led from one state to another.
    pub transitions: u64,
    /// Events on the way to the state that is furthest from the start.
    pub deepest: u32,
    /// Whether there are no more states.
    pub closed: bool,
    /// Different states of a single member: so often, times what can happen to it, the core ran.
    pub member_states: u64,
    /// Different messages.
    pub messages: u64,
    /// About how much memory it took in the end.
    pub bytes: u64,
    /// The first rule that was broken.
    pub violation: Option<Violation>,
}

/// What must not be, and how it came to be.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The rule that is broken.
    pub what: String,
    /// How many events it took; there is no shorter way.
    pub events: usize,
    /// The events as a golden script.
    pub script: Vec<String>,
}

/// How far a search is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Events from the start.
    pub depth: u32,
    /// Different states so far.
    pub states: u64,
    /// Transitions so far.
    pub transitions: u64,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { members, terms, campaigns, .. } = self;
        write!(f, "members={members} terms={terms} campaigns={campaigns}")?;
        let counts = [
            ("proposals", self.proposals),
            ("crashes", self.crashes),
            ("reconnects", self.reconnects),
            ("removals", self.removals),
        ];
        for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            write!(f, " {what}={count}")?;
        }
        let switches = [
            (" heartbeats", self.heartbeats),
            (" pre-votes", self.pre_votes),
            (" one entry a message", self.one_entry_a_message),
            (" slow reads", self.slow_reads),
            (" whole messages", self.whole_messages),
        ];
        switches.iter().filter(|(_, on)| *on).try_for_each(|(what, _)| f.write_str(what))?;
        self.fault.map_or(Ok(()), |fault| write!(f, " fault={fault:?}"))
    }
}

impl fmt::Display for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, transitions, deepest, member_states, messages, bytes, .. } = self;
        let end = if self.closed { "closed" } else { "not closed" };
        write!(f, "{states} states, {transitions} transitions, {deepest} deep, {end}; ")?;
        write!(f, "{member_states} member states, {messages} messages, ")?;
        write!(f, "{} bytes a state", bytes / (*states).max(1))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, after {} events:", self.what, self.events)?;
        self.script.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
