//! One pair of eyes for all who look: asks every member how it is, while anybody wants to know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use raft_node::{Address, Client, ClientNotice, ClientOptions};
use tokio::sync::{broadcast, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use super::picture::{Picture, Sight};

/// How often each member is asked, and how often those who look hear of it.
const PERIOD: Duration = Duration::from_millis(200);

/// How often the list of members is asked for.
const MEMBERS_PERIOD: Duration = Duration::from_secs(1);

/// A member that does not answer for so long counts as silent.
const PATIENCE: Duration = Duration::from_millis(900);

/// Periods without anybody who looks, after which nobody is asked any more: a page that is loaded
/// again finds its picture.
const IDLE_MAX: u32 = 10;

/// Entries of each log that are shown.
const TAIL: u32 = 40;

/// News that wait for a slow reader, before it has to begin anew.
const NEWS_MAX: usize = 16;

/// What waits to be put into the picture.
const SIGHTS_MAX: usize = 64;

/// The picture of the cluster, kept up to date while anybody looks.
pub(super) struct Watch {
    own: Address,
    known: Vec<String>,
    shared: Mutex<Shared>,
}

struct Shared {
    picture: Picture,
    news: broadcast::Sender<Arc<str>>,
    running: bool,
}

impl Watch {
    pub(super) fn new(own: &Address, known: &[Address]) -> Self {
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        let shared = Shared {
            picture: Picture::new(own.to_string(), &known),
            news: broadcast::channel(NEWS_MAX).0,
            running: false,
        };
        Self { own: own.clone(), known, shared: Mutex::new(shared) }
    }

    /// The picture as it is, and all that is new from now on.
    pub(super) fn look(self: &Arc<Self>) -> (String, broadcast::Receiver<Arc<str>>) {
        let mut shared = self.shared();
        let news = shared.news.subscribe();
        if !shared.running {
            shared.running = true;
            shared.picture = Picture::new(self.own.to_string(), &self.known);
            tokio::spawn(Arc::clone(self).run());
        }
        (shared.picture.whole(now()), news)
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>) {
        let (sights, mut seen) = mpsc::channel(SIGHTS_MAX);
        // Ends all tasks when it goes.
        let mut tasks = JoinSet::new();
        let mut looked_at = BTreeMap::<String, AbortHandle>::new();
        tasks.spawn(members(self.own.clone(), sights.clone()));
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut idle = 0;
        loop {
            ticks.tick().await;
            while tasks.try_join_next().is_some() {}
            let mut shared = self.shared();
            while let Ok(sight) = seen.try_recv() {
                shared.picture.take(sight, now());
            }
            let addresses = shared.picture.addresses();
            looked_at.retain(|address, task| {
                let stays = addresses.contains(address);
                if !stays {
                    task.abort();
                }
                stays
            });
            for address in addresses {
                looked_at
                    .entry(address)
                    .or_insert_with_key(|at| tasks.spawn(member(at.clone(), sights.clone())));
            }
            let text = shared.picture.news(now());
            // An error means that nobody looks.
            idle = if shared.news.send(text.into()).is_ok() { 0 } else { idle + 1 };
            if idle > IDLE_MAX {
                shared.running = false;
                return;
            }
        }
    }
}

/// Asks one member again and again, one question at a time.
async fn member(address: String, sights: mpsc::Sender<Sight>) {
    let Some(client) = client(&address, &sights) else { return };
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut after, mut uptime) = (0, 0);
    loop {
        ticks.tick().await;
        let answer = client.recent(after, TAIL).await;
        if let Ok(recent) = &answer {
            let now = recent.status.vitals.uptime_ms;
            let last = recent.events.last().map_or(after, |event| event.number);
            // After a new start its events are numbered from 1 again.
            after = if now < uptime { 0 } else { last };
            uptime = now;
        }
        let answer = answer.map(Box::new).map_err(|error| brief(&error.what));
        if sights.send(Sight::Member { address: address.clone(), answer }).await.is_err() {
            return;
        }
    }
}

/// The last part of what went wrong: only one server was asked, and it is named elsewhere.
fn brief(what: &str) -> String {
    what.rsplit(": ").next().unwrap_or(what).to_owned()
}

/// A client that tells at once when nobody is there, and goes on trying.
fn client(address: &str, sights: &mpsc::Sender<Sight>) -> Option<Client> {
    let endpoint: Address = address.parse().ok()?;
    let (address, sights) = (address.to_owned(), sights.clone());
    let notice = move |notice| {
        if let ClientNotice::Unreachable { error, .. } = notice {
            // If there is no room, the answer itself will say it.
            let _ = sights.try_send(Sight::Member { address: address.clone(), answer: Err(error) });
        }
    };
    let notices: Option<Box<dyn FnMut(ClientNotice) + Send>> = Some(Box::new(notice));
    let options = ClientOptions { timeout: PATIENCE, notices, ..ClientOptions::default() };
    Client::new([endpoint], options).ok()
}

/// Asks who the members are. Without a leader nobody can say it, and the picture stays.
async fn members(own: Address, sights: mpsc::Sender<Sight>) {
    let options = ClientOptions { timeout: PATIENCE, ..ClientOptions::default() };
    let Ok(client) = Client::new([own], options) else { return };
    let mut ticks = interval(MEMBERS_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Ok(view) = client.members().await
            && sights.send(Sight::Members(view)).await.is_err()
        {
            return;
        }
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    Timestamp::now().as_millisecond()
}
