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

use raft_node::{Address, Client, ClientOptions, Consistency};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinSet, LocalSet};

use super::requests::{Request, Requests};
use super::tally::Tally;
use crate::args::Load;
use crate::commands::Ask;

pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// So few connections are enough for any number of clients.
const CONNECTIONS_MAX: u32 = 16;

/// The running load.
pub(super) struct Generator(JoinHandle<()>);

/// All that a request needs.
struct Source {
    clients: Vec<Client>,
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

async fn generate(
    load: &Load,
    requests: Requests,
    timeout: Duration,
    members: &[Address],
    tally: Arc<Tally>,
) {
    let mut drivers = JoinSet::new();
    let clients = (0..connections(load) as usize).map(|number| {
        let mut endpoints = members.to_vec();
        if load.spread {
            endpoints.rotate_left(number % members.len().max(1));
        }
        let options = ClientOptions { timeout, one_shot: false, notices: None };
        let (client, driver) = Client::local(endpoints, options);
        drivers.spawn_local(driver);
        client
    });
    let source = Rc::new(Source {
        clients: clients.collect(),
        tally,
        requests,
        consistency: load.consistency,
    });
    match load.rate {
        None => closed(load, &source).await,
        Some(rate) => open(load, rate, &source).await,
    }
    for client in &source.clients {
        // The cluster forgets the session by itself in the end.
        let _ended = client.end_session().await;
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
        let Some(client) = self.clients.get(number as usize % self.clients.len().max(1)) else {
            return;
        };
        let failed = match self.requests.next() {
            Request::Write(command) => client.write(command).await.err(),
            Request::Read(query) => client.read(query, self.consistency).await.err(),
        };
        self.tally.ended(due, failed.as_ref());
    }
}
