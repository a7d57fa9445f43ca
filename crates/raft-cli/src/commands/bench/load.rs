//! The load: all clients on one thread, so that they cost the machine as little as they can.
//!
//! *Closed*: each client sends its next request when the one before was answered. A slow cluster
//! is then asked less. *Open*: requests are due at fixed times, and latency counts from these
//! times, so that a stall is felt by all that were due meanwhile.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use raft_node::{Address, ClientError, Conclusion, Consistency};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet, LocalSet};

use super::requests::Requests;
use super::tally::Tally;
use super::target::Target;
use crate::args::Load;
use crate::commands::Ask;

pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// So few connections are enough for any number of clients.
const CONNECTIONS_MAX: u32 = 16;

/// What is put before a measurement is under way in this quantity at most, and so many at a time.
const PREPARE_BYTES: u32 = 16 << 20;
const PREPARE_AT_ONCE: u32 = 256;

/// The running load.
pub(super) struct Generator(JoinHandle<()>);

/// All that a request needs.
struct Source {
    targets: Vec<Target>,
    tally: Arc<Tally>,
    requests: Requests,
    consistency: Consistency,
}

impl Generator {
    /// Starts it; it ends when the tally does.
    pub(super) fn start(
        load: &Load,
        requests: Requests,
        ask: &Ask,
        members: Vec<Address>,
        tally: Arc<Tally>,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (load, timeout) = (load.clone(), ask.timeout.unwrap_or(TIMEOUT));
        let run = move || {
            let local = LocalSet::new();
            local.block_on(&runtime, generate(&load, requests, timeout, &members, tally));
        };
        thread::Builder::new().name("load".into()).spawn(run).map(Self)
    }

    /// Waits for the last answers.
    pub(super) fn finish(self) {
        // A panic was reported by the thread itself.
        let _ended = self.0.join();
    }
}

/// How many connections, if it is not said.
pub(super) fn connections(load: &Load) -> u32 {
    load.connections.unwrap_or(CONNECTIONS_MAX).min(load.clients)
}

/// Puts every key, many at a time.
pub(super) fn prepare(
    load: &Load,
    requests: &Requests,
    timeout: Duration,
    members: &[Address],
) -> Result<(), ClientError> {
    on_this_thread(async {
        let mut drivers = JoinSet::new();
        let target = Target::connect(load, members.to_vec(), timeout, &mut drivers).await;
        let target = Rc::new(target.map_err(cannot_begin)?);
        let at_once = (PREPARE_BYTES / load.value_size).clamp(1, PREPARE_AT_ONCE) as usize;
        let (mut puts, consistency) = (JoinSet::new(), load.consistency);
        for request in requests.puts() {
            if puts.len() == at_once {
                ended(puts.join_next().await)?;
            }
            let target = Rc::clone(&target);
            puts.spawn_local(async move { target.request(request, consistency).await });
        }
        while !puts.is_empty() {
            ended(puts.join_next().await)?;
        }
        target.end().await;
        Ok(())
    })
}

/// Runs something before the load.
pub(super) fn on_this_thread<T>(
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(|error| cannot_begin(error.to_string()))?;
    LocalSet::new().block_on(&runtime, work)
}

fn ended(put: Option<Result<Result<(), ClientError>, JoinError>>) -> Result<(), ClientError> {
    match put {
        Some(Err(error)) => Err(cannot_begin(error.to_string())),
        Some(Ok(ended)) => ended,
        None => Ok(()),
    }
}

pub(super) fn cannot_begin(what: String) -> ClientError {
    ClientError { outcome: Conclusion::NothingSent, what, reason: None, request: None }
}

async fn generate(
    load: &Load,
    requests: Requests,
    timeout: Duration,
    members: &[Address],
    tally: Arc<Tally>,
) {
    let (mut drivers, mut targets) = (JoinSet::new(), Vec::new());
    for number in 0..connections(load) as usize {
        let mut members = members.to_vec();
        let first = if load.spread { number % members.len().max(1) } else { 0 };
        members.rotate_left(first);
        match Target::connect(load, members, timeout, &mut drivers).await {
            Ok(target) => targets.push(target),
            Err(what) => return tally.cannot_begin(what),
        }
    }
    let source = Rc::new(Source { targets, tally, requests, consistency: load.consistency });
    match load.rate {
        None => closed(load, &source).await,
        Some(rate) => open(load, rate, &source).await,
    }
    for target in &source.targets {
        target.end().await;
    }
    drop(source);
    drivers.join_all().await;
}

async fn closed(load: &Load, source: &Rc<Source>) {
    let mut slots = JoinSet::new();
    for number in 0..load.clients {
        for _ in 0..load.in_flight {
            let source = Rc::clone(source);
            slots.spawn_local(async move {
                while source.tally.goes_on() {
                    source.request(number, Instant::now()).await;
                }
            });
        }
    }
    slots.join_all().await;
}

async fn open(load: &Load, rate: u32, source: &Rc<Source>) {
    let slots = Arc::new(Semaphore::new(load.clients as usize * load.in_flight as usize));
    let mut due = pace(rate, Arc::clone(&source.tally));
    let mut requests = JoinSet::new();
    let mut number = 0;
    while let Some(at) = due.recv().await {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
        if !source.tally.goes_on() {
            source.tally.never_begun(at);
            continue;
        }
        number += 1;
        let source = Rc::clone(source);
        requests.spawn_local(async move {
            source.request(number, at).await;
            drop(slot);
        });
        while requests.try_join_next().is_some() {}
    }
    requests.join_all().await;
}

/// When requests are due: told by a thread of its own, because the runtime's timers know
/// milliseconds only.
fn pace(rate: u32, tally: Arc<Tally>) -> mpsc::UnboundedReceiver<Instant> {
    let (tell, due) = mpsc::unbounded_channel();
    let begin = Instant::now();
    let run = move || {
        let mut number = 0_u64;
        while tally.goes_on() {
            let at = begin + Duration::from_secs(1).mul_f64(number as f64 / f64::from(rate));
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if tell.send(at).is_err() {
                return;
            }
            number += 1;
        }
    };
    // Without a thread nothing is due, and the report says that nothing was measured.
    let _started = thread::Builder::new().name("pace".into()).spawn(run);
    due
}

impl Source {
    /// One request of a client, which was due at this time.
    async fn request(&self, number: u32, due: Instant) {
        let Some(target) = self.targets.get(number as usize % self.targets.len().max(1)) else {
            return;
        };
        let ended = target.request(self.requests.next(), self.consistency).await;
        self.tally.ended(due, ended.err().as_ref());
    }
}
