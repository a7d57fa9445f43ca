//! The end of a story as a sequence diagram: servers and clients as columns, what happened as
//! rows, in plain text or for Mermaid. Arrows stand where a message arrived.

use std::collections::BTreeMap;
use std::fmt::Write;

use raft_core::NodeId;

use crate::network::Place;
use crate::trace::{Line, What};

/// So many rows at most, the last ones.
const ROWS_MAX: usize = 60;
/// From the line of one column to that of the next.
const COLUMN: usize = 27;
/// Before the first column: the time.
const MARGIN: usize = 12;
/// What happens in one place takes so many characters at most.
const WORDS_MAX: usize = 40;

/// The rows that matter, and who has a column.
struct Diagram<'a> {
    rows: Vec<&'a Line>,
    columns: Vec<(Place, String)>,
    left_out: usize,
}

/// The diagram in plain text.
#[must_use]
pub fn text(story: &[Line]) -> String {
    let diagram = Diagram::new(story);
    let mut out = diagram.beginning();
    out.push_str(&diagram.titles());
    for line in &diagram.rows {
        let _ = writeln!(out, "{}", diagram.row(line).trim_end());
    }
    out
}

/// The same for Mermaid.
#[must_use]
pub fn mermaid(story: &[Line]) -> String {
    let diagram = Diagram::new(story);
    let mut out = "sequenceDiagram\n".to_owned();
    for (place, title) in &diagram.columns {
        let _ = writeln!(out, "    participant {} as {title}", key(*place));
    }
    for line in &diagram.rows {
        let _ = writeln!(out, "    {}", diagram.statement(line));
    }
    out
}

impl<'a> Diagram<'a> {
    fn new(story: &'a [Line]) -> Self {
        let mut rows: Vec<&Line> = story.iter().filter(|line| matters(&line.what)).collect();
        let mut said: BTreeMap<(Place, Place), &str> = BTreeMap::new();
        rows.retain(|line| match &line.what {
            // The answer to every heartbeat says the same.
            What::Frame { from, to, brief, .. } => said.insert((*from, *to), brief) != Some(brief),
            _ => true,
        });
        let left_out = rows.len().saturating_sub(ROWS_MAX);
        rows.drain(..left_out);
        let mut ids: BTreeMap<usize, NodeId> = BTreeMap::new();
        for line in story {
            if let What::Started { host, id } = &line.what {
                ids.insert(*host, *id);
            }
        }
        let mut places: Vec<Place> = Vec::new();
        for line in &rows {
            match &line.what {
                What::Frame { from, to, .. } => places.extend([from, to]),
                what => places.extend(what.place()),
            }
        }
        places.sort_unstable();
        places.dedup();
        let title = |place: Place| match place {
            Place::Host(host) => match ids.get(&host) {
                Some(id) => format!("{id} ({place})"),
                None => place.to_string(),
            },
            Place::Client(client) => format!("client {client}"),
            Place::Stranger(_) => place.to_string(),
        };
        let columns = places.into_iter().map(|place| (place, title(place))).collect();
        Self { rows, columns, left_out }
    }

    fn beginning(&self) -> String {
        match self.left_out {
            0 => String::new(),
            count => format!("({count} rows before these are left out)\n"),
        }
    }

    /// Where a column's line is.
    fn position(&self, place: Place) -> usize {
        let column = self.columns.iter().position(|(known, _)| *known == place);
        MARGIN + column.unwrap_or_default() * COLUMN
    }

    fn titles(&self) -> String {
        let mut canvas = Canvas::new("ms");
        for (place, title) in &self.columns {
            canvas.put(self.position(*place), title);
        }
        canvas.line() + "\n"
    }

    fn row(&self, line: &Line) -> String {
        let mut canvas = Canvas::new(&line.at.0.to_string());
        let whole = match &line.what {
            What::Trouble { number, text } => Some(format!("═══ trouble {number}: {text}")),
            What::Healed => Some("═══ all trouble ends".into()),
            What::Violation(text) => Some(format!("✗✗✗ {text}")),
            _ => None,
        };
        if let Some(whole) = whole {
            canvas.put(MARGIN, &whole);
            return canvas.line();
        }
        for (place, _) in &self.columns {
            canvas.put(self.position(*place), "│");
        }
        match &line.what {
            What::Frame { from, to, brief, .. } => {
                canvas.arrow(self.position(*from), self.position(*to), brief);
            }
            what => {
                if let Some(place) = what.place() {
                    canvas.put(self.position(place), &format!("● {}", short(&what.words())));
                }
            }
        }
        canvas.line()
    }

    fn statement(&self, line: &Line) -> String {
        let at = line.at.0;
        let first = self.columns.first().map_or("all".into(), |(place, _)| key(*place));
        let last = self.columns.last().map_or("all".into(), |(place, _)| key(*place));
        match &line.what {
            What::Frame { from, to, brief, .. } => {
                format!("{}->>{}: {at} {}", key(*from), key(*to), plain(brief))
            }
            what => {
                let over = what.place().map_or(format!("{first},{last}"), key);
                format!("Note over {over}: {at} {}", plain(&short(&what.words())))
            }
        }
    }
}

/// What a reader of the diagram wants to see.
const fn matters(what: &What) -> bool {
    match what {
        What::Told(_) | What::Asked { .. } => false,
        What::Frame { idle, .. } => !*idle,
        _ => true,
    }
}

fn short(text: &str) -> String {
    if text.chars().count() <= WORDS_MAX {
        return text.to_owned();
    }
    text.chars().take(WORDS_MAX - 1).chain(['…']).collect()
}

/// A name that Mermaid takes.
fn key(place: Place) -> String {
    match place {
        Place::Host(host) => format!("server{host}"),
        Place::Client(client) => format!("client{client}"),
        Place::Stranger(number) => format!("stranger{number}"),
    }
}

/// Nothing in it ends a statement of Mermaid.
fn plain(text: &str) -> String {
    text.replace([';', '\n'], ",").replace('#', "no. ")
}

/// One row, character by character.
struct Canvas(Vec<char>);

impl Canvas {
    fn new(time: &str) -> Self {
        Self(format!("{time:>8}").chars().collect())
    }

    fn put(&mut self, at: usize, text: &str) {
        for (place, character) in (at..).zip(text.chars()) {
            if place >= self.0.len() {
                self.0.resize(place + 1, ' ');
            }
            if let Some(cell) = self.0.get_mut(place) {
                *cell = character;
            }
        }
    }

    /// From one column's line to another's, with what is said in its middle.
    fn arrow(&mut self, from: usize, to: usize, label: &str) {
        let (left, right) = (from.min(to), from.max(to));
        let room = (right - left).saturating_sub(1);
        self.put(left + 1, &"─".repeat(room));
        let (head, at) = if to > from { ("▶", right - 1) } else { ("◀", left + 1) };
        let label: String = label.chars().take(room.saturating_sub(4)).collect();
        let middle = left + 1 + (room - label.chars().count()) / 2;
        self.put(middle, &label);
        self.put(at, head);
    }

    fn line(self) -> String {
        self.0.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use raft_core::{Index, RoleKind, Term, Time};

    use super::*;

    fn story() -> Vec<Line> {
        let (first, second) = (Place::Host(0), Place::Host(1));
        let frame = |from, to, text: &str| What::Frame {
            from,
            to,
            text: text.into(),
            brief: text.into(),
            idle: false,
        };
        let story = [
            What::Started { host: 0, id: NodeId(1) },
            What::Started { host: 1, id: NodeId(2) },
            What::Told("nobody needs to know".into()),
            What::Trouble { number: 4, text: "power cut at :7002".into() },
            frame(first, second, "RequestVote t1; now"),
            frame(second, first, "vote granted"),
            What::Role { host: 0, role: RoleKind::Leader, term: Term(1) },
            frame(Place::Client(0), first, "Write 5/1"),
            What::Committed { host: 1, through: Index(5) },
            What::Violation("commit: too early".into()),
        ];
        (0..).zip(story).map(|(at, what)| Line { at: Time(at), what }).collect()
    }

    #[test]
    fn as_text() {
        let expected = "      ms    n1 (:7001)                 n2 (:7002)                 client 0
       0    ● starts as n1             │                          │
       1    │                          ● starts as n2             │
       3    ═══ trouble 4: power cut at :7002
       4    │───RequestVote t1; now───▶│                          │
       5    │◀──────vote granted───────│                          │
       6    ● leader, term 1           │                          │
       7    │◀─────────────────────Write 5/1──────────────────────│
       8    │                          ● commit 5                 │
       9    ✗✗✗ commit: too early
";
        assert_eq!(text(&story()), expected);
    }

    #[test]
    fn as_mermaid() {
        let expected = "\
sequenceDiagram
    participant server0 as n1 (:7001)
    participant server1 as n2 (:7002)
    participant client0 as client 0
    Note over server0: 0 starts as n1
    Note over server1: 1 starts as n2
    Note over server0,client0: 3 power cut at :7002
    server0->>server1: 4 RequestVote t1, now
    server1->>server0: 5 vote granted
    Note over server0: 6 leader, term 1
    client0->>server0: 7 Write 5/1
    Note over server1: 8 commit 5
    Note over server0,client0: 9 VIOLATION commit: too early
";
        assert_eq!(mermaid(&story()), expected);
    }

    #[test]
    fn only_the_end_is_drawn() {
        let many: Vec<Line> = (0..20).flat_map(|_| story()).collect();
        let text = text(&many);
        // What is said again and again is drawn once.
        assert!(text.starts_with("(63 rows before these are left out)\n"), "{text}");
        assert_eq!(text.lines().count(), 2 + ROWS_MAX);
    }
}
