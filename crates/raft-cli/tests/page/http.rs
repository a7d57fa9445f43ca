//! Just enough of HTTP to ask: one request, one connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::PATIENCE;

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

pub(crate) fn get(port: u16, path: &str) -> Answer {
    send(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n"), "")
}

pub(crate) fn append(port: u16, message: &str) -> Answer {
    let head = "POST /v1/log HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/octet-stream\r\n";
    send(port, head, message)
}

/// Sends a request whose first lines are these.
pub(crate) fn send(port: u16, head: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
    let length = body.len();
    let text = format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).expect("sent");
    let mut from = BufReader::new(stream);
    let (mut head, mut body) = (String::new(), Vec::new());
    while !head.ends_with("\r\n\r\n") {
        let read = from.read_line(&mut head).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(read > 0, "the answer ends within its head: {head}");
    }
    let head = head.to_ascii_lowercase();
    // Not all servers close when asked to.
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok()).expect("a length");
    from.take(length).read_to_end(&mut body).expect("the whole body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head, body: String::from_utf8(body).expect("text") }
}

/// Sends a request and waits for the beginning of its answer, if there is one.
pub(crate) fn try_send(port: u16, head: &str) {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return };
    let text = format!("{head}Host: localhost\r\nConnection: close\r\n\r\n");
    let sent = stream.set_read_timeout(Some(PATIENCE)).and(stream.write_all(text.as_bytes()));
    drop(sent.and_then(|()| stream.read(&mut [0])));
}
