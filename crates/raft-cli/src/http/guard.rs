//! What strangers' web pages must not do through a person's browser.
//!
//! A page of another site can send simple requests anywhere, without reading the answers: so what
//! changes something asks for a content type that no such request has. And it can give its own
//! name the address of this machine, and be of the same site then: so a server that listens on
//! this machine only answers to names of this machine only.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The page needs nothing from anywhere else, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// What a message is sent as. A form cannot, and a script of another site would have to ask first.
pub(super) const MESSAGE_TYPE: &str = "application/octet-stream";

const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-cache"),
];

/// Refuses requests under foreign names, and adds the headers that all answers have.
pub(super) async fn guard(loopback: bool, request: Request, next: Next) -> Response {
    let named = host_of(request.headers());
    let mut response = match named {
        Some(host) if loopback && !is_this_machine(&host) => {
            let what = format!(
                "this server is for its own machine only and does not answer to the name {host:?}; \
                 use localhost\n"
            );
            (StatusCode::FORBIDDEN, what).into_response()
        }
        _ => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Why a request that changes something is refused.
pub(super) fn is_cross_site(headers: &HeaderMap) -> Option<(StatusCode, String)> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) =
        text("sec-fetch-site").filter(|site| !matches!(*site, "same-origin" | "none"))
    {
        return Some((StatusCode::FORBIDDEN, format!("a page of another site asked ({site})")));
    }
    let kind = text("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case(MESSAGE_TYPE) {
        return Some((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("the message has to come with the header content-type: {MESSAGE_TYPE}"),
        ));
    }
    None
}

/// The host that was asked for, without its port.
fn host_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::HOST)?;
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    let host = match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => &text,
    };
    Some(host.trim_matches(['[', ']']).to_ascii_lowercase())
}

/// A name that nobody can give to this machine from outside: a number, or one that never leaves it.
fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
#[path = "../../tests/fuzz/guard.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        list.iter().map(pair).collect()
    }

    #[test]
    fn names_of_this_machine() {
        for host in ["localhost:19990", "127.0.0.1:1", "[::1]:19990", "Localhost", "a.localhost:1"]
        {
            let host = host_of(&headers(&[("host", host)])).expect("a host");
            assert!(is_this_machine(&host), "{host}");
        }
        for host in ["example.com", "localhost.example.com:19990", "evil", ""] {
            let host = host_of(&headers(&[("host", host)])).expect("a host");
            assert!(!is_this_machine(&host), "{host}");
        }
    }

    #[test]
    fn a_form_of_another_site_cannot_write() {
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            let refused = is_cross_site(&headers(&[("content-type", kind)]));
            assert_eq!(refused.map(|(status, _)| status.as_u16()), Some(415), "{kind}");
        }
        assert!(is_cross_site(&headers(&[])).is_some());
        let ours = ("content-type", MESSAGE_TYPE);
        assert_eq!(is_cross_site(&headers(&[ours])), None);
        assert_eq!(is_cross_site(&headers(&[ours, ("sec-fetch-site", "same-origin")])), None);
        assert!(is_cross_site(&headers(&[ours, ("sec-fetch-site", "cross-site")])).is_some());
        assert!(is_cross_site(&headers(&[ours, ("sec-fetch-site", "same-site")])).is_some());
    }
}
