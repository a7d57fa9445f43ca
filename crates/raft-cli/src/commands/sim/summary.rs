//! What many runs came to, for people and for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use raft_sim::hash::TraceHash;
use raft_sim::plan::EVENTS_MIN;
use raft_sim::{Probe, Reach, Report, Schedule, Storage};
use serde_json::{Map, Value, json};

use crate::errors::Problem;
use crate::output::{Format, Output, Table};

/// The sum of all reports.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) runs: u64,
    threads: usize,
    pub(super) took: Duration,
    /// Processor time of all threads.
    pub(super) worked: Duration,
    events: u64,
    /// In how many runs little happened, and how much in the one with the least.
    small: u64,
    least: Option<u64>,
    /// Virtual milliseconds.
    time: u64,
    committed: u64,
    acknowledged: u64,
    /// How long it took at worst until all members took writes again, and with which seed.
    healed: Option<(u64, u64)>,
    schedules: BTreeMap<&'static str, u64>,
    /// How many runs had more damage on disks than a cluster survives.
    exceeded: u64,
    /// How many had a wide-area network.
    wide: u64,
    /// How many runs had so many members at first.
    members: BTreeMap<usize, u64>,
    troubles: BTreeMap<&'static str, u64>,
    probes: BTreeMap<&'static str, u64>,
    /// The trace hash of each run.
    hashes: BTreeMap<u64, u128>,
}

/// So many trace hashes become one, so that two sets of runs can be compared block by block.
const BLOCK: u64 = 50;

/// A few runs may have done little; many may not.
const RUNS_TO_JUDGE: u64 = 20;

impl Summary {
    pub(super) fn new(threads: usize) -> Self {
        Self { threads, ..Self::default() }
    }

    pub(super) fn add(&mut self, seed: u64, report: &Report) {
        self.runs += 1;
        self.events += report.events;
        self.small += u64::from(report.events < EVENTS_MIN);
        self.least = self.least.into_iter().chain([report.events]).min();
        self.time += report.time;
        self.committed += report.committed as u64;
        self.acknowledged += report.acknowledged as u64;
        let healed = (report.healed_after, seed);
        if self.healed.is_none_or(|(worst, of)| healed.0 > worst || healed.0 == worst && seed < of)
        {
            self.healed = Some(healed);
        }
        let sums = [(&mut self.troubles, &report.kinds), (&mut self.probes, &report.probes)];
        for (sum, counts) in sums {
            for (what, count) in counts {
                *sum.entry(what).or_default() += count;
            }
        }
        if let Some(schedule) = report.schedule {
            *self.schedules.entry(schedule.name()).or_default() += 1;
        }
        self.exceeded += u64::from(report.storage == Storage::Exceeded);
        self.wide += u64::from(report.reach == Reach::Wide);
        *self.members.entry(report.members).or_default() += 1;
        self.hashes.insert(seed, report.hash);
    }

    /// The probes that were never reached.
    pub(super) fn missed(&self) -> Vec<&'static str> {
        let names = Probe::ALL.iter().map(|probe| probe.name());
        names.filter(|name| !self.probes.contains_key(name)).collect()
    }

    fn reached(&self) -> usize {
        Probe::ALL.len() - self.missed().len()
    }

    /// Why these runs prove nothing, if they do not.
    pub(super) fn is_vacuous(&self) -> Option<String> {
        let few = self.runs >= RUNS_TO_JUDGE && self.acknowledged < 5 * self.runs;
        few.then(|| format!("{} writes were acknowledged in {} runs", self.acknowledged, self.runs))
    }

    /// Virtual time to what a core spent on it, whatever else it did meanwhile.
    fn speed(&self) -> f64 {
        let real = self.worked.as_secs_f64();
        if real > 0.0 { self.time as f64 / 1000.0 / real } else { 0.0 }
    }

    /// One hash of all, in the order of the seeds.
    fn digest(&self) -> u128 {
        let mut digest = TraceHash::new();
        for (seed, hash) in &self.hashes {
            digest.number(*seed);
            digest.bytes(&hash.to_le_bytes());
        }
        digest.digest()
    }

    /// The runs as one line for a terminal.
    pub(super) fn progress(&self) -> String {
        let most = self.most(&self.troubles, 3);
        format!(
            "{} runs, {} events, {:.1} simulated hours, {:.0} times real time; {most}",
            self.runs,
            grouped(self.events),
            self.time as f64 / 3.6e6,
            self.speed(),
        )
    }

    /// The most frequent ones.
    fn most(&self, counts: &BTreeMap<&'static str, u64>, few: usize) -> String {
        let mut all: Vec<(&str, u64)> = counts.iter().map(|(what, n)| (*what, *n)).collect();
        all.sort_by_key(|(what, count)| (u64::MAX - count, *what));
        let told = all.iter().take(few).map(|(what, count)| format!("{what} {count}"));
        told.collect::<Vec<_>>().join(", ")
    }

    /// All of it; programs are told `more` in the same document.
    pub(super) fn write(
        &self,
        probes: bool,
        mut more: Map<String, Value>,
        output: &Output,
    ) -> Result<(), Problem> {
        if output.format.is_json() {
            let mut object = self.object(probes);
            if let Value::Object(fields) = &mut object {
                fields.append(&mut more);
            }
            return output.line("", object);
        }
        let mut text = String::new();
        for (name, value) in self.rows() {
            text += match output.format {
                Format::Plain => format!("{name}\t{value}\n"),
                _ => format!("{name:<13} {value}\n"),
            }
            .as_str();
        }
        output.text(&text)?;
        if probes {
            output.text(&self.trouble_table(output.format))?;
            output.text(&self.probe_table(output.format))?;
        }
        Ok(())
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let first = self.hashes.keys().next().copied().unwrap_or_default();
        let last = self.hashes.keys().next_back().copied().unwrap_or_default();
        let seeds = match self.hashes.len() {
            0 => String::new(),
            1 => format!(" (seed {first})"),
            _ => format!(" (seeds {first} to {last})"),
        };
        let minutes = self.time as f64 / 60_000.0;
        let healed = match self.healed {
            Some((after, seed)) => format!("after {after} ms at worst, with seed {seed}"),
            None => "-".into(),
        };
        vec![
            ("runs", format!("{}{seeds}", self.runs)),
            ("events", self.happened()),
            (
                "virtual time",
                format!("{minutes:.1} minutes, {:.0} times real time per core", self.speed()),
            ),
            ("committed", format!("{} entries", self.committed)),
            ("acknowledged", format!("{} writes", self.acknowledged)),
            ("trouble", self.trouble()),
            (
                "beyond repair",
                format!("{} runs, in which disks were damaged that far", self.exceeded),
            ),
            ("wide area", format!("{} runs, with a patience to match", self.wide)),
            ("well again", healed),
            ("probes", format!("{} of {} reached", self.reached(), Probe::ALL.len())),
        ]
    }

    fn happened(&self) -> String {
        let (least, small) = (self.least.unwrap_or_default(), self.small);
        let few = match small {
            0 => String::new(),
            _ => format!("; {small} runs have fewer than {EVENTS_MIN}"),
        };
        format!("{}, at least {least} in each run{few}", self.events)
    }

    fn trouble(&self) -> String {
        let kinds = self.troubles.len();
        format!("{}, of {kinds} kinds", self.troubles.values().sum::<u64>())
    }

    fn trouble_table(&self, format: Format) -> String {
        let mut table = Table::new(&["trouble", "came"]);
        for (kind, count) in &self.troubles {
            table.row(vec![(*kind).into(), count.to_string()]);
        }
        told(&table, format)
    }

    fn probe_table(&self, format: Format) -> String {
        let mut table = Table::new(&["probe", "reached", "what happened"]);
        for probe in Probe::ALL {
            let count = self.probes.get(probe.name()).copied().unwrap_or_default();
            table.row(vec![probe.name().into(), count.to_string(), probe.meaning().into()]);
        }
        told(&table, format)
    }

    fn object(&self, probes: bool) -> Value {
        let mut blocks: BTreeMap<u64, TraceHash> = BTreeMap::new();
        for (seed, hash) in &self.hashes {
            blocks.entry(seed / BLOCK * BLOCK).or_default().bytes(&hash.to_le_bytes());
        }
        let blocks: BTreeMap<String, String> = blocks
            .into_iter()
            .map(|(from, hash)| (from.to_string(), format!("{:032x}", hash.digest())))
            .collect();
        let mut object = json!({
            "runs": self.runs,
            "events": self.events,
            "events_least": self.least,
            "runs_small": self.small,
            "virtual_seconds": self.time as f64 / 1000.0,
            "seconds": self.took.as_secs_f64(),
            "processor_seconds": self.worked.as_secs_f64(),
            "threads": self.threads,
            "speed": self.speed(),
            "committed": self.committed,
            "acknowledged": self.acknowledged,
            "schedules": self.schedules,
            "storage_exceeded": self.exceeded,
            "network_wide": self.wide,
            "members": self.members,
            "troubles": self.troubles,
            "healed_after_ms": self.healed.map(|(after, _)| after),
            "healed_last": self.healed.map(|(_, seed)| seed),
            "probes_reached": self.reached(),
            "probes_missed": self.missed(),
            "trace_hash": format!("{:032x}", self.digest()),
            "trace_hashes": blocks,
        });
        if let (true, Value::Object(fields)) = (probes, &mut object) {
            fields.insert("probes".into(), json!(self.probes));
        }
        object
    }
}

fn told(table: &Table, format: Format) -> String {
    if format == Format::Plain { table.plain() } else { "\n".to_owned() + &table.aligned() }
}

/// One run, for programs.
pub(super) fn of_run(seed: u64, report: &Report) -> Value {
    json!({
        "seed": seed,
        "trace_hash": format!("{:032x}", report.hash),
        "events": report.events,
        "virtual_seconds": report.time as f64 / 1000.0,
        "committed": report.committed,
        "acknowledged": report.acknowledged,
        "schedule": report.schedule.map(Schedule::name),
        "storage": report.storage.name(),
        "network": report.reach.name(),
        "members": report.members,
        "troubles": report.kinds,
        "healed_after_ms": report.healed_after,
    })
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let all = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in all {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn the_order_in_which_runs_end_does_not_matter() {
        let report = |hash| Report { hash, healed_after: 7, ..Report::default() };
        let (mut one, mut other) = (Summary::default(), Summary::default());
        one.add(1, &report(10));
        one.add(2, &report(20));
        other.add(2, &report(20));
        other.add(1, &report(10));
        assert_eq!(one.digest(), other.digest());
        assert_eq!(one.healed, other.healed);
        let mut third = Summary::default();
        third.add(1, &report(20));
        third.add(2, &report(10));
        assert_ne!(one.digest(), third.digest());
    }

    #[test]
    fn runs_in_which_nothing_is_done_are_found() {
        let mut summary = Summary::default();
        for seed in 0..RUNS_TO_JUDGE {
            assert_eq!(summary.is_vacuous(), None);
            summary.add(seed, &Report { acknowledged: 4, ..Report::default() });
        }
        assert!(summary.is_vacuous().is_some());
    }
}
