//! Latencies as a picture: one bar for each range of times.

use std::fmt::Write;

use hdrhistogram::Histogram;

use super::report::time;

/// Each range ends at so many times its beginning, in percent.
const STEP: u64 = 150;
const WIDTH: f64 = 40.0;
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// All but the slowest of 1,000, which the quantiles tell; nothing if nothing was measured.
pub(super) fn bars(latency: &Histogram<u64>) -> String {
    let (mut from, last) = (latency.min().max(1), latency.value_at_quantile(0.999));
    let mut ranges = Vec::new();
    while !latency.is_empty() && from <= last {
        let to = (from * STEP / 100).max(from + 1);
        ranges.push((from, to, latency.count_between(from, to - 1) as f64));
        from = to;
    }
    let most = ranges.iter().map(|(.., count)| *count).fold(1.0, f64::max);
    let mut text = String::new();
    for (from, to, count) in ranges {
        let share = 100.0 * count / latency.len() as f64;
        let label = format!("{} to {}", time(from), time(to));
        // A string takes everything.
        let _ = writeln!(text, "{label:<23} {share:>5.1} % {}", bar(count / most * WIDTH));
    }
    text
}

fn bar(width: f64) -> String {
    let eighths = (width * 8.0).round() as usize;
    let end = EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
    "█".repeat(eighths / 8) + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_share() {
        let mut latency = Histogram::<u64>::new(3).expect("3 digits");
        assert_eq!(bars(&latency), "");
        for (micros, count) in [(100, 30), (160, 60), (400, 10)] {
            latency.record_n(micros, count).expect("in range");
        }
        let text = bars(&latency);
        let shares: Vec<_> = text.lines().map(|line| &line[24..31]).collect();
        assert_eq!(shares, [" 30.0 %", " 60.0 %", "  0.0 %", " 10.0 %"], "{text}");
        let widths: Vec<_> = text.lines().map(|line| line.matches('█').count()).collect();
        assert_eq!(widths, [20, 40, 0, 6], "{text}");
        assert!(text.starts_with("0.10 ms to 0.15 ms"), "{text}");
    }
}
