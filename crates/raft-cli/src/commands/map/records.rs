//! Records of the map, for people and for programs.

use raft_store::{Found, Record};
use serde_json::{Map, Value};

use crate::commands::log::text::safe;
use crate::output::{self, Output, Table};

/// Characters of a value in a table.
const VALUE_CHARACTERS_MAX: usize = 256;

/// For a line of its own: no byte in it can be taken for anything else.
pub(super) fn shown(bytes: &[u8]) -> String {
    safe(bytes, usize::MAX)
}

pub(super) fn table(found: &Found, keys_only: bool, output: &Output) -> Table {
    let value_max = match output.format {
        output::Format::Table => VALUE_CHARACTERS_MAX,
        _ => usize::MAX,
    };
    let headings: &[_] = if keys_only {
        &["key", "mod_revision", "version"]
    } else {
        &["key", "value", "mod_revision", "version"]
    };
    let mut table = Table::new(headings);
    for record in &found.records {
        let mut cells = vec![shown(record.key())];
        if !keys_only {
            cells.push(safe(record.value(), value_max));
        }
        cells.push(record.mod_revision().to_string());
        cells.push(record.version().to_string());
        table.row(cells);
    }
    table
}

pub(super) fn object(record: &Record, keys_only: bool) -> Value {
    let mut object = Map::new();
    output::bytes("key", record.key(), &mut object);
    if !keys_only {
        output::bytes("value", record.value(), &mut object);
    }
    object.insert("create_revision".into(), record.create_revision().into());
    object.insert("mod_revision".into(), record.mod_revision().into());
    object.insert("version".into(), record.version().into());
    object.into()
}
