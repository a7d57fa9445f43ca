//! What a node counts and remembers about itself. Counting costs an addition; nothing here waits
//! for anybody who looks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::node::connection::Meter;
use crate::vitals::{RecentEvent, SYNC_BUCKETS_US, Vitals};

/// Events that are remembered.
const EVENTS_MAX: usize = 512;

/// Latencies are told of this and the previous window.
const WINDOW: Duration = Duration::from_secs(30);

/// Latencies above count as this: an hour, in microseconds.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// A node's counters, shared by its threads.
#[derive(Debug)]
pub(super) struct Observed {
    born: Instant,
    pub(super) counters: Counters,
    pub(super) meter: Arc<Meter>,
    pub(super) syncs: Latencies,
    pub(super) requests: Latencies,
    sync_buckets: [AtomicU64; SYNC_BUCKETS_US.len() + 1],
    events: Mutex<Events>,
}

/// Plain counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) syncs: AtomicU64,
    pub(super) sync_total_us: AtomicU64,
    pub(super) log_writes: AtomicU64,
    pub(super) log_bytes: AtomicU64,
    pub(super) appends_sent: AtomicU64,
    pub(super) appends_received: AtomicU64,
    pub(super) entries_sent: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) wakeups: AtomicU64,
    pub(super) leader_changes: AtomicU64,
    pub(super) disk_used: AtomicU64,
    pub(super) disk_free: AtomicU64,
}

/// Counts one.
pub(super) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

/// Counts several.
pub(super) fn add(counter: &AtomicU64, many: u64) {
    counter.fetch_add(many, Ordering::Relaxed);
}

/// Durations of the last minute.
#[derive(Debug)]
pub(super) struct Latencies(Mutex<Windows>);

#[derive(Debug)]
struct Windows {
    since: Instant,
    now: Histogram<u64>,
    before: Histogram<u64>,
}

#[derive(Debug, Default)]
struct Events {
    last: u64,
    kept: VecDeque<RecentEvent>,
}

impl Latencies {
    fn new() -> Self {
        let windows = Windows { since: Instant::now(), now: histogram(), before: histogram() };
        Self(Mutex::new(windows))
    }

    /// Takes durations in microseconds.
    pub(super) fn record(&self, micros: impl IntoIterator<Item = u64>) {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.turn();
        for value in micros {
            // It grows as it has to.
            let _recorded = windows.now.record(value.clamp(1, LATENCY_MAX_US));
        }
    }

    /// The half, 99 of 100, and the longest, in microseconds; zeros if there were none.
    fn summary(&self) -> (u64, u64, u64) {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.turn();
        let mut both = windows.before.clone();
        // Both have the same bounds.
        let _added = both.add(&windows.now);
        if both.is_empty() {
            return (0, 0, 0);
        }
        (both.value_at_quantile(0.5), both.value_at_quantile(0.99), both.max())
    }
}

impl Windows {
    fn turn(&mut self) {
        if self.since.elapsed() >= WINDOW {
            let stale = self.since.elapsed() >= 2 * WINDOW;
            std::mem::swap(&mut self.now, &mut self.before);
            self.now.reset();
            if stale {
                self.before.reset();
            }
            self.since = Instant::now();
        }
    }
}

/// One part in a hundred is exact enough; it grows with what is recorded.
fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new(2).unwrap_or_else(|_| unreachable!("2 digits are allowed"));
    histogram.auto(true);
    histogram
}

impl Observed {
    pub(super) fn new() -> Arc<Self> {
        // Until the helper has looked, nothing is known to be lacking.
        let counters = Counters { disk_free: AtomicU64::new(u64::MAX), ..Counters::default() };
        Arc::new(Self {
            born: Instant::now(),
            counters,
            meter: Arc::default(),
            syncs: Latencies::new(),
            requests: Latencies::new(),
            sync_buckets: Default::default(),
            events: Mutex::default(),
        })
    }

    /// Microseconds since the node started.
    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A sync of the log took so long.
    pub(super) fn synced(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        count(&self.counters.syncs);
        add(&self.counters.sync_total_us, micros);
        let bucket = SYNC_BUCKETS_US.iter().position(|bound| micros <= *bound);
        count(&self.sync_buckets[bucket.unwrap_or(SYNC_BUCKETS_US.len())]);
        self.syncs.record([micros]);
    }

    /// Remembers an event.
    pub(super) fn event(&self, kind: &str, text: String) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.last += 1;
        let event = RecentEvent {
            number: events.last,
            at_ms: self.now_us() / 1000,
            kind: kind.to_owned(),
            text,
        };
        events.kept.push_back(event);
        if events.kept.len() > EVENTS_MAX {
            events.kept.pop_front();
        }
    }

    /// The events after the one of this number.
    pub(super) fn events_after(&self, number: u64) -> Vec<RecentEvent> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.kept.iter().filter(|event| event.number > number).cloned().collect()
    }

    /// All of it, for people.
    pub(super) fn vitals(&self) -> Vitals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let (sync_p50_us, sync_p99_us, sync_max_us) = self.syncs.summary();
        let (request_p50_us, request_p99_us, _) = self.requests.summary();
        Vitals {
            uptime_ms: self.now_us() / 1000,
            syncs: read(&counters.syncs),
            sync_total_us: read(&counters.sync_total_us),
            log_writes: read(&counters.log_writes),
            log_bytes: read(&counters.log_bytes),
            appends_sent: read(&counters.appends_sent),
            appends_received: read(&counters.appends_received),
            entries_sent: read(&counters.entries_sent),
            socket_reads: read(&self.meter.reads),
            socket_writes: read(&self.meter.writes),
            requests: read(&counters.requests),
            refused: read(&counters.refused),
            wakeups: read(&counters.wakeups),
            processor_us: processor_us(),
            leader_changes: read(&counters.leader_changes),
            sync_p50_us,
            sync_p99_us,
            sync_max_us,
            request_p50_us,
            request_p99_us,
            sync_buckets: self.sync_buckets.iter().map(read).collect(),
            disk_used: read(&counters.disk_used),
            disk_free: Some(read(&counters.disk_free)).filter(|free| *free < u64::MAX).unwrap_or(0),
            free_log_bytes: 0,
            fills: Vec::new(),
            problems: Vec::new(),
        }
    }
}

fn processor_us() -> u64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(spent).map_or(0, |spent| spent.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_told_as_they_were() {
        let latencies = Latencies::new();
        assert_eq!(latencies.summary(), (0, 0, 0));
        latencies.record((1..=100).map(|millis| millis * 1000));
        let (half, most, longest) = latencies.summary();
        assert!((49_000..=51_000).contains(&half), "{half}");
        assert!((98_000..=100_000).contains(&most), "{most}");
        assert!((99_000..=101_000).contains(&longest), "{longest}");
    }
}
