//! Every single call to the disk goes wrong once: the server is killed in it, or it fails, while
//! the server starts and while clients write. What was acknowledged is there afterwards.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{
    Cluster, Load, PATIENCE, Process, Scene, Seen, Server, Tracer, agree, append, founders,
    free_ports,
};

/// The calls that change what is on the disk.
const WRITES: &str = "pwritev";
const SYNCS: &str = "fdatasync,fsync";
const NAMES: &str = "renameat,renameat2,unlinkat,mkdirat";

/// A start and a short load make far fewer calls of a kind.
const CALLS_MAX: u32 = 300;

/// So many messages are a short load.
const MESSAGES: u64 = 12;

/// What a server made of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// It was killed.
    Killed,
    /// It ended with exit code 8: the disk failed.
    Ended,
    /// It went on.
    WentOn,
}

#[test]
fn a_server_is_killed_at_every_write() {
    killed_everywhere(WRITES);
}

#[test]
fn a_server_is_killed_at_every_sync() {
    killed_everywhere(SYNCS);
}

#[test]
fn a_server_is_killed_at_every_change_of_a_name() {
    killed_everywhere(NAMES);
}

#[test]
fn every_call_fails() {
    for calls in [WRITES, SYNCS, NAMES] {
        let made = sweep(calls, "error=EIO");
        // What fails is the log or a file in the making: the one ends the server, the other is
        // made again.
        assert!(!made.contains(&Made::Killed), "{calls}: {made:?}");
        assert!(calls == NAMES || made.is_empty() || made.contains(&Made::Ended), "{calls}");
    }
}

#[test]
fn every_call_finds_the_disk_full() {
    for calls in [WRITES, SYNCS, NAMES] {
        let made = sweep(calls, "error=ENOSPC");
        assert!(!made.contains(&Made::Killed), "{calls}: {made:?}");
    }
}

#[test]
fn a_call_that_is_interrupted_is_made_again() {
    for calls in [WRITES, SYNCS] {
        let made = sweep(calls, "error=EINTR");
        assert!(made.iter().all(|made| *made == Made::WentOn), "{calls}: {made:?}");
    }
}

fn killed_everywhere(calls: &str) {
    first_starts(calls);
    let made = sweep(calls, "signal=KILL");
    assert!(made.iter().rev().skip(1).all(|made| *made == Made::Killed), "{calls}: {made:?}");
}

/// A server that starts again and again in one directory under load, with the n-th of some calls
/// going wrong, until there is no n-th call. Returns what it made of each.
fn sweep(calls: &str, fault: &str) -> Vec<Made> {
    let mut made = Vec::new();
    if !Tracer::is_possible() {
        return made;
    }
    let mut cluster = Cluster::start(1);
    let load = Load::start(&cluster.running(), 2);
    for number in 1..CALLS_MAX {
        load.wait_for_more(2);
        cluster.servers[0].kill();
        let record = cluster.scene.record("strace");
        let fault = format!("{calls}:{fault}:when={number}");
        let command = Tracer::command(&cluster.servers[0], &fault, &record);
        cluster.servers[0].start_as(command, &cluster.scene);
        let enough = load.acknowledged() + MESSAGES;
        let process = cluster.servers[0].process();
        let ended = ended_before(process, || load.acknowledged() >= enough);
        let seen = ended.clone().unwrap_or_else(|| process.kill());
        cluster.servers[0].ended(seen.clone());
        made.push(match (ended, seen.code()) {
            (None, _) => Made::WentOn,
            (Some(_), None) => Made::Killed,
            (Some(_), Some(8)) => Made::Ended,
            (Some(_), Some(code)) => panic!("{fault}: exit code {code}: {}", seen.story()),
        });
        cluster.start_all();
        let hit = fs::read_to_string(&record).is_ok_and(|text| text.contains("(INJECTED)"));
        if made.ends_with(&[Made::WentOn]) && !hit {
            break;
        }
    }
    eprintln!("{calls}, {fault}: {made:?}");
    assert!(made.len() > 1, "the {calls} calls were not found");
    load.wait_for_more(5);
    agree(&cluster, &load.finish());
    made
}

/// New servers of a cluster of one, each killed at the next one of some calls of its first start:
/// the directory that is left can be started in.
fn first_starts(calls: &str) {
    if !Tracer::is_possible() {
        return;
    }
    let scene = Scene::new();
    let [port] = free_ports();
    for number in 1..CALLS_MAX {
        let dir = scene.join(format!("data-{number}"));
        let mut server = Server::with_dir(&founders(&[port]), port, &dir);
        let fault = format!("{calls}:signal=KILL:when={number}");
        let command = Tracer::command(&server, &fault, &scene.record("strace"));
        let process = server.start_as(command, &scene);
        let leads = |seen: &Seen| seen.err.iter().any(|line| line.contains(" leads in term "));
        let ended = ended_before(process, || leads(&process.seen()));
        let is_over = ended.is_none();
        let seen = ended.unwrap_or_else(|| process.kill());
        server.ended(seen);
        server.start(&scene);
        append(&scene, format!("after-{number}"), port);
        server.kill();
        if is_over {
            assert!(number > 2, "the {calls} calls were not found");
            return;
        }
    }
}

/// Waits until a process has ended, or something else is so.
fn ended_before(process: &Process, other: impl Fn() -> bool) -> Option<Seen> {
    let deadline = Instant::now() + PATIENCE;
    while !other() {
        if let Some(seen) = process.ends_within(Duration::from_millis(10)) {
            return Some(seen);
        }
        assert!(Instant::now() < deadline, "it stands still; {}", process.seen().story());
    }
    None
}
