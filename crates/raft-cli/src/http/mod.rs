//! HTTP beside a server: metrics, health, a small interface for programs, and a page that shows
//! the cluster live.
//!
//! It has a thread and a runtime of its own, and asks its server what any client may ask, over the
//! server's own port: a slow reader, a flood of requests or a mistake in here never reaches
//! consensus. It asks only when somebody asks it, and for the page only while somebody looks.

mod answers;
mod guard;
mod listen;
mod metrics;
mod page;
mod picture;
mod ready;
mod routes;
mod watch;

use std::io;
use std::sync::Arc;
use std::thread;

use raft_node::Address;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;

use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::Output;
use listen::{CONNECTIONS_MAX, Limited};
pub(crate) use listen::{Door, bind};
use routes::App;

/// Serves at `door` for the server at `own` until the process ends. `known` are the addresses of
/// members as far as known before any of them was asked.
pub(crate) fn open(
    door: Door,
    own: &Address,
    known: &[Address],
    output: &Output,
) -> Result<(), Problem> {
    let failed = |error: io::Error| Problem::new(Exit::Io, format!("cannot start HTTP: {error}"));
    let url = door.url();
    let app = App::new(own, known, door.is_loopback()).map_err(failed)?;
    let runtime =
        Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)?;
    let notes = *output;
    let serve = move || {
        if let Err(error) = runtime.block_on(serve(door, app)) {
            notes.note(&format!("no more HTTP: {error}"));
        }
    };
    thread::Builder::new().name("http".into()).spawn(serve).map_err(failed)?;
    output.note(&format!("the live page is {url}, metrics are at {url}metrics"));
    Ok(())
}

async fn serve(door: Door, app: App) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let router = routes::router(Arc::new(app));
    let mut servers = tokio::task::JoinSet::new();
    for listener in door.into_listeners() {
        let listener = Limited::new(listener, Arc::clone(&room))?;
        let router = router.clone();
        servers.spawn(async move { axum::serve(listener, router).await });
    }
    while let Some(ended) = servers.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    Ok(())
}
