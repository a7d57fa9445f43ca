//! What is where.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream::{self, Stream};
use raft_node::{Address, Client};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::ready::{PATIENCE, Readiness, client, own};
use super::watch::Watch;
use super::{answers, guard, metrics, page};
use crate::commands::{member_object, members_object, written_object};
use crate::errors::READ;

/// The largest message that a cluster takes.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Messages that are taken in at once: each may be large.
const MESSAGES_MAX: usize = 8;

/// How long a message may take to arrive, and how long to be appended.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(5);

/// How soon a page that lost its connection tries again.
const RETRY: Duration = Duration::from_secs(1);

/// What all requests share.
pub(super) struct App {
    address: Address,
    own: String,
    loopback: bool,
    /// Asks this server about itself.
    node: Client,
    /// Appends messages, in one session.
    writer: Client,
    room: Semaphore,
    readiness: Readiness,
    watch: Arc<Watch>,
}

impl App {
    pub(super) fn new(address: &Address, known: &[Address], loopback: bool) -> io::Result<Self> {
        Ok(Self {
            address: address.clone(),
            own: address.to_string(),
            loopback,
            node: client(address.clone(), PATIENCE)?,
            writer: client(address.clone(), MESSAGE_PATIENCE)?,
            room: Semaphore::new(MESSAGES_MAX),
            readiness: Readiness::default(),
            watch: Arc::new(Watch::new(address, known)),
        })
    }
}

pub(super) fn router(app: Arc<App>) -> Router {
    let loopback = app.loopback;
    let router = Router::new()
        .route("/metrics", get(figures))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/v1/status", get(status))
        .route("/v1/members", get(members))
        .route("/v1/log", post(append))
        .route("/v1/events", get(events));
    page::routes(router)
        .fallback(async || answers::words(StatusCode::NOT_FOUND, "nothing is here; the page is /"))
        .layer(middleware::from_fn(move |request, next| guard::guard(loopback, request, next)))
        .with_state(app)
}

async fn figures(State(app): State<Arc<App>>) -> Response {
    match own(&app.node).await {
        Ok(status) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(&status))
            .into_response(),
        Err(what) => answers::words(StatusCode::SERVICE_UNAVAILABLE, &what),
    }
}

/// Whether it makes sense to let the process run.
async fn livez(State(app): State<Arc<App>>) -> Response {
    match own(&app.node).await {
        Ok(_) => answers::words(StatusCode::OK, "live"),
        Err(what) => answers::words(StatusCode::SERVICE_UNAVAILABLE, &format!("not live: {what}")),
    }
}

/// Whether it makes sense to send clients here.
async fn readyz(State(app): State<Arc<App>>) -> Response {
    match app.readiness.check(&app.node).await {
        Ok(fact) => answers::words(StatusCode::OK, &format!("ready: {fact}")),
        Err(what) => answers::words(StatusCode::SERVICE_UNAVAILABLE, &format!("not ready: {what}")),
    }
}

async fn status(State(app): State<Arc<App>>) -> Response {
    match app.node.status().await {
        Ok(status) => answers::object(StatusCode::OK, member_object(&app.address, status)),
        Err(error) => answers::failed(&error, READ, &app.own),
    }
}

async fn members(State(app): State<Arc<App>>) -> Response {
    match app.node.members().await {
        Ok(view) => answers::object(StatusCode::OK, members_object(&view)),
        Err(error) => answers::failed(&error, READ, &app.own),
    }
}

/// Appends the body as a message.
async fn append(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Some((status, what)) = guard::is_cross_site(request.headers()) {
        return answers::unasked(status, &what);
    }
    let Ok(_place) = timeout(MESSAGE_PATIENCE, app.room.acquire()).await else {
        let what = format!("{MESSAGES_MAX} messages are being taken in; nothing was sent");
        return answers::unasked(StatusCode::SERVICE_UNAVAILABLE, &what);
    };
    let message = match take(request.into_body()).await {
        Ok(message) => message,
        Err(refused) => return *refused,
    };
    match app.writer.write(raft_store::message(&message)).await {
        Ok(written) => answers::object(StatusCode::OK, written_object(&written)),
        Err(error) => answers::failed(&error, "appended", &app.own),
    }
}

async fn take(body: Body) -> Result<bytes::Bytes, Box<Response>> {
    match timeout(MESSAGE_PATIENCE, to_bytes(body, MESSAGE_BYTES_MAX)).await {
        Ok(Ok(message)) if !message.is_empty() => Ok(message),
        Ok(Ok(_)) => Err(Box::new(answers::unfit(0, MESSAGE_BYTES_MAX))),
        // Too large, or broken off: then nobody reads the answer.
        Ok(Err(_)) => Err(Box::new(answers::unfit(usize::MAX, MESSAGE_BYTES_MAX))),
        Err(_) => {
            let what = "the message did not arrive in time; nothing was sent";
            Err(Box::new(answers::unasked(StatusCode::REQUEST_TIMEOUT, what)))
        }
    }
}

/// The cluster as it changes, for as long as somebody looks.
async fn events(State(app): State<Arc<App>>) -> Response {
    let pictures = pictures(Arc::clone(&app.watch));
    Sse::new(pictures).keep_alive(KeepAlive::default()).into_response()
}

/// The whole picture first, then what is new. Who reads too slowly gets the whole picture again:
/// nothing is kept for anybody.
fn pictures(watch: Arc<Watch>) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(None, move |news| {
        let watch = Arc::clone(&watch);
        async move {
            if let Some(mut news) = news {
                let next: Result<Arc<str>, _> =
                    tokio::sync::broadcast::Receiver::recv(&mut news).await;
                if let Ok(text) = next {
                    return Some((Ok(Event::default().event("news").data(&*text)), Some(news)));
                }
            }
            let (whole, news) = watch.look();
            let event = Event::default().event("whole").retry(RETRY).data(whole);
            Some((Ok(event), Some(news)))
        }
    })
}
