//! Power cuts: every server has a disk of its own, and the power of one, two or all of them goes
//! at any moment. Whatever was acknowledged is there afterwards, once, at its place, everywhere.
//!
//! The disks are real file systems (ext4 in a file). What such a cut does is checked here too: a
//! test on a disk that forgets nothing shows nothing.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::time::Instant;

use crate::support::{Cluster, Dice, Image, Load, Scene, agree};

#[test]
fn a_cut_takes_what_was_not_synced_and_nothing_else() {
    let scene = Scene::new();
    if !Image::are_possible(&scene) {
        return;
    }
    let image = Image::new(&scene, "disk", 16);
    let path = |name: &str| image.path().join(name);
    let directory = File::open(image.path()).unwrap();
    let mut synced = File::create(path("synced")).unwrap();
    synced.write_all(b"on the disk").unwrap();
    fs::write(path("old-name"), b"moved").unwrap();
    File::open(path("old-name")).unwrap().sync_all().unwrap();
    synced.sync_all().unwrap();
    directory.sync_all().unwrap();
    // From here on nothing is synced.
    synced.write_all(b", and in the cache").unwrap();
    fs::write(path("new"), b"in the cache").unwrap();
    fs::rename(path("old-name"), path("new-name")).unwrap();
    Image::cut([&image], 0);
    assert!(synced.write_all(b"!").and_then(|()| synced.sync_all()).is_err(), "it goes on");
    drop((synced, directory));
    image.mount_anew();
    assert_eq!(fs::read(path("synced")).unwrap(), b"on the disk");
    assert_eq!(fs::read(path("old-name")).unwrap(), b"moved");
    assert!(!path("new-name").exists() && !path("new").exists(), "a name that was not synced");
}

#[test]
fn the_power_of_all_servers_goes_at_once() {
    lose_power(15, |_| vec![0, 1, 2]);
}

#[test]
fn the_power_of_one_or_two_servers_goes() {
    lose_power(25, |dice| {
        let first = dice.below(3) as usize;
        let second = dice.below(3) as usize;
        if first == second { vec![first] } else { vec![first, second] }
    });
}

/// `rounds` cuts of those servers that `choose` names, under load and while they start.
fn lose_power(rounds: u64, choose: fn(&mut Dice) -> Vec<usize>) {
    // The disks are small and a log only grows: more cuts need more clusters.
    let clusters = if env::var_os("RAFT_TEST_LONG").is_some() { 25 } else { 1 };
    let mut dice = Dice::new();
    for _ in 0..clusters {
        let scene = Scene::new();
        if !Image::are_possible(&scene) {
            return;
        }
        lose_power_of(scene, rounds, choose, &mut dice);
    }
}

fn lose_power_of(scene: Scene, rounds: u64, choose: fn(&mut Dice) -> Vec<usize>, dice: &mut Dice) {
    let begun = Instant::now();
    let mut cluster = Cluster::on_images(scene, 3);
    cluster.start_all();
    cluster.leader();
    let load = Load::start(&cluster.running(), 4);
    for _ in 0..rounds {
        // One in four comes while the servers start, or recover from the last one.
        if dice.below(4) > 0 {
            load.wait_for_more(1 + dice.below(40));
        }
        let victims = choose(dice);
        let images = victims.iter().map(|&at| &cluster.images[at]);
        Image::cut(images, dice.below(20_000));
        if victims.len() == 1 && dice.below(2) == 0 {
            load.wait_for_more(1 + dice.below(20));
        }
        for at in victims {
            cluster.servers[at].kill();
            cluster.images[at].mount_anew();
        }
        cluster.start_all();
    }
    load.wait_for_more(30);
    let report = load.finish();
    eprintln!("{rounds} cuts in {:.1?}", begun.elapsed());
    agree(&cluster, &report);
}
