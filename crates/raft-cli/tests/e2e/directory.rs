//! Data directories: where they are, and who may use them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{
    Cluster, Ended, Image, Load, PATIENCE, Process, Scene, Server, agree, append, free_ports, raft,
    run,
};

/// Starts a server that has to be refused.
fn refused(scene: &Scene, server: &mut Server) -> Ended {
    let command = format!("{:?}", server.command());
    let seen = server.start(scene).ends_within(PATIENCE);
    let seen = seen.unwrap_or_else(|| panic!("it runs; {}", server.process().seen().story()));
    server.ended(seen.clone());
    Ended::new(command, &seen).shows_nothing()
}

/// Everything below a folder, with its contents.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => all.extend(contents(&path)),
            false => all.push((path.clone(), fs::read(&path).expect("a file"))),
        }
    }
    all.sort();
    all
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn data_is_below_the_home_folder_by_host_and_port() {
    let scene = Scene::new();
    let [port] = free_ports();
    let home = scene.join("home");
    fs::create_dir(&home).expect("a folder");
    let start = || {
        let mut command = raft(["-p", &port.to_string()]);
        command.env("HOME", &home);
        command
    };
    let process = Process::spawn(start(), "the server", &scene.record("server"));
    append(&scene, "beer", port);
    process.kill();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let ours = home.join(format!(".goraft/{host}_{port}"));
    assert!(ours.join("NODE").exists(), "{:?}", contents(&home));

    // The machine gets another name.
    let theirs = home.join(format!(".goraft/another.name_{port}"));
    fs::rename(&ours, &theirs).expect("renamed");
    let before = contents(&home);
    let stopped = run(&scene, start()).shows_nothing().says([text(&ours), text(&theirs)]);
    assert_ne!(stopped.code, Some(0));
    assert_eq!(contents(&home), before, "nothing is touched");
}

#[test]
fn without_a_home_folder_the_directory_has_to_be_named() {
    let scene = Scene::new();
    let [port] = free_ports();
    run(&scene, raft(["-p", &port.to_string()])).exits(2).shows_nothing().says(["--data-dir"]);

    let mut command = raft(["-p", &port.to_string()]);
    command.env("RAFT_DATA_DIR", scene.join("named"));
    let _process = Process::spawn(command, "the server", &scene.record("server"));
    append(&scene, "beer", port);
    assert!(scene.join("named/NODE").exists());
}

#[test]
fn only_the_owner_may_read_the_data() {
    let mut cluster = Cluster::start(1);
    // A running one makes and renames files.
    cluster.servers[0].kill();
    let dir = cluster.servers[0].dir();
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(dir), 0o700);
    for (file, _) in contents(dir) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn data_that_others_may_use_is_refused() {
    let mut cluster = Cluster::start(1);
    cluster.servers[0].terminate();
    let dir = cluster.servers[0].dir().to_owned();
    for (name, mode, loose) in [("NODE", 0o600, 0o644), ("wal", 0o700, 0o755), (".", 0o700, 0o770)]
    {
        let chmod = |mode| {
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).expect("allowed");
        };
        chmod(loose);
        let said = [format!("mode {loose:04o}"), "chmod go= ".into(), text(&dir)];
        refused(&cluster.scene, &mut cluster.servers[0]).exits(8).says(said);
        chmod(mode);
    }
    cluster.start_all();
    append(&cluster.scene, "private", cluster.port(0));
}

#[test]
fn a_read_only_disk_is_named() {
    let scene = Scene::new();
    if !Image::are_possible(&scene) {
        return;
    }
    let mut cluster = Cluster::on_images(scene, 1);
    cluster.start_all();
    append(&cluster.scene, "precious", cluster.port(0));
    cluster.servers[0].terminate();
    cluster.images[0].set_read_only(true);
    let dir = text(cluster.servers[0].dir());
    refused(&cluster.scene, &mut cluster.servers[0]).exits(8).says([&*dir, "Read-only"]);
    cluster.images[0].set_read_only(false);
    cluster.start_all();
    append(&cluster.scene, "count", cluster.port(0));
    cluster.servers[0].wait_shown("Count 2");
}

#[test]
fn a_disk_that_turns_read_only_ends_the_server_and_not_the_cluster() {
    let scene = Scene::new();
    if !Image::are_possible(&scene) {
        return;
    }
    let mut cluster = Cluster::on_images(scene, 3);
    cluster.start_all();
    let leader = cluster.leader();
    let load = Load::start(&cluster.running(), 4);
    load.wait_for_more(20);
    // As ext4 does when it finds an error in itself.
    cluster.images[leader].find_an_error();
    let seen = cluster.servers[leader].process().wait_end();
    assert_eq!(seen.code(), Some(8), "{}", seen.story());
    cluster.servers[leader].ended(seen);
    load.wait_for_more(20);
    cluster.images[leader].mount_anew();
    cluster.start_all();
    load.wait_for_more(20);
    agree(&cluster, &load.finish());
}

#[test]
fn a_port_in_use_is_named() {
    let scene = Scene::new();
    let [port] = free_ports();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    let mut server = Server::new(&scene, &format!(":{port}"), port);
    refused(&scene, &mut server).exits(8).says([format!(":{port}"), "in use".into()]);
}

#[test]
fn a_directory_serves_one_process_at_a_time() {
    let cluster = Cluster::start(1);
    let holder = cluster.servers[0].process().pid().to_string();
    let [port] = free_ports();
    for port in [port, cluster.port(0)] {
        let dir = cluster.servers[0].dir();
        let mut second = Server::with_dir(&format!(":{port}"), port, dir);
        let ended = refused(&cluster.scene, &mut second);
        ended.exits(9).says([&holder, &cluster.servers[0].address(), &text(dir)]);
    }
    append(&cluster.scene, "undisturbed", cluster.port(0));
}

#[test]
fn the_lock_of_a_killed_process_is_no_obstacle() {
    let mut cluster = Cluster::start(1);
    cluster.servers[0].kill();
    cluster.start_all();
    append(&cluster.scene, "on", cluster.port(0));
}

#[test]
fn a_directory_of_another_server_is_refused() {
    let mut cluster = Cluster::start(1);
    cluster.servers[0].terminate();
    let [port] = free_ports();
    let dir = cluster.servers[0].dir().to_owned();
    let mut other = Server::with_dir(&format!(":{port}"), port, &dir);
    refused(&cluster.scene, &mut other).exits(10).says([
        &cluster.servers[0].address(),
        &other.address(),
        &text(&dir),
    ]);
    cluster.start_all();
    append(&cluster.scene, "unharmed", cluster.port(0));
}

#[test]
fn a_directory_with_foreign_files_is_refused_untouched() {
    let scene = Scene::new();
    let [port] = free_ports();
    let mut server = Server::new(&scene, &format!(":{port}"), port);
    fs::create_dir_all(server.dir().join("data")).expect("a folder");
    fs::write(server.dir().join("raft.log"), "of the original program").expect("a file");
    fs::write(server.dir().join("data/1"), "old").expect("a file");
    let before = contents(server.dir());
    let dir = text(server.dir());
    refused(&scene, &mut server).exits(10).says([&dir, "--data-dir"]);
    assert_eq!(contents(server.dir()), before);
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let scene = Scene::new();
    let [port] = free_ports();
    let file = scene.join("a-file");
    fs::write(&file, "no folder").expect("a file");
    for dir in [Path::new("/proc/raft"), &file.join("below")] {
        let mut server = Server::with_dir(&format!(":{port}"), port, dir);
        refused(&scene, &mut server).exits(8).says([text(dir)]);
    }
    let mut server = Server::with_dir(&format!(":{port}"), port, &file);
    let ended = refused(&scene, &mut server).says([text(&file)]);
    assert!([Some(8), Some(10)].contains(&ended.code), "{ended:?}");
    assert_eq!(fs::read(&file).expect("still a file"), b"no folder");
}

#[test]
fn damage_in_the_middle_of_the_log_stops_the_server() {
    let mut cluster = Cluster::start(1);
    for count in 0..20 {
        append(
            &cluster.scene,
            format!("precious-{count:02}-{}", "x".repeat(8192)),
            cluster.port(0),
        );
    }
    cluster.servers[0].kill();
    let needle = b"precious-10-xxxx";
    let finds = |bytes: &[u8]| bytes.windows(needle.len()).position(|window| window == needle);
    let files = contents(cluster.servers[0].dir());
    let (file, bytes, at) = (files.iter())
        .find_map(|(file, bytes)| finds(bytes).map(|at| (file, bytes, at)))
        .expect("the message is in a file");
    let mut damaged = bytes.clone();
    damaged[at + 12] ^= 0x01;
    fs::write(file, &damaged).expect("written");

    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    let ended = refused(&cluster.scene, &mut cluster.servers[0]).exits(7).says([&*name]);
    assert!(names_offset_near(&ended.err, at), "byte {at} was changed: {}", ended.err);
    assert!(contents(cluster.servers[0].dir()).contains(&(file.clone(), damaged)), "touched");
    fs::write(file, bytes).expect("written");
    cluster.start_all();
    append(&cluster.scene, "count", cluster.port(0));
    cluster.servers[0].wait_shown("Count 21");
}

/// Whether some number in the text is an offset at, or at most one group commit before, `at`.
fn names_offset_near(text: &str, at: usize) -> bool {
    let numbers = text.split(|byte: char| !byte.is_ascii_alphanumeric());
    let value = |word: &str| match word.strip_prefix("0x") {
        Some(digits) => usize::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    };
    numbers.filter_map(value).any(|offset| (at.saturating_sub(16384)..=at).contains(&offset))
}
