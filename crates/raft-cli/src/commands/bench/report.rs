//! What a measurement came to, for people and for programs.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::cost::{self, Cost};
use super::load::connections;
use super::tally::Summary;
use crate::args::Load;
use crate::errors::Problem;
use crate::output::Output;

/// All that was found.
pub(super) struct Report {
    pub(super) load: Load,
    /// The member that led at the beginning.
    pub(super) asked: String,
    pub(super) summary: Summary,
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
            ("failures", failures(summary)),
        ];
        for (name, value) in rows {
            // A string takes everything.
            let _ = writeln!(text, "{name:<11} {value}");
        }
        if !self.costs.is_empty() {
            let _ = write!(text, "\nfor each entry:\n{}", cost::table(&self.costs).aligned());
        }
        text
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
    format!(
        "{} clients on {} connections, {} in flight each, {}-byte messages, {pace}",
        load.clients,
        connections(load),
        load.in_flight,
        load.value_size
    )
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
