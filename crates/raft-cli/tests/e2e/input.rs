//! What people type, and what messages may hold.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::ffi::OsStrExt;

use crate::support::{
    Cluster, Ended, PATIENCE, Process, Scene, Signal, append, free_ports, raft, readable, run,
};

/// Words of a command line, split at spaces.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(' ').filter(|word| !word.is_empty())
}

fn typed(scene: &Scene, line: &str) -> Ended {
    let mut command = raft(words(line));
    command.env("HOME", scene.path());
    run(scene, command)
}

#[test]
fn a_wrong_command_line_is_refused_and_says_what_is_wrong() {
    let scene = Scene::new();
    let cases = [
        ("-C clientcommand -m beer", "-S"),
        ("-C clientcommand -S :9990", "-m"),
        ("-C addserver -S :9990", "-m"),
        ("-C removeserver -m :9993", "-S"),
        ("-C frobnicate -m beer -S :9990", "frobnicate"),
        ("-C frobnicate", "frobnicate"),
        ("-C addserver -m nonsense -S :9990", "nonsense"),
        ("-C clientcommand -m beer -S nonsense", "nonsense"),
        ("-C clientcommand -m beer -S :99999", "99999"),
        ("-C clientcommand -m beer -S :0", ":0"),
        ("-C clientcommand -m beer -S :9990,", "-S"),
        ("-c :9990,:9991 -p 99x", "99x"),
        ("-c :9990,host -p 9990", "host"),
        ("-c :9990,:9990 -p 9990", ":9990"),
        ("-c :9990,::1:9991 -p 9990", "::1:9991"),
        ("-c :9990,:9991", "-p"),
        ("-c 127.0.0.1:9990,127.0.0.2:9990 -p 9990", "127.0.0.1:9990, 127.0.0.2:9990"),
        ("-c 198.51.100.1:9990,203.0.113.1:9990 -p 9990", "198.51.100.1:9990,203.0.113.1:9990"),
        ("-c :9990,198.51.100.1:9991 -p 9990", "198.51.100.1:9991"),
        ("-c :9990 -p 9990 --election-timeout soon", "soon"),
        ("frobnicate", "frobnicate"),
        ("append", "TEXT"),
        ("sim --seeds 7", "0..100"),
        ("sim --seeds 7..7", "first that is left out"),
        ("sim --seeds 7..", "--minutes"),
        ("sim --seed 7 --seeds 1..2", "--seeds"),
        ("sim --without 3", "--seed"),
        ("sim --seed 7 --without 3-1", "3,5,9-12"),
        ("sim --schedule never", "random"),
        ("sim --members 8", "8"),
        ("-C clientcommand -m I like beer. -S :9990", "quotes"),
    ];
    for (line, named) in cases {
        typed(&scene, line).exits(2).shows_nothing().says([named]);
    }
}

#[test]
fn help_is_a_result_when_it_is_asked_for() {
    let scene = Scene::new();
    let bare = typed(&scene, "").exits(2);
    assert_eq!(bare.err, "", "the same help, on standard output");
    for line in ["-h", "--help"] {
        let help = typed(&scene, line).exits(0);
        assert_eq!(help.err, "");
        for named in ["-c", "-p", "-C", "-m", "-S", "addserver", "removeserver", "Exit codes"] {
            assert!(help.out.contains(named), "{line} lacks {named}: {}", help.out);
            assert!(bare.out.contains(named), "bare raft lacks {named}: {}", bare.out);
        }
    }
}

#[test]
fn addresses_are_taken_in_all_forms() {
    let mut cluster = Cluster::new(2);
    let [first, second] = [cluster.port(0), cluster.port(1)];
    for (at, list) in
        [format!("{first}, :{second}"), format!(" :{first} ,{second} ")].iter().enumerate()
    {
        let port = cluster.port(at);
        let dir = cluster.servers[at].dir().to_owned();
        cluster.servers[at] = crate::support::Server::with_dir(list, port, &dir);
    }
    cluster.start_all();
    let all = [
        format!("{first}"),
        format!(":{first}"),
        format!("localhost:{first}"),
        format!("127.0.0.1:{first}"),
        format!("{first}, {second}"),
        format!("[::1]:{first}"),
    ];
    // A machine may be without IPv6.
    let with_ipv6 = TcpListener::bind(("::1", 0)).is_ok();
    let all = &all[..if with_ipv6 { all.len() } else { all.len() - 1 }];
    for asked in all {
        run(&cluster.scene, raft(["-C", "clientcommand", "-m", "beer", "-S", asked])).exits(0);
    }
}

#[test]
fn others_reach_a_server_only_if_it_is_told_so() {
    let scene = Scene::new();
    // Sends nothing; a machine without a network has nothing to be reached by.
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let Ok(here) = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()) else { return };
    let [port] = free_ports();
    let address = format!("{}:{port}", here.ip());
    let data = scene.join("data");
    let server = |more: &[&str]| {
        let mut command = raft(["-c", &address, "-p", &port.to_string()].iter().chain(more));
        command.arg("--data-dir").arg(&data);
        command
    };
    run(&scene, server(&[])).exits(2).shows_nothing().says(["--insecure", &address]);
    let _server = Process::spawn(server(&["--insecure"]), "the server", &scene.record("server"));
    run(&scene, raft(["-C", "clientcommand", "-m", "beer", "-S", &address])).exits(0);
}

#[test]
fn an_interrupted_client_says_what_it_leaves_behind() {
    let scene = Scene::new();
    // A server that hangs up without a word.
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let asked = listener.local_addr().expect("bound").to_string();
    let command = raft(["-C", "clientcommand", "-m", "beer", "-S", &asked]);
    let client = Process::spawn(command, "the client", &scene.record("client"));
    // By the second attempt it is certainly waiting.
    for _ in 0..2 {
        assert!(readable(&listener, PATIENCE), "the client does not connect");
        drop(listener.accept().expect("a connection"));
    }
    client.signal(Signal::INT);
    let seen = client.wait_end();
    assert_eq!(seen.code(), Some(130), "{}", seen.story());
    assert!(seen.err.iter().any(|line| line.contains("interrupted")), "{}", seen.story());
}

#[test]
fn nobody_there_is_told_in_time() {
    let scene = Scene::new();
    let [port] = free_ports();
    let line = format!("-C clientcommand -m beer -S :{port} --timeout 300ms");
    typed(&scene, &line).exits(4).shows_nothing().says([format!(":{port}")]);
    let line = format!("-C addserver -m :9993 -S :{port} --timeout 300ms");
    typed(&scene, &line).exits(4).shows_nothing();
}

#[test]
fn messages_are_bytes() {
    let cluster = Cluster::start(1);
    let file = cluster.scene.join("message");
    let messages: [&[u8]; 7] = [
        b"two\nlines\r\n",
        b"'single' \"double\" `back` $HOME \\n %s",
        b"not \xff\xfe UTF-8 \xc3",
        "grüße, 世界 🍺".as_bytes(),
        b"-h",
        b" ",
        b"\t",
    ];
    for message in messages {
        append(&cluster.scene, OsStr::from_bytes(message), cluster.port(0));
        fs::write(&file, message).expect("a file");
        append_file(&cluster, &file).exits(0);
    }
    append(&cluster.scene, "print", cluster.port(0));
    let process = cluster.servers[0].process();
    let line = process.wait("the line", |seen| seen.out.first().cloned());
    let mut expected = b" Logs [".to_vec();
    for message in messages {
        for _ in 0..2 {
            let mut shown = Vec::new();
            for &byte in message {
                match byte {
                    b'\n' => shown.extend(b"\\n"),
                    b'\r' => shown.extend(b"\\r"),
                    byte => shown.push(byte),
                }
            }
            expected.extend(shown);
            expected.push(b' ');
        }
    }
    expected.extend(b"print]");
    let readable = String::from_utf8_lossy;
    assert!(line[19..] == expected, "{}\n{}", readable(&line[19..]), readable(&expected));
}

fn append_file(cluster: &Cluster, file: &std::path::Path) -> Ended {
    let mut command = raft(["append", "--endpoints", &cluster.servers[0].address(), "--file"]);
    command.arg(file);
    run(&cluster.scene, command)
}

#[test]
fn the_size_of_a_message_has_limits() {
    let mut cluster = Cluster::start(3);
    let file = cluster.scene.join("message");
    let write = |size: usize| {
        let line: Vec<u8> = (b'a'..=b'z').cycle().take(size).collect();
        fs::write(&file, &line).expect("a file");
        line
    };
    let empty: [OsString; 4] = ["-C", "clientcommand", "-m", ""].map(Into::into);
    let mut command = raft(empty);
    command.arg("-S").arg(cluster.servers[0].address());
    run(&cluster.scene, command).exits(2).shows_nothing().says(["empty"]);
    write(0);
    append_file(&cluster, &file).exits(2).shows_nothing().says(["empty"]);
    write(17 << 20);
    append_file(&cluster, &file).exits(1).shows_nothing().says(["16 MiB"]);

    let message = write(1 << 20);
    append_file(&cluster, &file).exits(0);
    append(&cluster.scene, "print", cluster.port(0));
    let expected = format!("Logs [{} print]", String::from_utf8(message).expect("letters"));
    for server in &cluster.servers {
        server.wait_shown_where("a message of 1 MiB", |line| line == expected);
    }
    write(16 << 20);
    append_file(&cluster, &file).exits(0);
    cluster.kill_all();
    cluster.start_all();
    append(&cluster.scene, "count", cluster.port(1));
    cluster.servers.iter().for_each(|server| drop(server.wait_shown("Count 4")));
}

#[test]
fn a_message_comes_through_a_pipe_as_well() {
    let cluster = Cluster::start(1);
    let mut command = crate::support::shell("printf 'from a pipe' | \"$RAFT\" append --file -");
    command.env("RAFT_ENDPOINTS", cluster.servers[0].address());
    run(&cluster.scene, command).exits(0);
    append(&cluster.scene, "print", cluster.port(0));
    cluster.servers[0].wait_shown("Logs [from a pipe print]");
}

#[test]
fn programs_get_json() {
    let cluster = Cluster::start(1);
    let address = cluster.servers[0].address();
    let args = ["append", "beer", "-o", "json", "--endpoints", &address];
    let appended = run(&cluster.scene, raft(args)).exits(0);
    let object: serde_json::Value = serde_json::from_str(&appended.out).expect("JSON");
    assert!(object["index"].is_u64() && object["term"].is_u64(), "{object}");
    assert_eq!((&object["v"], &object["forwarded_to"]), (&1.into(), &serde_json::Value::Null));

    let args = ["append", "", "-o", "json", "--endpoints", &address];
    let refused = run(&cluster.scene, raft(args)).exits(2).shows_nothing();
    let object: serde_json::Value = serde_json::from_str(&refused.err).expect("JSON");
    assert_eq!(object["error"]["exit"], 2);
}
