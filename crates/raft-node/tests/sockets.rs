//! A socket that is of no use is closed. Counts the sockets of this process: one test alone.
#![cfg(target_os = "linux")]

mod support;

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use raft_node::hello::{Party, Role};
use raft_node::protocol::Request;
use raft_node::wire::Frame;
use socket2::{Domain, Socket, Type};
use support::{PATIENCE, Place, Wire};

fn open_sockets() -> usize {
    let files = std::fs::read_dir("/proc/self/fd").expect("the open files");
    let links = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

/// Asks, and reads no answer, until it is not heard any more; then it dies.
fn ask_without_listening(place: &Place) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], place.port)).into()).expect("a connection");
    let mut client = Wire::new(TcpStream::from(socket));
    client.say(&place.hello(Role::Client, Party::default()));
    let ask = Frame::Request { id: 1, request: Request::Status }.encode();
    let asks = ask.slices().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>().repeat(64);
    client.stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let deaf = loop {
        if let Err(error) = client.stream.write_all(&asks) {
            break error;
        }
    };
    assert!(matches!(deaf.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{deaf}");
}

#[test]
fn clients_that_stop_reading_and_die_leave_nothing_behind() {
    let running = Place::new(0).start(Duration::from_secs(1));
    let place = &running.place;
    let _first = place.dial_as_client();
    // The other member never answers: a dial to it is one socket, now and then.
    let before = open_sockets() + 1;
    for _ in 0..3 {
        ask_without_listening(place);
    }
    let begun = Instant::now();
    while open_sockets() > before {
        assert!(begun.elapsed() < PATIENCE, "{} sockets, {before} before", open_sockets());
        drop(place.dial_as_client());
    }
}
