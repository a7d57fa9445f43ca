//! More connections than a server may have files open.

use std::net::TcpStream;
use std::process::Command;

use crate::support::{Cluster, Load, Server, agree, append};

/// The server's command with so many file descriptors.
fn with_descriptors(server: &Server, count: u32) -> Command {
    let inner = server.command();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {count} && exec \"$0\" \"$@\"")]);
    command.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

#[test]
fn too_many_connections_are_hung_up_on_and_the_log_goes_on() {
    let mut cluster = Cluster::new(1);
    let command = with_descriptors(&cluster.servers[0], 128);
    cluster.servers[0].start_as(command, &cluster.scene);
    append(&cluster.scene, "first", cluster.port(0));
    // Large enough for some new slots of the log.
    let message = |client, count| format!("m{client}-{count}-{}", "x".repeat(30_000));
    let load = Load::of(&cluster.running(), 2, message);
    load.wait_for_more(4);
    let dial = |_| TcpStream::connect(("127.0.0.1", cluster.port(0))).expect("accepted");
    let crowd: Vec<TcpStream> = (0..200).map(dial).collect();
    cluster.servers[0].process().wait_err("too many connections: this process may have 128 open");
    load.wait_for_more(200);
    drop(crowd);
    let report = load.finish();
    append(&cluster.scene, "in-again", cluster.port(0));
    let seen = cluster.servers[0].process().seen();
    let lacks = |line: &String| line.contains("Too many open files");
    assert!(!seen.err.iter().any(lacks), "{}", seen.story());
    agree(&cluster, &report);
}
