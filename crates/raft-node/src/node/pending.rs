//! What a client's user holds of an operation until it ends.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::client_core::{ClientError, Conclusion, Success};

/// An operation under way: a future, or something to wait for.
pub struct Pending<T> {
    result: oneshot::Receiver<Result<Success, ClientError>>,
    take: fn(Success) -> Option<T>,
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending")
    }
}

impl<T> Pending<T> {
    pub(super) const fn new(
        result: oneshot::Receiver<Result<Success, ClientError>>,
        take: fn(Success) -> Option<T>,
    ) -> Self {
        Self { result, take }
    }

    /// Waits for the end, on this thread.
    ///
    /// # Errors
    /// What may be concluded, and why.
    pub fn wait(self) -> Result<T, ClientError> {
        let take = self.take;
        finish(self.result.blocking_recv(), take)
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let take = self.take;
        Pin::new(&mut self.result).poll(context).map(|result| finish(result, take))
    }
}

fn finish<T>(
    result: Result<Result<Success, ClientError>, oneshot::error::RecvError>,
    take: fn(Success) -> Option<T>,
) -> Result<T, ClientError> {
    let ended = |what: &str| ClientError {
        outcome: Conclusion::Unknown,
        reason: None,
        what: what.to_owned(),
        request: None,
    };
    let success = result.map_err(|_| ended("the client was closed meanwhile"))??;
    take(success).ok_or_else(|| ended("the server answered something else than was asked"))
}
