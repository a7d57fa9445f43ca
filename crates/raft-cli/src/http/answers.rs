//! What programs get, as JSON: the same objects as with `-o json`.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use raft_node::{ClientError, Conclusion, Reason};
use serde_json::Value;

use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::versioned;

/// An object, with the version of its shape.
pub(super) fn object(status: StatusCode, object: Value) -> Response {
    let text = versioned(object).to_string() + "\n";
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// Words for people and for scripts that look at the status only.
pub(super) fn words(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}

/// A request that was not even tried.
pub(super) fn unasked(status: StatusCode, what: &str) -> Response {
    refusal(status, &Problem::usage(what), None)
}

/// A request that failed, with what may be concluded.
/// `action` is what it would have done.
pub(super) fn failed(error: &ClientError, action: &str, own: &str) -> Response {
    let problem = Problem::of_request(error, action, own);
    let reason = error.reason.as_ref();
    refusal(status_of(error), &problem, reason.map(name))
}

fn refusal(status: StatusCode, problem: &Problem, reason: Option<String>) -> Response {
    let mut document = problem.object();
    document["error"]["reason"] = reason.into();
    object(status, document)
}

/// The outcome decides, never the other way round: what is unknown is no refusal.
fn status_of(error: &ClientError) -> StatusCode {
    match (error.outcome, &error.reason) {
        (Conclusion::Unknown, _) => StatusCode::GATEWAY_TIMEOUT,
        (Conclusion::NothingSent, _) => StatusCode::SERVICE_UNAVAILABLE,
        (Conclusion::NotApplied, Some(Reason::TooLarge { .. })) => StatusCode::PAYLOAD_TOO_LARGE,
        (Conclusion::NotApplied, Some(Reason::DiskFull | Reason::Full { .. })) => {
            StatusCode::INSUFFICIENT_STORAGE
        }
        (Conclusion::NotApplied, Some(reason)) if reason.retryable() => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        (Conclusion::NotApplied, _) => StatusCode::CONFLICT,
    }
}

/// `NotLeader { … }` as `not_leader`.
fn name(reason: &Reason) -> String {
    let debug = format!("{reason:?}");
    let word = debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let mut name = String::new();
    for letter in word.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// A message that is empty or too large.
pub(super) fn unfit(size: usize, limit: usize) -> Response {
    if size == 0 {
        return unasked(StatusCode::BAD_REQUEST, "the message is empty: it would say nothing");
    }
    let what = format!("the message has more than {limit} bytes");
    refusal(StatusCode::PAYLOAD_TOO_LARGE, &Problem::new(Exit::Refused, what), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(outcome: Conclusion, reason: Option<Reason>) -> ClientError {
        ClientError { outcome, reason, what: "it failed".into(), request: None }
    }

    #[test]
    fn the_status_follows_the_outcome() {
        let cases = [
            (Conclusion::Unknown, Some(Reason::DiskFull), 504),
            (Conclusion::Unknown, None, 504),
            (Conclusion::NothingSent, Some(Reason::NoLeader), 503),
            (Conclusion::NotApplied, Some(Reason::NoLeader), 503),
            (Conclusion::NotApplied, Some(Reason::DiskFull), 507),
            (Conclusion::NotApplied, Some(Reason::TooLarge { limit: 1, size: 2 }), 413),
            (Conclusion::NotApplied, Some(Reason::LastMember), 409),
        ];
        for (outcome, reason, status) in cases {
            let error = error(outcome, reason);
            assert_eq!(status_of(&error).as_u16(), status, "{error:?}");
        }
    }

    #[test]
    fn reasons_have_names() {
        assert_eq!(name(&Reason::NoLeader), "no_leader");
        assert_eq!(name(&Reason::TooLarge { limit: 1, size: 2 }), "too_large");
        assert_eq!(name(&Reason::Invalid("x".into())), "invalid");
    }
}
