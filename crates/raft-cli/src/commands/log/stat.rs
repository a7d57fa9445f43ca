//! `raft log stat`: whose log it is, its slots, and how far it goes.

use std::fmt::Write as _;
use std::path::Path;

use raft_log::{InspectedSlot, Inspection, PeerBoot, Shown};
use raft_node::replica::configuration;
use raft_node::wire::decode_membership;
use raft_node::{Index, LogId, Membership};
use serde_json::{Value, json};

use super::{damage_objects, shown_index, snapshots, text, torn_object};
use crate::errors::Problem;
use crate::output::{Format, Output, Table};

pub(super) fn show(inspection: &Inspection, dir: &Path, output: &Output) -> Result<(), Problem> {
    let mut table = Table::new(&[
        "file", "size", "order", "start", "blocks", "first", "last", "terms", "used%",
    ]);
    inspection.slots.iter().for_each(|slot| table.row(row(slot)));
    match output.format {
        Format::Plain => output.table(&table, "slots", Vec::new(), serde_json::Map::new()),
        Format::Json | Format::Jsonl => output.line("", object(inspection, dir)),
        Format::Table => {
            let mut text = String::new();
            for (name, value) in facts(inspection, dir) {
                let _ = writeln!(text, "{name:<11}  {value}");
            }
            if !inspection.slots.is_empty() {
                let _ = write!(text, "\n{}", table.aligned());
            }
            if !inspection.snapshots.is_empty() {
                let _ = write!(text, "\n{}", snapshots::table(&inspection.snapshots).aligned());
            }
            output.line(text.trim_end(), Value::Null)
        }
    }
}

fn facts(inspection: &Inspection, dir: &Path) -> Vec<(&'static str, String)> {
    let Inspection { identity, log, .. } = inspection;
    let standing = match inspection.removed_at {
        None => "member".to_owned(),
        Some(at) => format!("removed at index {at}"),
    };
    let vote = log.hard_state.voted_for.map_or("no vote".into(), |id| format!("voted for {id}"));
    let shown = match &inspection.shown {
        Shown::At(index) => format!("lines up to index {index}"),
        Shown::Lost(why) => format!("unknown: {why}"),
    };
    let used: u64 = inspection.slots.iter().map(|slot| slot.bytes_used).sum();
    let all: u64 = inspection.slots.iter().map(|slot| slot.bytes).sum();
    let spare: u64 = inspection.spares.iter().map(|(_, bytes)| bytes).sum();
    let blocks: usize = inspection.slots.iter().map(|slot| slot.blocks.len()).sum();
    let peers: Vec<String> = log.peers.iter().map(peer).collect();
    vec![
        ("directory", dir.display().to_string()),
        ("node", format!("{}, {}, {standing}", identity.id, identity.address)),
        ("cluster", format!("{:032x}", identity.cluster)),
        ("incarnation", format!("{:032x}", identity.incarnation)),
        ("starts", inspection.starts.to_string()),
        ("members", members(inspection).join(", ")),
        ("peers", if peers.is_empty() { "none heard of".into() } else { peers.join(", ") }),
        ("term", format!("{}, {vote}", log.hard_state.term)),
        ("begins", begins(inspection)),
        ("last entry", inspection.last().to_string()),
        ("committed", format!("up to index {} at least", log.commit_hint)),
        ("shown", shown),
        (
            "log",
            format!(
                "{} in {}, {} of {} together",
                text::size(used),
                text::count(blocks, "block"),
                text::count(inspection.slots.len(), "slot"),
                text::size(all)
            ),
        ),
        (
            "spare",
            format!("{}, {}", text::count(inspection.spares.len(), "slot"), text::size(spare)),
        ),
    ]
}

fn begins(inspection: &Inspection) -> String {
    match inspection.log.start {
        start if start.index.0 > 0 => format!("after entry {start}"),
        _ => "with the first entry".into(),
    }
}

fn peer(peer: &PeerBoot) -> String {
    format!("{} in start {}", peer.id, peer.epoch)
}

/// Everyone in the newest configuration; as long as it is the first one, the founders.
fn members(inspection: &Inspection) -> Vec<String> {
    let newest = inspection.log.memberships.last();
    let decoded = newest.map(|(at, payload)| match decode_membership(payload) {
        Ok(membership) => Ok((*at, membership)),
        Err(error) => Err(format!("not understood, entry {at}: {error}")),
    });
    let base = inspection.log.snapshot.map(|id| configuration_at(inspection, id));
    let of_log = decoded.filter(|decoded| match (decoded, &base) {
        (Ok((at, _)), Some(Ok((base, _)))) => at > base,
        _ => true,
    });
    match of_log.or(base) {
        Some(Ok((_, membership))) => text::members(&membership),
        Some(Err(why)) => vec![why],
        None => {
            let founders = (1..).zip(&inspection.identity.founders);
            founders.map(|(id, founder)| format!("n{id} {}", founder.address)).collect()
        }
    }
}

/// The configuration that a snapshot was taken with.
fn configuration_at(inspection: &Inspection, id: LogId) -> Result<(Index, Membership), String> {
    let opened = inspection.open_snapshot(id).map_err(|error| error.to_string())?;
    let mut contents = opened.contents().map_err(|error| error.to_string())?;
    let found = configuration(&contents.take_own());
    found.map_err(|error| format!("not understood, snapshot {id}: {error}"))
}

fn row(slot: &InspectedSlot) -> Vec<String> {
    let dash = || "-".to_owned();
    let indexes = indexes(slot);
    let terms = terms(slot).map_or_else(dash, |(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}..{last}"),
    });
    vec![
        file_name(slot),
        text::size(slot.bytes),
        slot.order.to_string(),
        slot.boot.epoch.to_string(),
        slot.blocks.len().to_string(),
        indexes.map_or_else(dash, |(first, _)| first.to_string()),
        indexes.map_or_else(dash, |(_, last)| last.to_string()),
        terms,
        (slot.bytes_used * 100 / slot.bytes.max(1)).to_string(),
    ]
}

/// `wal/07.seg`.
pub(super) fn file_name(slot: &InspectedSlot) -> String {
    let name = slot.file.file_name().unwrap_or_default();
    format!("wal/{}", name.to_string_lossy())
}

/// The lowest and highest index in a slot, void entries included.
fn indexes(slot: &InspectedSlot) -> Option<(u64, u64)> {
    let blocks = || slot.blocks.iter().filter(|block| block.count > 0);
    let first = blocks().map(|block| block.first.0).min()?;
    let last = blocks().map(|block| block.first.0 + u64::from(block.count) - 1).max()?;
    Some((first, last))
}

fn terms(slot: &InspectedSlot) -> Option<(u64, u64)> {
    let terms = || slot.blocks.iter().filter_map(|block| block.terms);
    let first = terms().map(|(first, _)| first.0).min()?;
    Some((first, terms().map(|(_, last)| last.0).max()?))
}

fn object(inspection: &Inspection, dir: &Path) -> Value {
    let Inspection { identity, log, .. } = inspection;
    let slot = |slot: &InspectedSlot| {
        let (indexes, terms) = (indexes(slot), terms(slot));
        json!({
            "file": file_name(slot),
            "bytes": slot.bytes,
            "bytes_used": slot.bytes_used,
            "order": slot.order,
            "start": slot.boot.epoch,
            "first_block": slot.base,
            "blocks": slot.blocks.len(),
            "first_index": indexes.map(|(first, _)| first),
            "last_index": indexes.map(|(_, last)| last),
            "first_term": terms.map(|(first, _)| first),
            "last_term": terms.map(|(_, last)| last),
        })
    };
    let peer = |peer: &PeerBoot| {
        json!({
            "id": peer.id.0,
            "incarnation": format!("{:032x}", peer.incarnation),
            "start": peer.epoch,
        })
    };
    json!({
        "directory": dir.display().to_string(),
        "state": if inspection.removed_at.is_some() { "removed" } else { "member" },
        "id": identity.id.0,
        "address": identity.address,
        "cluster": format!("{:032x}", identity.cluster),
        "incarnation": format!("{:032x}", identity.incarnation),
        "removed_at": inspection.removed_at.map(|index| index.0),
        "starts": inspection.starts,
        "members": members(inspection),
        "peers": log.peers.iter().map(peer).collect::<Vec<_>>(),
        "term": log.hard_state.term.0,
        "voted_for": log.hard_state.voted_for.map(|id| id.0),
        "last_index": log.last_index.0,
        "last_term": inspection.last().term.0,
        "commit_hint": log.commit_hint.0,
        "shown": shown_index(inspection),
        "log_start": inspection.log.start.index.0,
        "snapshots": snapshots::objects(inspection),
        "slots": inspection.slots.iter().map(slot).collect::<Vec<_>>(),
        "spares": inspection.spares.iter().map(|(file, bytes)| json!({
            "file": file.display().to_string(),
            "bytes": bytes,
        })).collect::<Vec<_>>(),
        "torn_end": torn_object(inspection),
        "damages": damage_objects(inspection),
    })
}
