//! Standard output carries results only; everything else goes to standard error, one fact a line.
//!
//! Each result exists in two forms: a line or an aligned table for people, and an object for
//! programs (`"v": 1`, snake_case keys). In the JSON formats standard error is JSON as well.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};

use anstyle::{AnsiColor, Style};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::errors::Problem;
use crate::exit::Exit;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
    /// Columns separated by tabs, without a heading
    Plain,
}

impl Format {
    /// Whether programs read it.
    pub(crate) const fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }

    /// The format that a command line asks for that could not be parsed: its error, too, has to
    /// be readable for whoever asked.
    pub(crate) fn of_unparsed(args: impl Iterator<Item = OsString>) -> Self {
        let mut previous = String::new();
        let mut found = Self::default();
        for arg in args {
            let arg = arg.to_string_lossy().into_owned();
            let value = match arg.strip_prefix("--output=").or_else(|| arg.strip_prefix("-o=")) {
                Some(value) => value,
                None if previous == "-o" || previous == "--output" => &arg,
                None => arg.strip_prefix("-o").unwrap_or_default(),
            };
            found = Self::from_str(value, false).unwrap_or(found);
            previous = arg;
        }
        found
    }
}

/// Where results and facts go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) format: Format,
}

/// Columns of text.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

const HEADING: Style = Style::new().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

impl Output {
    /// One result in one line.
    pub(crate) fn line(&self, text: &str, object: Value) -> Result<(), Problem> {
        let text = if self.format.is_json() { versioned(object).to_string() } else { text.into() };
        written(writeln!(anstream::stdout(), "{text}"))
    }

    /// A list of results. `objects` are the rows for programs; in one document they stand under
    /// `name`, among what else `document` says.
    pub(crate) fn table(
        &self,
        table: &Table,
        name: &str,
        objects: Vec<Value>,
        mut document: Map<String, Value>,
    ) -> Result<(), Problem> {
        let mut text = String::new();
        match self.format {
            Format::Table => text = table.aligned(),
            Format::Plain => {
                table.rows.iter().for_each(|row| text.push_str(&(row.join("\t") + "\n")));
            }
            Format::Jsonl => {
                let lines = objects.into_iter().map(|object| versioned(object).to_string() + "\n");
                text.extend(lines);
            }
            Format::Json => {
                document.insert(name.into(), objects.into());
                text = versioned(document.into()).to_string() + "\n";
            }
        }
        let mut stdout = anstream::stdout();
        written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
    }

    /// A fact for standard error. It is not worth an error if nobody reads it.
    pub(crate) fn note(&self, fact: &str) {
        let line = if self.format.is_json() {
            versioned(json!({ "notice": fact })).to_string()
        } else {
            fact.into()
        };
        let _ = writeln!(anstream::stderr(), "{line}");
    }

    /// A failure, on standard error.
    pub(crate) fn problem(&self, problem: &Problem) {
        let mut stderr = anstream::stderr();
        if self.format.is_json() {
            let error = json!({
                "what": problem.what,
                "hint": problem.hint,
                "outcome": problem.exit.outcome(),
                "exit": problem.exit.code(),
            });
            let _ = writeln!(stderr, "{}", versioned(json!({ "error": error })));
            return;
        }
        let _ = writeln!(stderr, "{ERROR}error:{ERROR:#} {}", problem.what);
        if let Some(hint) = &problem.hint {
            let _ = writeln!(stderr, "{HINT}hint:{HINT:#} {hint}");
        }
    }
}

impl Table {
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Two spaces between columns, no spaces at the end of a line; columns of numbers to the
    /// right.
    pub(crate) fn aligned(&self) -> String {
        let numeric = |column: usize| {
            let mut cells = self.rows.iter().filter_map(|row| row.get(column));
            let number = |cell: &String| cell == "-" || cell.parse::<u64>().is_ok();
            !self.rows.is_empty() && cells.all(number)
        };
        let columns: Vec<(usize, bool)> = (self.headings.iter().enumerate())
            .map(|(column, heading)| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                let width = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                (width.max(heading.len()), numeric(column))
            })
            .collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let padded = cells.zip(&columns).map(|(cell, &(width, right))| {
                if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let heading = line(&mut self.headings.iter().copied());
        let mut text = format!("{HEADING}{heading}{HEADING:#}\n");
        for row in &self.rows {
            text.push_str(&line(&mut row.iter().map(String::as_str)));
            text.push('\n');
        }
        text
    }
}

/// Bytes for programs: as text, with what is not UTF-8 replaced, and exactly, in base64.
pub(crate) fn bytes(name: &str, bytes: &[u8], object: &mut Map<String, Value>) {
    object.insert(name.into(), String::from_utf8_lossy(bytes).into());
    object.insert(format!("{name}_base64"), BASE64_STANDARD.encode(bytes).into());
}

/// An object with the version of its shape.
pub(crate) fn versioned(mut object: Value) -> Value {
    if let Value::Object(fields) = &mut object {
        fields.insert("v".into(), 1.into());
    }
    object
}

/// Whoever closed the pipe has read enough; any other failure is one.
fn written(result: io::Result<()>) -> Result<(), Problem> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Problem::new(
            Exit::Io,
            format!("the request succeeded, but standard output cannot be written: {error}"),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned() {
        let mut table = Table::new(&["id", "address", "match"]);
        table.row(vec!["n1".into(), ":9990".into(), "7".into()]);
        table.row(vec!["n12".into(), "host:9991".into(), "-".into()]);
        table.row(vec!["n13".into(), "ü:1".into(), "123456".into()]);
        let text = anstream::adapter::strip_str(&table.aligned()).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "id   address     match",
                "n1   :9990           7",
                "n12  host:9991       -",
                "n13  ü:1        123456",
            ]
        );
    }

    #[test]
    fn bytes_come_exactly_and_readable() {
        let mut object = Map::new();
        bytes("text", b"a\xff", &mut object);
        assert_eq!(Value::from(object), json!({ "text": "a\u{fffd}", "text_base64": "Yf8=" }));
    }

    #[test]
    fn the_format_of_a_line_that_does_not_parse() {
        let format = |line: &str| Format::of_unparsed(line.split(' ').map(OsString::from));
        assert_eq!(format("raft apend x -o json"), Format::Json);
        assert_eq!(format("raft apend x --output=jsonl"), Format::Jsonl);
        assert_eq!(format("raft apend -ojson"), Format::Json);
        assert_eq!(format("raft apend -o=plain"), Format::Plain);
        assert_eq!(format("raft apend json"), Format::Table);
        assert_eq!(format("raft apend -o"), Format::Table);
    }
}
