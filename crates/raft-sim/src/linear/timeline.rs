//! Operations as bars against time, for people.
//!
//! ```text
//!     ms 0      10        121       1401
//!      1 [-w(1)-]
//!      2          [-------w(2)------- …
//!      3          [-r = 2-] [-r = 1-]
//!                           ^^^^^^^^^ nothing explains this answer
//! ```
//!
//! Real time goes from left to right, but not to scale: between two calls nothing ended, and
//! nothing depends on which of them came first, so they begin at the same place.

use std::collections::BTreeMap;
use std::fmt;

use super::history::{Moment, Operation, Outcome};
use super::models::{HistoryOf, Model};

/// Operations that are drawn; of more than that, the last ones.
const BARS_MAX: usize = 60;

/// A drawing: print it, or make of it what you like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// The operations, by their calls.
    pub bars: Vec<Bar>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Who asked.
    pub client: u64,
    /// For what, and the answer.
    pub text: String,
    /// When.
    pub called: Moment,
    /// When it ended, if it did.
    pub ended: Option<Moment>,
    /// Whether it surely had no effect.
    pub failed: bool,
    /// Whether this is the answer that nothing explains.
    pub unexplained: bool,
}

impl Timeline {
    /// The history, and which of its answers is the wrong one.
    #[must_use]
    pub fn of<M: Model>(model: &M, history: &HistoryOf<M>, unexplained: Option<usize>) -> Self {
        let bar = |(number, one): (usize, &Operation<M::Input, M::Output>)| Bar {
            client: one.client,
            text: model.describe(&one.input, one.answer().map(|(_, output)| output)),
            called: one.called,
            ended: match &one.outcome {
                Outcome::Ok { at, .. } | Outcome::Failed { at } => Some(*at),
                Outcome::Unknown => None,
            },
            failed: one.has_failed(),
            unexplained: unexplained == Some(number),
        };
        Self { bars: history.operations().iter().enumerate().map(bar).collect() }
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left_out = self.bars.len().saturating_sub(BARS_MAX);
        let bars = &self.bars[left_out..];
        if left_out > 0 {
            writeln!(f, "({left_out} earlier operations are not drawn)")?;
        }
        let columns = Columns::of(bars);
        writeln!(f, "{}", line("ms", &columns.clock()))?;
        for (client, lanes) in lanes(bars) {
            for (number, lane) in lanes.iter().enumerate() {
                let name = if number == 0 { client.to_string() } else { String::new() };
                writeln!(f, "{}", line(&name, &columns.draw(lane)))?;
                for bar in lane.iter().filter(|bar| bar.unexplained) {
                    let (from, to) = columns.ends(bar);
                    let marks = "^".repeat(to - from + 1);
                    let text = format!("{:from$}{marks} nothing explains this answer", "");
                    writeln!(f, "{}", line("", &text))?;
                }
            }
        }
        Ok(())
    }
}

fn line(name: &str, text: &str) -> String {
    format!("{name:>6} {text}").trim_end().to_owned()
}

/// What stands in a bar.
fn label(bar: &Bar) -> String {
    let plain = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    let text: String = bar.text.chars().map(plain).collect();
    if bar.failed { text + " failed" } else { text }
}

/// The bars of each client; those that overlap in different rows.
fn lanes(bars: &[Bar]) -> BTreeMap<u64, Vec<Vec<&Bar>>> {
    let mut clients: BTreeMap<u64, Vec<Vec<&Bar>>> = BTreeMap::new();
    for bar in bars {
        let lanes = clients.entry(bar.client).or_default();
        let is_free = |lane: &&mut Vec<&Bar>| {
            let last = lane.last().map(|last| last.ended);
            last.is_none_or(|ended| ended.is_some_and(|ended| ended < bar.called))
        };
        match lanes.iter_mut().find(is_free) {
            Some(lane) => lane.push(bar),
            None => lanes.push(vec![bar]),
        }
    }
    clients
}

/// Where each moment stands.
struct Columns {
    of: BTreeMap<Moment, usize>,
    end: usize,
}

impl Columns {
    fn of(bars: &[Bar]) -> Self {
        let mut events: Vec<(Moment, Option<&Bar>)> = Vec::new();
        for bar in bars {
            events.push((bar.called, None));
            events.extend(bar.ended.map(|ended| (ended, Some(bar))));
        }
        events.sort_unstable_by_key(|(at, _)| *at);
        let mut columns = Self { of: BTreeMap::new(), end: 0 };
        for group in events.chunk_by(|a, b| a.1.is_some() == b.1.is_some()) {
            // The longest bar that ends here decides.
            let needs = group.iter().filter_map(|(_, bar)| {
                let bar = (*bar)?;
                Some(columns.of.get(&bar.called)? + label(bar).len() + 3)
            });
            let column = needs.max().unwrap_or_default().max(columns.end);
            columns.of.extend(group.iter().map(|(at, _)| (*at, column)));
            columns.end = column + 2;
        }
        let open = bars.iter().filter(|bar| bar.ended.is_none());
        let needs = open.map(|bar| columns.at(bar.called) + label(bar).len() + 5).max();
        columns.end = columns.end.max(needs.unwrap_or_default());
        columns
    }

    fn at(&self, moment: Moment) -> usize {
        self.of.get(&moment).copied().unwrap_or(self.end)
    }

    fn ends(&self, bar: &Bar) -> (usize, usize) {
        (self.at(bar.called), bar.ended.map_or(self.end, |ended| self.at(ended)))
    }

    /// The clock above the bars, wherever there is room.
    fn clock(&self) -> String {
        let (mut text, mut last) = (String::new(), None);
        for (moment, column) in &self.of {
            let has_room = text.is_empty() || text.len() < *column;
            if has_room && last != Some(moment.time) {
                text = format!("{text:column$}{}", moment.time);
                last = Some(moment.time);
            }
        }
        text
    }

    fn draw(&self, lane: &[&Bar]) -> String {
        let mut text = String::new();
        for bar in lane {
            let (from, to) = self.ends(bar);
            let label = label(bar);
            let room = to - from - 1;
            let inside = match bar.ended {
                Some(_) => format!("{label:-^room$}]"),
                None => format!("{label:-^0$} \u{2026}", room - 1),
            };
            text = format!("{text:from$}[{inside}");
        }
        text
    }
}
