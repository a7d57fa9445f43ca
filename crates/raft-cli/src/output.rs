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
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Output {
    pub(crate) format: Format,
}

/// Columns of text.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// The colours of some columns' cells, on a terminal.
    painters: Vec<(&'static str, Painter)>,
}

type Painter = fn(&str) -> Style;

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
            Format::Plain => text = table.plain(),
            Format::Jsonl => {
                let lines = objects.into_iter().map(|object| versioned(object).to_string() + "\n");
                text.extend(lines);
            }
            Format::Json => {
                document.insert(name.into(), objects.into());
                text = versioned(document.into()).to_string() + "\n";
            }
        }
        self.text(&text)
    }

    /// Results that are written already, line feeds included.
    #[expect(clippy::unused_self, reason = "whoever has it may write results")]
    pub(crate) fn text(&self, text: &str) -> Result<(), Problem> {
        let mut stdout = anstream::stdout();
        written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
    }

    /// A long result, written as it is made.
    pub(crate) fn stream(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Problem> {
        let mut to = io::BufWriter::with_capacity(64 * 1024, anstream::stdout().lock());
        written(write(&mut to).and_then(|()| to.flush()))
    }

    /// A result that is somebody's bytes, exactly.
    #[expect(clippy::unused_self, reason = "whoever has it may write results")]
    pub(crate) fn raw(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Problem> {
        let mut to = io::stdout().lock();
        written(write(&mut to).and_then(|()| to.flush()))
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
            let _ = writeln!(stderr, "{}", versioned(problem.object()));
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
        Self { headings: headings.to_vec(), rows: Vec::new(), painters: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The cells of this column have colours on a terminal.
    pub(crate) fn paint(&mut self, heading: &'static str, painter: Painter) {
        self.painters.push((heading, painter));
    }

    /// Columns separated by tabs, without a heading.
    pub(crate) fn plain(&self) -> String {
        self.rows.iter().map(|row| row.join("\t") + "\n").collect()
    }

    /// Two spaces between columns, no spaces at the end of a line; columns of numbers to the
    /// right.
    pub(crate) fn aligned(&self) -> String {
        let columns: Vec<Column> = (self.headings.iter().enumerate())
            .map(|(place, heading)| {
                let cells = || self.rows.iter().filter_map(|row| row.get(place));
                let width = cells().map(|cell| cell.chars().count()).max().unwrap_or(0);
                let painter = self.painters.iter().find(|(name, _)| name == heading);
                Column {
                    width: width.max(heading.len()),
                    right: cells().all(|cell| cell == "-" || is_quantity(cell))
                        && cells().any(|cell| is_quantity(cell)),
                    painter: painter.map(|(_, painter)| *painter),
                }
            })
            .collect();
        let line = |cells: &mut dyn Iterator<Item = &str>, painted: bool| {
            let cells = cells.zip(&columns).map(|(cell, column)| column.cell(cell, painted));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let heading = line(&mut self.headings.iter().copied(), false);
        let mut text = format!("{HEADING}{heading}{HEADING:#}\n");
        for row in &self.rows {
            text.push_str(&line(&mut row.iter().map(String::as_str), true));
            text.push('\n');
        }
        text
    }
}

/// How one column is written.
struct Column {
    width: usize,
    right: bool,
    painter: Option<Painter>,
}

impl Column {
    fn cell(&self, text: &str, painted: bool) -> String {
        let padding = " ".repeat(self.width.saturating_sub(text.chars().count()));
        let style = self.painter.filter(|_| painted).map_or(Style::new(), |painter| painter(text));
        let text = format!("{style}{text}{style:#}");
        if self.right { padding + &text } else { text + &padding }
    }
}

/// A number, with or without a unit.
fn is_quantity(cell: &str) -> bool {
    cell.trim_end_matches(char::is_alphabetic).trim_end().parse::<f64>().is_ok()
}

/// Bytes for programs: as text, with what is not UTF-8 replaced, and exactly, in base64.
pub(crate) fn bytes(name: &str, bytes: &[u8], object: &mut Map<String, Value>) {
    object.insert(name.into(), String::from_utf8_lossy(bytes).into());
    base64(name, bytes, object);
}

/// Bytes for programs, exactly.
pub(crate) fn base64(name: &str, bytes: &[u8], object: &mut Map<String, Value>) {
    object.insert(format!("{name}_base64"), BASE64_STANDARD.encode(bytes).into());
}

/// Every document for programs says which version of its shape it has.
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
            format!("it was done, but standard output cannot be written: {error}"),
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
    fn quantities_stand_to_the_right_and_colours_take_no_room() {
        let mut table = Table::new(&["who", "size", "what"]);
        table.paint("who", |_| AnsiColor::Red.on_default());
        table.row(vec!["a".into(), "12 MiB".into(), "-".into()]);
        table.row(vec!["bcd".into(), "-".into(), "0.1.0".into()]);
        table.row(vec!["e".into(), "85 µs".into(), "-".into()]);
        let red = |text: &str| format!("\u{1b}[31m{text}\u{1b}[0m");
        let lines = [
            format!("{HEADING}who    size  what{HEADING:#}"),
            format!("{}    12 MiB  -", red("a")),
            format!("{}       -  0.1.0", red("bcd")),
            format!("{}     85 µs  -", red("e")),
        ];
        assert_eq!(table.aligned(), lines.join("\n") + "\n");
        assert_eq!(table.plain(), "a\t12 MiB\t-\nbcd\t-\t0.1.0\ne\t85 µs\t-\n");
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
