//! `raft log dump`: slot by slot, block by block, entry by entry.

use std::io::{self, Write};

use raft_log::{InspectedBlock, InspectedEntry, InspectedSlot, Inspection, Kind, OpenError};
use raft_node::{Bytes, LogId, Payload};
use raft_store::Command;
use serde_json::{Map, Value, json};

use super::{stat, text};
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::{self, Format, Output, versioned};

/// Longer text is cut for people; JSON has all of it.
const TEXT_CHARACTERS_MAX: usize = 200;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) from: u64,
    pub(super) to: u64,
    /// No entries.
    pub(super) blocks: bool,
}

pub(super) fn show(
    inspection: &Inspection,
    choice: &Choice,
    output: &Output,
) -> Result<(), Problem> {
    let mut trouble = None;
    output.stream(|to| {
        let mut dump = Dump { choice: *choice, format: output.format, to, trouble: &mut trouble };
        dump.all(inspection)
    })?;
    match trouble {
        None => Ok(()),
        Some(error) => Err(Problem::new(Exit::of_log(&error), error.to_string())),
    }
}

impl Choice {
    const fn has(&self, index: u64) -> bool {
        self.from <= index && index <= self.to
    }

    /// Everything is wanted, what holds no entries too.
    const fn is_all(&self) -> bool {
        self.from <= 1 && self.to == u64::MAX
    }

    fn has_block(&self, block: &InspectedBlock) -> bool {
        let (first, count) = (block.first.0, u64::from(block.count));
        self.is_all() || (count > 0 && first <= self.to && first + count > self.from)
    }
}

struct Dump<'a> {
    choice: Choice,
    format: Format,
    to: &'a mut dyn Write,
    /// Why the dump ended early.
    trouble: &'a mut Option<OpenError>,
}

impl Dump<'_> {
    fn all(&mut self, inspection: &Inspection) -> io::Result<()> {
        if self.format == Format::Json {
            write!(self.to, "{{\"v\":1,\"slots\":[")?;
        }
        let choice = self.choice;
        let wanted = |slot: &&InspectedSlot| {
            choice.is_all() || slot.blocks.iter().any(|block| choice.has_block(block))
        };
        for (number, slot) in inspection.slots.iter().filter(wanted).enumerate() {
            self.slot(inspection, slot, number == 0)?;
            if self.trouble.is_some() {
                break;
            }
        }
        if self.format == Format::Json {
            writeln!(self.to, "]}}")?;
        }
        Ok(())
    }

    fn slot(
        &mut self,
        inspection: &Inspection,
        slot: &InspectedSlot,
        is_first: bool,
    ) -> io::Result<()> {
        match self.format {
            Format::Table => writeln!(self.to, "{}", slot_line(slot))?,
            Format::Plain => {}
            Format::Jsonl => writeln!(self.to, "{}", versioned(slot_object(slot)))?,
            Format::Json => open_list(self.to, is_first, slot_object(slot), "blocks")?,
        }
        let mut contents = inspection.contents(slot);
        let choice = self.choice;
        let wanted = slot.blocks.iter().filter(|block| choice.has_block(block));
        for (number, block) in wanted.enumerate() {
            let mut entries = Vec::new();
            if let Some(contents) = contents.as_mut().filter(|_| !choice.blocks) {
                match contents.entries(block) {
                    Ok(found) => entries = found,
                    Err(error) => *self.trouble = Some(error),
                }
            }
            entries.retain(|entry| choice.has(entry.entry.index.0));
            self.block(slot, block, &entries, number == 0)?;
            if self.trouble.is_some() {
                break;
            }
        }
        if self.format == Format::Json {
            write!(self.to, "]}}")?;
        }
        Ok(())
    }

    fn block(
        &mut self,
        slot: &InspectedSlot,
        block: &InspectedBlock,
        entries: &[InspectedEntry],
        is_first: bool,
    ) -> io::Result<()> {
        let file = stat::file_name(slot);
        match self.format {
            Format::Table => {
                writeln!(self.to, "  {}", block_line(block))?;
                entries.iter().try_for_each(|entry| writeln!(self.to, "    {}", entry_line(entry)))
            }
            Format::Plain if self.choice.blocks => {
                writeln!(self.to, "{file}\t{}", block_columns(block).join("\t"))
            }
            Format::Plain => entries
                .iter()
                .try_for_each(|entry| writeln!(self.to, "{}", entry_columns(entry).join("\t"))),
            Format::Jsonl => {
                let place = |mut object: Map<String, Value>, kind: &str| {
                    object.insert("type".into(), kind.into());
                    object.insert("file".into(), file.clone().into());
                    versioned(object.into())
                };
                writeln!(self.to, "{}", place(block_object(block), "block"))?;
                entries.iter().try_for_each(|entry| {
                    let mut object = entry_object(entry);
                    object.insert("block".into(), block.number.into());
                    writeln!(self.to, "{}", place(object, "entry"))
                })
            }
            Format::Json => {
                open_list(self.to, is_first, block_object(block), "entries")?;
                for (number, entry) in entries.iter().enumerate() {
                    let comma = if number == 0 { "" } else { "," };
                    write!(self.to, "{comma}{}", Value::from(entry_object(entry)))?;
                }
                write!(self.to, "]}}")
            }
        }
    }
}

/// Writes an object whose last field is a list that follows.
fn open_list(
    to: &mut dyn Write,
    is_first: bool,
    object: impl Into<Value>,
    name: &str,
) -> io::Result<()> {
    let text = object.into().to_string();
    let comma = if is_first { "" } else { "," };
    write!(to, "{comma}{},\"{name}\":[", text.strip_suffix('}').unwrap_or(&text))
}

fn slot_line(slot: &InspectedSlot) -> String {
    format!(
        "{}: slot {}, start {}, {} of {} used, blocks from {} on",
        stat::file_name(slot),
        slot.order,
        slot.boot.epoch,
        text::size(slot.bytes_used),
        text::size(slot.bytes),
        slot.base
    )
}

fn slot_object(slot: &InspectedSlot) -> Value {
    json!({
        "type": "slot",
        "file": stat::file_name(slot),
        "order": slot.order,
        "start": slot.boot.epoch,
        "bytes": slot.bytes,
        "bytes_used": slot.bytes_used,
        "first_block": slot.base,
    })
}

fn block_line(block: &InspectedBlock) -> String {
    let mut parts = Vec::new();
    if let Some(hard_state) = block.hard_state {
        let vote = hard_state.voted_for.map_or("no vote".into(), |id| format!("vote for {id}"));
        parts.push(format!("term {}, {vote}", hard_state.term));
    }
    if let Some(from) = block.truncate_from {
        parts.push(format!("truncate from {from}"));
    }
    if block.count > 0 {
        parts.push(format!("entries {}", range(block)));
    }
    let told = ["hard state", "truncate", "entries"];
    parts.extend(block.kinds.iter().filter(|kind| !told.contains(kind)).map(ToString::to_string));
    let durable = if block.durable { "" } else { ", not proven durable" };
    format!(
        "block {} at {}, {}: {}; synced {}, commit {}{durable}",
        block.number,
        block.offset,
        text::size(block.bytes),
        parts.join(", "),
        block.synced,
        block.commit_hint
    )
}

fn range(block: &InspectedBlock) -> String {
    let last = block.first.0 + u64::from(block.count) - 1;
    if block.count == 1 { last.to_string() } else { format!("{} to {last}", block.first) }
}

fn block_columns(block: &InspectedBlock) -> Vec<String> {
    vec![
        block.number.to_string(),
        block.offset.to_string(),
        block.bytes.to_string(),
        block.kinds.join(","),
        block.first.to_string(),
        block.count.to_string(),
        block.synced.to_string(),
        block.commit_hint.to_string(),
        if block.durable { "durable" } else { "-" }.into(),
    ]
}

fn block_object(block: &InspectedBlock) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| drop(object.insert(name.into(), value));
    put("number", block.number.into());
    put("offset", block.offset.into());
    put("bytes", block.bytes.into());
    put("kinds", block.kinds.clone().into());
    put("first_index", block.first.0.into());
    put("count", block.count.into());
    put("synced", block.synced.into());
    put("commit_hint", block.commit_hint.0.into());
    put("durable", block.durable.into());
    if let Some(hard_state) = block.hard_state {
        put("term", hard_state.term.0.into());
        put("voted_for", hard_state.voted_for.map(|id| id.0).into());
    }
    if let Some(from) = block.truncate_from {
        put("truncate_from", from.0.into());
    }
    object
}

/// The kind of an entry, what goes before its text, and its text.
fn told(entry: &InspectedEntry) -> (&'static str, String, String) {
    let entry = &entry.entry;
    match Payload::decode(entry.kind, &entry.payload) {
        Ok(Payload::Noop) => ("noop", "-".into(), String::new()),
        Ok(Payload::Membership(membership)) => {
            ("membership", "-".into(), text::members(&membership).join(", "))
        }
        Ok(Payload::Command { session, sequence, bytes, .. }) => {
            ("command", format!("{session}/{sequence}"), command(&bytes))
        }
        Ok(Payload::Register { one_shot }) => {
            let for_what = if one_shot { ", for one command" } else { "" };
            ("session", entry.index.to_string(), format!("begins{for_what}"))
        }
        Ok(Payload::EndSession { session }) => ("session", session.to_string(), "ends".into()),
        Ok(Payload::Withdraw(request)) => {
            ("session", request.to_string(), "is withdrawn, if it is not applied".into())
        }
        Err(what) => {
            let kind = if entry.kind == Kind::MEMBERSHIP { "membership" } else { "unknown" };
            (kind, "-".into(), format!("not understood: {what}"))
        }
    }
}

/// A command of the store, as text.
fn command(bytes: &Bytes) -> String {
    match Command::decode(bytes) {
        Ok(Command::Message(text)) => text::safe(&text, TEXT_CHARACTERS_MAX),
        Ok(txn) => text::safe(txn.to_string().as_bytes(), TEXT_CHARACTERS_MAX),
        Err(_) => text::safe(bytes, TEXT_CHARACTERS_MAX),
    }
}

fn entry_line(entry: &InspectedEntry) -> String {
    let (kind, session, text) = told(entry);
    let void = if entry.void { "(void) " } else { "" };
    let at = LogId { term: entry.entry.term, index: entry.entry.index }.to_string();
    let size = text::size(entry.entry.payload.len() as u64);
    let line = format!("{at:<10} {kind:<10} {size:>10}  {session:<8} {void}{text}");
    line.trim_end().to_owned()
}

fn entry_columns(entry: &InspectedEntry) -> Vec<String> {
    let (kind, session, text) = told(entry);
    vec![
        entry.entry.index.to_string(),
        entry.entry.term.to_string(),
        kind.into(),
        if entry.void { "void" } else { "-" }.into(),
        entry.entry.payload.len().to_string(),
        session,
        text,
    ]
}

fn entry_object(entry: &InspectedEntry) -> Map<String, Value> {
    let (kind, _, _) = told(entry);
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| drop(object.insert(name.into(), value));
    let payload = &entry.entry.payload;
    put("index", entry.entry.index.0.into());
    put("term", entry.entry.term.0.into());
    put("kind", kind.into());
    put("void", entry.void.into());
    put("size", payload.len().into());
    match Payload::decode(entry.entry.kind, payload) {
        Ok(Payload::Command { session, sequence, lowest_unacknowledged, bytes }) => {
            put("session", session.into());
            put("sequence", sequence.into());
            put("lowest_unacknowledged", lowest_unacknowledged.into());
            match Command::decode(&bytes) {
                Ok(Command::Message(text)) => output::bytes("text", &text, &mut object),
                Ok(txn @ Command::Txn(_)) => {
                    drop(object.insert("transaction".into(), txn.to_string().into()));
                }
                Err(_) => output::base64("payload", payload, &mut object),
            }
        }
        Ok(Payload::Register { one_shot }) => {
            put("session", entry.entry.index.0.into());
            put("one_shot", one_shot.into());
        }
        Ok(Payload::EndSession { session }) => put("ends", session.into()),
        Ok(Payload::Withdraw(request)) => put("withdraws", request.to_string().into()),
        Ok(Payload::Membership(membership)) => {
            put("members", text::members(&membership).into());
            output::base64("payload", payload, &mut object);
        }
        Ok(Payload::Noop) => {}
        Err(what) => {
            put("unknown", what.into());
            output::base64("payload", payload, &mut object);
        }
    }
    object
}
