//! One line for everything that a replica is told and wants: what a person reads who replays a
//! run.

use raft_core::{Input, Output};
use raft_node::replica::{Effect, Event};

/// An event, in words.
#[must_use]
pub fn event(event: &Event) -> String {
    match event {
        Event::Timer => Input::Timer.to_string(),
        Event::Message { from, message, .. } => {
            Input::Receive { from: *from, message: message.clone() }.to_string()
        }
        Event::Persisted(ticket) => Input::Persisted(*ticket).to_string(),
        Event::LogRead { request, chunk } => {
            let count = chunk.as_ref().map_or(0, |chunk| chunk.entries.len());
            format!("log read #{request}: {count} entries")
        }
        Event::Link { peer, lane, up } => {
            Input::Link { peer: *peer, lane: *lane, up: *up }.to_string()
        }
        other => format!("{other:?}"),
    }
}

/// An effect, in words.
#[must_use]
pub fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Send { to, message, .. } => {
            Output::Send { to: *to, message: message.clone() }.to_string()
        }
        Effect::Write { ticket, write } => format!(
            "write {ticket}: {:?}, cut from {:?}, {} entries from {}",
            write.hard_state, write.truncate_from, write.count, write.first
        ),
        other => format!("{other:?}"),
    }
}
