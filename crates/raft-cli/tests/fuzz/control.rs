//! Lines of any kind from another terminal: the local cluster that they ask is ending here, so
//! that what is understood is answered with that.

use super::*;
use crate::fuzz::harness::{Cap, Target, fuzz, within};
use crate::fuzz::named;

#[test]
fn control_line() {
    let target = Target {
        name: "control_line",
        words: &[
            b"\"ask\":",
            b"\"server\":",
            b"\"kill\"",
            b"\"ls\"",
            b"null",
            b"[",
            b"{",
            b"}",
            b"\\u0000",
            b"\\ud800",
            b"1e999",
        ],
        bytes_max: 4096,
        runs: 8000,
        check: |input| {
            let line = String::from_utf8_lossy(input);
            let (events, _) = mpsc::channel();
            let cap = Cap { base: 8192, each: 128 };
            let answered = within(cap, line.len(), || answer(&line, &events));
            let problem = answered.expect_err("nobody is there to answer");
            match problem.exit {
                Exit::NotFound => Ok(problem.what),
                _ => Err(problem.what),
            }
        },
    };
    fuzz(&target, || {
        let mut made = Vec::new();
        for verb in ["ls", "kill", "restart", "logs", "add", "", "dance"] {
            for server in ["leader", "n2", ":9991", "", "x", "n99999999999999999999"] {
                made.push(named("a request", json!({ "ask": verb, "server": server }).to_string()));
            }
            made.push(named("a request without a server", json!({ "ask": verb }).to_string()));
            made.push(named(
                "a server that is no text",
                json!({ "ask": verb, "server": 2 }).to_string(),
            ));
        }
        for text in [
            "",
            "{}",
            "[]",
            "null",
            "1e999",
            "\"",
            "{\"ask\":",
            "{\"ask\":\"ls\"} x",
            "{\"ask\":\"ls\",\"ask\":\"add\"}",
        ] {
            made.push(named("no request", text));
        }
        made.push(named("lists in lists", "[".repeat(4000)));
        made.push(named("objects in objects", "{\"ask\":".repeat(500)));
        made
    });
}
