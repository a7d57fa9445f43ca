//! Asking all members at once, the ones that nobody named included.

use std::io;
use std::time::Duration;

use raft_node::{
    Address, Client, ClientError, ClientNotice, ClientOptions, NodeStatus, Pending, Testimony,
};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::args::address;
use crate::commands::ask::Ask;
use crate::errors::Problem;
use crate::exit::Exit;

/// One member that is down must not hold up the rest.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Members name members: so many times they are followed.
const ROUNDS_MAX: usize = 4;

/// A server, and what it answered or why it did not.
#[derive(Clone, Debug)]
pub(in crate::commands) struct Seen<T = NodeStatus> {
    pub(in crate::commands) address: Address,
    pub(in crate::commands) answer: Result<T, String>,
}

/// What every server can be asked for: how it is, or that and more.
pub(in crate::commands) trait Told: Sized + Send + 'static {
    fn ask(client: &Client) -> Pending<Self>;
    fn status(&self) -> &NodeStatus;
}

impl Told for NodeStatus {
    fn ask(client: &Client) -> Pending<Self> {
        client.status()
    }

    fn status(&self) -> &NodeStatus {
        self
    }
}

impl Told for Testimony {
    fn ask(client: &Client) -> Pending<Self> {
        client.why()
    }

    fn status(&self) -> &NodeStatus {
        &self.status
    }
}

/// Asks the servers that were named, then those that they know, until all have been asked.
pub(in crate::commands) fn survey<T: Told>(ask: &Ask) -> Result<Vec<Seen<T>>, Problem> {
    let timeout = ask.timeout.unwrap_or(TIMEOUT);
    let mut seen = Vec::new();
    let mut wanted = ask.endpoints.clone();
    for _ in 0..ROUNDS_MAX {
        let answers = ask_all(&wanted, timeout).map_err(|error| {
            Problem::new(Exit::NothingSent, format!("cannot ask: {error}"))
                .hint("see how many processes and open files this user may have")
        })?;
        seen.extend(answers);
        wanted = not_asked(&seen);
        if wanted.is_empty() {
            break;
        }
    }
    Ok(seen)
}

/// The cluster that this is about: that of most answers, of those the one named first.
pub(super) fn cluster<T: Told>(seen: &[Seen<T>]) -> Option<u128> {
    let clusters = || seen.iter().filter_map(|seen| seen.answer.as_ref().ok()?.status().cluster);
    let count = |cluster| clusters().filter(|other| *other == cluster).count();
    // The last of the largest wins: from the end, that is the first.
    clusters().collect::<Vec<_>>().into_iter().rev().max_by_key(|cluster| count(*cluster))
}

/// Members of this cluster, or founders of it, that have not been asked.
pub(super) fn not_asked<T: Told>(seen: &[Seen<T>]) -> Vec<Address> {
    let cluster = cluster(seen);
    let answers = || seen.iter().filter_map(|seen| seen.answer.as_ref().ok()).map(T::status);
    let ours = answers().filter(|status| status.cluster.is_none() || status.cluster == cluster);
    let mut wanted: Vec<Address> = Vec::new();
    for member in ours.flat_map(|status| &status.members) {
        let Ok(address) = address(&member.address) else { continue };
        let is_same = |other: &Address| other.is_same_place(&address);
        let asked = seen.iter().any(|seen| is_same(&seen.address))
            || answers().any(|status| status.address == member.address);
        if !asked && !wanted.iter().any(is_same) {
            wanted.push(address);
        }
    }
    wanted
}

/// Asks all at once; the answers are in the order of the targets.
fn ask_all<T: Told>(targets: &[Address], timeout: Duration) -> io::Result<Vec<Seen<T>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let mut asked = JoinSet::new();
        for (place, target) in targets.iter().cloned().enumerate() {
            asked.spawn(async move { (place, ask_one(target, timeout).await) });
        }
        let mut answers = asked.join_all().await;
        answers.sort_by_key(|(place, _)| *place);
        answers.into_iter().map(|(_, seen)| seen).collect()
    })
}

/// A client would dial again and again; here the first dial that fails is the answer.
async fn ask_one<T: Told>(address: Address, timeout: Duration) -> io::Result<Seen<T>> {
    let (sender, failed) = oneshot::channel();
    let mut sender = Some(sender);
    let notices = Box::new(move |notice| {
        if let ClientNotice::Unreachable { error, .. } = notice
            && let Some(sender) = sender.take()
        {
            // The answer may have come meanwhile.
            let _told = sender.send(error);
        }
    });
    let options = ClientOptions { timeout, one_shot: true, notices: Some(notices) };
    let client = Client::new([address.clone()], options)?;
    let answer = tokio::select! {
        biased;
        answer = T::ask(&client) => answer.map_err(|error: ClientError| error.what),
        Ok(error) = failed => Err(error),
    };
    Ok(Seen { address, answer })
}
