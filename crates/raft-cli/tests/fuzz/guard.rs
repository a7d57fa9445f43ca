//! Headers of any kind: only this machine's own names pass, and only what no page of another site
//! can send.

use super::*;
use crate::fuzz::harness::{Cap, Target, fuzz, within};
use crate::fuzz::named;

/// Hosts as a browser might name them.
const HOSTS: &str = "
localhost
localhost:19990
LOCALHOST
a.localhost
.localhost
localhost.
localhost.evil
evil.example
evil.example:80
127.0.0.1
127.0.0.1:1
127.1
0x7f000001
[::1]
[::1]:1
::1
::1:1
[::1
]::1[
[localhost]
[[::1]]:1
localhost:evil
localhost:
:1
:
a@localhost
evil.example#localhost
localhost:80:80
127.0.0.1.evil.example
\u{ff}
 localhost
localhost 
evil.example/.localhost
10.0.0.1
fe80::1%eth0
[::ffff:127.0.0.1]:1";

#[test]
fn host_header() {
    let target = Target {
        name: "host_header",
        words: &[
            b"localhost",
            b".",
            b":",
            b"[",
            b"]",
            b"::1",
            b"127.0.0.1",
            b"@",
            b"%",
            b"evil.example",
            b":80",
        ],
        bytes_max: 300,
        runs: 15_000,
        check: |input| {
            let value = HeaderValue::from_bytes(input).map_err(|error| error.to_string())?;
            let headers = HeaderMap::from_iter([(header::HOST, value)]);
            let cap = Cap { base: 1024, each: 16 };
            let host = within(cap, input.len(), || host_of(&headers)).ok_or("no host")?;
            if !is_this_machine(&host) {
                return Err("another name".into());
            }
            // A number, or a name below localhost: nobody outside can make either mean them.
            let number =
                host.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'));
            let below = host == "localhost" || host.ends_with(".localhost");
            assert!(number || below, "{host:?}");
            Ok(if number { "a number" } else { "a name" }.into())
        },
    };
    fuzz(&target, || HOSTS.lines().map(|host| named("a host", host)).collect());
}

#[test]
fn cross_site() {
    let target = Target {
        name: "cross_site",
        words: &[
            b"\n",
            b"sec-fetch-site: ",
            b"content-type: ",
            b"same-origin",
            b"none",
            b"application/octet-stream",
            b";",
        ],
        bytes_max: 500,
        runs: 10_000,
        check: |input| {
            let mut headers = HeaderMap::new();
            for line in input.split(|byte| *byte == b'\n') {
                let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
                let name = HeaderName::from_bytes(&line[..at]);
                let value =
                    HeaderValue::from_bytes(line.get(at + 1..).unwrap_or_default().trim_ascii());
                if let (Ok(name), Ok(value)) = (name, value) {
                    headers.append(name, value);
                }
            }
            let cap = Cap { base: 1024, each: 16 };
            match within(cap, input.len(), || is_cross_site(&headers)) {
                Some((status, what)) => {
                    assert!(status.is_client_error() && !what.is_empty());
                    Err(what)
                }
                None => {
                    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok());
                    let kind = kind.expect("a form has no such type").to_ascii_lowercase();
                    assert!(kind.trim().starts_with(MESSAGE_TYPE));
                    Ok("a message".into())
                }
            }
        },
    };
    fuzz(&target, || {
        let mut made = Vec::new();
        for kind in [
            "application/octet-stream",
            "APPLICATION/Octet-Stream",
            "application/octet-stream; charset=x",
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "",
            ";application/octet-stream",
            "application/octet-streams",
            "application/octet-stream,text/plain",
        ] {
            for site in ["", "same-origin", "same-site", "cross-site", "none", "None", "\u{ff}"] {
                made.push(named(
                    "headers",
                    format!("content-type: {kind}\nsec-fetch-site: {site}"),
                ));
            }
            made.push(named("headers", format!("content-type: {kind}")));
            made.push(named("headers", format!("content-type: text/plain\ncontent-type: {kind}")));
        }
        made
    });
}
