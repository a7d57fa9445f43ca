//! What the drivers share: flags, and one line of JSON as the result.

use std::fmt::Write;
use std::time::Duration;

/// Why a driver ends early.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The value of `--NAME`, or what stands for it.
pub fn flag<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    let mut words = std::env::args().skip_while(|word| word.strip_prefix("--") != Some(name));
    words.nth(1).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// Prints one line that a program can read.
pub fn tell(values: &[(&str, f64)]) {
    let mut line = String::new();
    for (name, value) in values {
        let comma = if line.is_empty() { "" } else { ", " };
        let _ = write!(line, "{comma}\"{name}\": {value}");
    }
    println!("{{{line}}}");
}

/// A quantile in microseconds. Sorts.
pub fn quantile(times: &mut [Duration], at: f64) -> f64 {
    times.sort_unstable();
    let index = ((times.len() as f64 * at) as usize).min(times.len().saturating_sub(1));
    times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

/// Seconds that this process has worked.
pub fn worked() -> f64 {
    let line = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = line.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}
