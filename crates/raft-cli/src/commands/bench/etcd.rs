//! The same load for etcd, so that both are measured by one program: its version 3 API, which is
//! unary gRPC calls over HTTP/2, with the few fields that are needed.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use http::{HeaderMap, Request};
use prost::Message;
use raft_node::{Address, ClientError, Conclusion};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time;

use super::load::cannot_begin;

/// How much may come unread: many answers at once.
const WINDOW_BYTES: u32 = 16 << 20;

/// What is before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bool, tag = "7")]
    serializable: bool,
}

#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(int64, tag = "4")]
    count: i64,
}

#[derive(Clone, PartialEq, Message)]
struct StatusRequest {}

#[derive(Clone, PartialEq, Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
    #[prost(uint64, tag = "4")]
    leader: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ResponseHeader {
    #[prost(uint64, tag = "2")]
    member_id: u64,
}

/// These servers, the leader before the others.
pub(super) async fn leader_first(
    servers: &[Address],
    timeout: Duration,
) -> Result<Vec<Address>, ClientError> {
    let (mut drivers, mut leads) = (JoinSet::new(), Vec::new());
    for address in servers {
        let connected = Etcd::connect(address, timeout, &mut drivers).await;
        leads.push((connected.map_err(cannot_begin)?.leads().await?, address));
    }
    let (leader, others): (Vec<_>, Vec<_>) = leads.into_iter().partition(|(leads, _)| *leads);
    Ok(leader.into_iter().chain(others).map(|(_, address)| address.clone()).collect())
}

/// A connection to one server.
pub(super) struct Etcd {
    requests: SendRequest<Bytes>,
    authority: String,
    timeout: Duration,
}

impl Etcd {
    /// Connects; the driver of the connection joins the others.
    pub(super) async fn connect(
        address: &Address,
        timeout: Duration,
        drivers: &mut JoinSet<()>,
    ) -> Result<Self, String> {
        let failed =
            |error: &dyn std::fmt::Display| format!("cannot ask etcd at {address}: {error}");
        let authority = authority(address);
        let socket = TcpStream::connect(&authority).await.map_err(|error| failed(&error))?;
        socket.set_nodelay(true).map_err(|error| failed(&error))?;
        let mut builder = Builder::new();
        builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
        let (requests, connection) =
            builder.handshake(socket).await.map_err(|error| failed(&error))?;
        drivers.spawn_local(async move {
            // Requests that are under way hear of it.
            let _ended = connection.await;
        });
        Ok(Self { requests, authority, timeout })
    }

    /// Whether this server leads.
    pub(super) async fn leads(&self) -> Result<bool, ClientError> {
        let status: StatusResponse =
            self.call("/etcdserverpb.Maintenance/Status", &StatusRequest {}).await?;
        Ok(status.header.is_some_and(|header| header.member_id == status.leader))
    }

    pub(super) async fn put(&self, key: Bytes, value: Bytes) -> Result<(), ClientError> {
        // Of the answer, nothing but that it came is needed.
        self.call("/etcdserverpb.KV/Put", &PutRequest { key, value }).await
    }

    /// Gets a key that is there.
    pub(super) async fn get(&self, key: Bytes, serializable: bool) -> Result<(), ClientError> {
        let request = RangeRequest { key, serializable };
        let found: RangeResponse = self.call("/etcdserverpb.KV/Range", &request).await?;
        if found.count == 1 { Ok(()) } else { Err(refused("the key is not there".into())) }
    }

    async fn call<A: Message + Default>(
        &self,
        path: &str,
        message: &impl Message,
    ) -> Result<A, ClientError> {
        let exchange = self.exchange(path, message);
        let body = match time::timeout(self.timeout, exchange).await {
            Ok(answered) => answered?,
            Err(_) => return Err(unknown("no answer came in time".into())),
        };
        let message = body.get(PREFIX_BYTES..).unwrap_or_default();
        A::decode(message).map_err(|error| unknown(format!("etcd's answer is nonsense: {error}")))
    }

    async fn exchange(&self, path: &str, message: &impl Message) -> Result<Bytes, ClientError> {
        let lost = |error: h2::Error| unknown(format!("the connection to etcd failed: {error}"));
        let request = Request::post(format!("http://{}{path}", self.authority))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .map_err(|error| refused(error.to_string()))?;
        let mut requests = self.requests.clone().ready().await.map_err(lost)?;
        let (answer, mut stream) = requests.send_request(request, false).map_err(lost)?;
        stream.send_data(framed(message), true).map_err(lost)?;
        let answer = answer.await.map_err(lost)?;
        let (head, mut body) = answer.into_parts();
        let mut bytes = BytesMut::new();
        while let Some(piece) = body.data().await {
            let piece = piece.map_err(lost)?;
            body.flow_control().release_capacity(piece.len()).map_err(lost)?;
            bytes.extend_from_slice(&piece);
        }
        let trailers = body.trailers().await.map_err(lost)?;
        // Without a body, the status is among the headers.
        match status(trailers.as_ref().unwrap_or(&head.headers)) {
            None => Ok(bytes.freeze()),
            Some(what) => Err(refused(what)),
        }
    }
}

/// Without a host: this machine.
fn authority(address: &Address) -> String {
    let (host, port) = (address.host().unwrap_or("localhost"), address.port());
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + length);
    bytes.put_u8(0);
    bytes.put_u32(length as u32);
    // A buffer that grows takes everything.
    let _encoded = message.encode(&mut bytes);
    bytes.freeze()
}

/// What went wrong, if something did.
fn status(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    match text("grpc-status").as_deref() {
        Some("0") => None,
        code => Some(format!(
            "etcd refused it: {} (gRPC status {})",
            text("grpc-message").unwrap_or_default(),
            code.unwrap_or("missing")
        )),
    }
}

fn unknown(what: String) -> ClientError {
    ClientError { outcome: Conclusion::Unknown, what, reason: None, request: None }
}

fn refused(what: String) -> ClientError {
    ClientError { outcome: Conclusion::NotApplied, what, reason: None, request: None }
}

#[cfg(test)]
mod tests {
    use h2::server;
    use http::Response;
    use tokio::net::TcpListener;

    use super::super::load::on_this_thread;
    use super::*;

    /// Has the key "there", leads, and has no room for "full".
    async fn serve(socket: TcpStream) -> Result<(), h2::Error> {
        let mut connection = server::handshake(socket).await?;
        while let Some(request) = connection.accept().await {
            let (request, mut answer) = request?;
            let (head, mut body) = request.into_parts();
            let mut bytes = BytesMut::new();
            while let Some(piece) = body.data().await {
                bytes.extend_from_slice(&piece?);
            }
            let message = bytes.split_off(PREFIX_BYTES).freeze();
            let mut status = 0;
            let reply = match head.uri.path() {
                "/etcdserverpb.Maintenance/Status" => {
                    let header = Some(ResponseHeader { member_id: 7 });
                    framed(&StatusResponse { header, leader: 7 })
                }
                "/etcdserverpb.KV/Range" => {
                    let range = RangeRequest::decode(message).expect("a range");
                    framed(&RangeResponse { count: i64::from(range.key == "there") })
                }
                _ => {
                    let put = PutRequest::decode(message).expect("a put");
                    status = if put.key == "full" { 8 } else { 0 };
                    framed(&StatusRequest {})
                }
            };
            let mut stream = answer.send_response(Response::new(()), false)?;
            stream.send_data(reply, false)?;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", status.into());
            stream.send_trailers(trailers)?;
        }
        Ok(())
    }

    #[test]
    fn puts_and_gets_are_calls() {
        let done = on_this_thread(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("it is bound").port();
            let mut drivers = JoinSet::new();
            drivers.spawn_local(async move {
                while let Ok((socket, _)) = listener.accept().await {
                    tokio::task::spawn_local(serve(socket));
                }
            });
            let address: Address = format!("127.0.0.1:{port}").parse().expect("an address");
            let patience = Duration::from_secs(60);
            let servers = std::slice::from_ref(&address);
            assert_eq!(leader_first(servers, patience).await?, servers);
            let etcd = Etcd::connect(&address, patience, &mut drivers).await.expect("it listens");
            etcd.put("there".into(), "value".into()).await?;
            etcd.get("there".into(), false).await?;
            let missing = etcd.get("elsewhere".into(), true).await.expect_err("no such key");
            assert_eq!(missing.outcome, Conclusion::NotApplied);
            let full = etcd.put("full".into(), "value".into()).await.expect_err("no room");
            assert_eq!(full.what, "etcd refused it:  (gRPC status 8)");
            Ok(())
        });
        done.expect("all calls are answered");
    }
}
