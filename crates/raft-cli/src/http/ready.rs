//! Whether the server lives, and whether it is ready.

use std::sync::Arc;
use std::time::Duration;

use raft_node::{Address, Client, ClientOptions, NodeStatus, Standing};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long a question of this file may take: those who ask about health ask again anyway.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How often to look whether what is committed is applied.
const LOOK: Duration = Duration::from_millis(20);

/// Asks leaders how far they have committed.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    leader: Mutex<Option<(String, Arc<Client>)>>,
}

impl Readiness {
    /// Ready: everything that the current leader had committed when this was asked is applied
    /// here. So a server that was away is not ready before it has caught up.
    pub(super) async fn check(&self, node: &Client) -> Result<String, String> {
        let until = Instant::now() + PATIENCE;
        let status = own(node).await?;
        let leader = match (status.standing, &status.leader) {
            (Standing::New, _) => return Err("this server belongs to no cluster yet".into()),
            (Standing::Removed { at }, _) => {
                return Err(format!("this server was removed from its cluster at index {at}"));
            }
            (Standing::Member, None) => return Err("this server knows no leader".into()),
            (Standing::Member, Some((id, _))) if Some(*id) == status.id => None,
            (Standing::Member, Some((_, address))) => Some(address.clone()),
        };
        let commit = match leader {
            None => status.commit_index,
            Some(address) => self.ask(&address).await?.commit_index,
        };
        let mut applied = status.applied_index;
        while applied < commit {
            if Instant::now() >= until {
                return Err(format!(
                    "the leader has committed index {commit}, and index {applied} is applied here"
                ));
            }
            tokio::time::sleep(LOOK).await;
            applied = own(node).await?.applied_index;
        }
        Ok(format!("index {commit}, which the leader had committed, is applied here"))
    }

    async fn ask(&self, address: &str) -> Result<NodeStatus, String> {
        let client = self.client(address).await?;
        let failed = |error| format!("the leader, {address}, does not answer: {error}");
        let status = client.status().await.map_err(failed)?;
        if status.role == "leader" {
            return Ok(status);
        }
        Err(format!("{address}, which should lead, does not"))
    }

    /// The client of the leader at this address: the last one as long as it leads.
    async fn client(&self, address: &str) -> Result<Arc<Client>, String> {
        let mut leader = self.leader.lock().await;
        if let Some((known, client)) = &*leader
            && known == address
        {
            return Ok(Arc::clone(client));
        }
        let endpoint: Address = address.parse().map_err(|error| format!("{error}"))?;
        let client = Arc::new(client(endpoint, PATIENCE).map_err(|error| error.to_string())?);
        *leader = Some((address.to_owned(), Arc::clone(&client)));
        Ok(client)
    }
}

/// How the server sees itself.
pub(super) async fn own(node: &Client) -> Result<NodeStatus, String> {
    node.status().await.map_err(|error| format!("this server does not answer: {error}"))
}

/// A client that asks one server.
pub(super) fn client(endpoint: Address, timeout: Duration) -> std::io::Result<Client> {
    Client::new([endpoint], ClientOptions { timeout, ..ClientOptions::default() })
}
