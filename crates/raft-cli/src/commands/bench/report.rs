//! What a measurement came to, for people and for programs.

use std::fmt::Write;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::cost::{self, Cost};
use super::load::connections;
use super::plot;
use super::tally::Summary;
use crate::args::{Load, Work};
use crate::errors::Problem;
use crate::output::Output;

/// All that was found.
pub(super) struct Report {
    pub(super) load: Load,
    /// The member that led at the beginning.
    pub(super) asked: String,
    pub(super) summary: Summary,
    /// What this process worked meanwhile.
    pub(super) worked: Duration,
    pub(super) costs: Vec<Cost>,
}

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

impl Report {
    pub(super) fn write(&self, output: &Output) -> Result<(), Problem> {
        output.line(self.text().trim_end(), self.object())
    }

    fn per_second(&self) -> f64 {
        self.summary.done as f64 / self.summary.over.as_secs_f64().max(1e-9)
    }

    fn text(&self) -> String {
        let (load, summary) = (&self.load, &self.summary);
        let mut text = String::new();
        let rows = [
            ("load", describe(load)),
            ("asked", if load.spread { "all members in turn".into() } else { self.asked.clone() }),
            (
                "measured",
                format!(
                    "{:.1} s after {:.1} s of warm-up",
                    summary.over.as_secs_f64(),
                    load.warm_up.as_secs_f64()
                ),
            ),
            (
                "throughput",
                format!(
                    "{:.0} ops/s, {:.1} MB/s, {} operations",
                    self.per_second(),
                    self.per_second() * f64::from(load.value_size) / 1e6,
                    summary.done
                ),
            ),
            ("latency", self.latencies()),
            ("processor", self.processor()),
            ("failures", failures(summary)),
        ];
        for (name, value) in rows {
            // A string takes everything.
            let _ = writeln!(text, "{name:<11} {value}");
        }
        let bars = plot::bars(&summary.latency);
        if !bars.is_empty() {
            let _ = write!(text, "\n{bars}");
        }
        if !self.costs.is_empty() {
            let each = if load.work.gets() { "operation" } else { "entry" };
            let _ = write!(text, "\nfor each {each}:\n{}", cost::table(&self.costs).aligned());
        }
        text
    }

    fn processor(&self) -> String {
        let servers: f64 = self.costs.iter().map(Cost::processor_us).sum();
        let own = self.worked.as_micros() as f64 / self.summary.done.max(1) as f64;
        let load = format!("{own:.1} us of the load for each operation");
        if self.costs.is_empty() { load } else { format!("{servers:.1} us of all servers, {load}") }
    }

    fn latencies(&self) -> String {
        let latency = &self.summary.latency;
        let each = |(name, quantile): &(&str, f64)| {
            format!("{name} {}", time(latency.value_at_quantile(*quantile)))
        };
        let all: Vec<_> = QUANTILES.iter().map(each).collect();
        format!("{}  max {}", all.join("  "), time(latency.max()))
    }

    fn object(&self) -> Value {
        let (load, summary) = (&self.load, &self.summary);
        let latency = &summary.latency;
        let key = |name: &str| name.replace('.', "");
        let mut latencies: Map<_, _> = (QUANTILES.iter())
            .map(|(name, at)| (key(name), latency.value_at_quantile(*at).into()))
            .collect();
        latencies.insert("max".into(), latency.max().into());
        json!({
            "target": name(load.target),
            "work": name(load.work),
            "keys": load.keys,
            "gets": load.gets,
            "consistency": format!("{:?}", load.consistency).to_lowercase(),
            "clients": load.clients,
            "connections": connections(load),
            "in_flight": load.in_flight,
            "rate": load.rate,
            "value_size": load.value_size,
            "spread": load.spread,
            "leader": self.asked,
            "seconds": summary.over.as_secs_f64(),
            "operations": summary.done,
            "per_second": self.per_second(),
            "latency_us": latencies,
            "load_processor_us": self.worked.as_micros() as u64,
            "refused": summary.refused,
            "not_sent": summary.unsent,
            "unknown": summary.unknown,
            "not_begun": summary.late,
            "first_failure": summary.first_failure,
            "servers": self.costs.iter().map(Cost::object).collect::<Vec<_>>(),
        })
    }
}

fn describe(load: &Load) -> String {
    let pace = match load.rate {
        None => "each waiting for its answers".to_owned(),
        Some(rate) => format!("{rate} requests a second at fixed times"),
    };
    let what = match load.work {
        Work::Append => "messages".to_owned(),
        Work::Put | Work::Get => format!("values of {} keys", load.keys),
        Work::Mixed => format!("values of {} keys, {} % gets", load.keys, load.gets),
    };
    format!(
        "{}: {} clients on {} connections, {} in flight each, {}-byte {what}, {pace}",
        name(load.work),
        load.clients,
        connections(load),
        load.in_flight,
        load.value_size
    )
}

fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn failures(summary: &Summary) -> String {
    let counts = [
        (summary.refused, "refused"),
        (summary.unsent, "not sent"),
        (summary.unknown, "of unknown outcome"),
        (summary.late, "due and not begun, latencies are lower bounds"),
    ];
    let said = counts.iter().filter(|(count, _)| *count > 0);
    let said: Vec<_> = said.map(|(count, what)| format!("{count} {what}")).collect();
    let mut text = if said.is_empty() { "none".into() } else { said.join(", ") };
    if let Some(first) = &summary.first_failure {
        text += &format!(" (the first: {first})");
    }
    text
}

/// Microseconds, readable.
pub(super) fn time(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{:.2} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_readable() {
        assert_eq!(time(421), "0.42 ms");
        assert_eq!(time(12_345), "12.3 ms");
        assert_eq!(time(2_500_000), "2.50 s");
    }
}
