//! What is counted while the load runs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use raft_node::{ClientError, Conclusion};

/// Counts, shared by the generator, which adds to them, and whoever shows them.
///
/// The throughput counts answers that came within what is measured; the latencies are those of
/// all requests that were due within it, however late their answers came.
pub(super) struct Tally(Mutex<State>);

struct State {
    /// From when on it counts, and until when.
    from: Option<Instant>,
    until: Option<Instant>,
    whole: Summary,
    interval: Summary,
}

/// What came of the requests.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    /// Requests that were done, and for how long they were counted.
    pub(super) done: u64,
    pub(super) over: Duration,
    /// In microseconds.
    pub(super) latency: Histogram<u64>,
    /// Refused and certainly not applied; never sent; of unknown outcome.
    pub(super) refused: u64,
    pub(super) unsent: u64,
    pub(super) unknown: u64,
    /// Due, and not even begun: the cluster does not keep up with the rate.
    pub(super) late: u64,
    /// What the first request that failed was told.
    pub(super) first_failure: Option<String>,
}

impl Summary {
    fn new() -> Self {
        // It grows with what is recorded: an outage may last.
        let mut latency = Histogram::new(3).unwrap_or_else(|_| unreachable!("3 digits are valid"));
        latency.auto(true);
        Self {
            done: 0,
            over: Duration::ZERO,
            latency,
            refused: 0,
            unsent: 0,
            unknown: 0,
            late: 0,
            first_failure: None,
        }
    }

    fn took(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        // It grows as it has to.
        let _recorded = self.latency.record(micros);
    }

    fn fail(&mut self, error: &ClientError) {
        match error.outcome {
            Conclusion::NotApplied => self.refused += 1,
            Conclusion::NothingSent => self.unsent += 1,
            Conclusion::Unknown => self.unknown += 1,
        }
        self.first_failure.get_or_insert_with(|| error.to_string());
    }
}

impl Tally {
    pub(super) fn new() -> Self {
        let (whole, interval) = (Summary::new(), Summary::new());
        Self(Mutex::new(State { from: None, until: None, whole, interval }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it counts.
    pub(super) fn measure_from_now(&self) {
        self.lock().from = Some(Instant::now());
    }

    /// Nothing that is due from now on counts, and nothing more is begun.
    pub(super) fn end_now(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        state.until = Some(now);
        state.whole.over = now - state.from.unwrap_or(now);
    }

    /// Whether to begin with what is due at this time.
    pub(super) fn goes_on(&self) -> bool {
        self.lock().until.is_none()
    }

    /// There is nobody to ask.
    pub(super) fn cannot_begin(&self, what: String) {
        self.lock().whole.first_failure.get_or_insert(what);
    }

    /// A request that was due at `due` has ended.
    pub(super) fn ended(&self, due: Instant, failure: Option<&ClientError>) {
        let now = Instant::now();
        let mut guard = self.lock();
        let state = &mut *guard;
        let was_due = state.covers(due);
        let over = state.until.is_some();
        for (summary, counts) in [(&mut state.interval, true), (&mut state.whole, was_due)] {
            match failure {
                None if counts => summary.took(now - due),
                Some(error) if counts => summary.fail(error),
                _ => {}
            }
        }
        if failure.is_none() {
            state.interval.done += 1;
            state.whole.done += u64::from(state.from.is_some() && !over);
        }
    }

    /// A request that was due at `due` was never begun. It took at least until now.
    pub(super) fn never_begun(&self, due: Instant) {
        let mut state = self.lock();
        if state.covers(due) {
            state.whole.late += 1;
            state.whole.took(due.elapsed());
        }
    }

    /// What came since the last call.
    pub(super) fn interval(&self) -> Summary {
        std::mem::replace(&mut self.lock().interval, Summary::new())
    }

    /// All that counts.
    pub(super) fn summary(&self) -> Summary {
        self.lock().whole.clone()
    }
}

impl State {
    fn covers(&self, due: Instant) -> bool {
        self.from.is_some_and(|from| due >= from) && self.until.is_none_or(|until| due < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_while_it_counts_is_counted_however_late() {
        let tally = Tally::new();
        let early = Instant::now();
        tally.ended(early, None);
        tally.measure_from_now();
        let due = Instant::now();
        tally.ended(early, None);
        tally.ended(due, None);
        let error = ClientError {
            outcome: Conclusion::Unknown,
            what: "lost".into(),
            reason: None,
            request: None,
        };
        tally.ended(due, Some(&error));
        assert!(tally.goes_on());
        tally.end_now();
        assert!(!tally.goes_on());
        tally.ended(due, None);
        tally.never_begun(due);
        tally.never_begun(Instant::now());
        let summary = tally.summary();
        // Two answers came in time; two of the requests that were due got one, the third waited.
        assert_eq!((summary.done, summary.latency.len()), (2, 3));
        assert_eq!((summary.unknown, summary.late), (1, 1));
        assert_eq!(summary.first_failure.as_deref(), Some(error.to_string().as_str()));
    }
}
