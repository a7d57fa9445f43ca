//! One connection to what is measured, with a session of its own where there are such.

use std::time::Duration;

use raft_node::{Address, Client, ClientError, ClientOptions, Consistency};
use raft_store::{Command, Keys, Query, Range, Txn};
use tokio::task::JoinSet;

use super::etcd::Etcd;
use super::load::cannot_begin;
use super::requests::Request;
use crate::args::{Load, System};

pub(super) enum Target {
    Raft(Client),
    Etcd(Etcd),
}

impl Target {
    /// A connection to the first of the members that can be reached; the futures that drive it
    /// join the others.
    pub(super) async fn connect(
        load: &Load,
        members: Vec<Address>,
        timeout: Duration,
        drivers: &mut JoinSet<()>,
    ) -> Result<Self, String> {
        match load.target {
            System::Raft => {
                let options = ClientOptions { timeout, one_shot: false, notices: None };
                let (client, driver) = Client::local(members, options);
                drivers.spawn_local(driver);
                Ok(Self::Raft(client))
            }
            System::Etcd => {
                let first = members.first().ok_or("there is no server to ask")?;
                Etcd::connect(first, timeout, drivers).await.map(Self::Etcd)
            }
        }
    }

    pub(super) async fn request(
        &self,
        request: Request,
        consistency: Consistency,
    ) -> Result<(), ClientError> {
        match (self, request) {
            (Self::Raft(client), Request::Append(text)) => {
                client.write(raft_store::message(&text)).await.map(drop)
            }
            (Self::Raft(client), Request::Put(key, value)) => {
                client.write(Command::from(Txn::put(key, value)).encode()).await.map(drop)
            }
            (Self::Raft(client), Request::Get(key)) => {
                let query = Query::Range(Range::of(Keys::One(key))).encode();
                client.read(query, consistency).await.map(drop)
            }
            (Self::Etcd(etcd), Request::Put(key, value)) => etcd.put(key, value).await,
            (Self::Etcd(etcd), Request::Get(key)) => {
                etcd.get(key, consistency == Consistency::Local).await
            }
            (Self::Etcd(_), Request::Append(_)) => {
                Err(cannot_begin("etcd has no messages to append".into()))
            }
        }
    }

    pub(super) async fn end(&self) {
        if let Self::Raft(client) = self {
            // The cluster forgets the session by itself in the end.
            let _ended = client.end_session().await;
        }
    }
}
