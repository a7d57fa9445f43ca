//! `raft sim`: what it shows, what it takes, and that a seed is a run.

use std::cell::Cell;
use std::process::Stdio;

use serde_json::Value;

use crate::support::Scene;

#[test]
fn a_seed_is_a_run() {
    let scene = Scene::new();
    let sim = |more: &[&str]| {
        let args = [&["sim", "--seeds", "0..20", "-o", "json"], more].concat();
        scene.json(&args)
    };
    let (one, other) = (sim(&["--threads", "1"]), sim(&["--threads", "3"]));
    assert_eq!((&one["v"], &one["runs"]), (&1.into(), &20.into()));
    assert_eq!(one["trace_hash"], other["trace_hash"]);
    assert_eq!(one["trace_hashes"].as_object().map(serde_json::Map::len), Some(1));
    assert!(one["acknowledged"].as_u64() > Some(100), "{one}");
    assert!(one["troubles"].as_object().is_some_and(|kinds| kinds.len() > 5), "{one}");
    let lines = scene.ok(&["sim", "--seeds", "0..3", "-o", "jsonl"]).out;
    assert_eq!(lines.lines().count(), 4, "a line each, and the summary\n{lines}");
}

#[test]
fn one_run_tells_its_story() {
    let scene = Scene::new();
    let trace = scene.ok(&["sim", "--seed", "3", "--trace"]).out;
    for told in ["all trouble ends", "leader, term", "commit 1", "trouble 0: "] {
        assert!(trace.contains(told), "{told}");
    }
    let drawn = scene.ok(&["sim", "--seed", "3", "--mermaid"]).out;
    assert!(drawn.starts_with("sequenceDiagram\n    participant "), "{drawn}");
    let both = scene.json(&["sim", "--seed", "3", "--trace", "--mermaid", "-o", "json"]);
    assert_eq!(both["mermaid"].as_str(), Some(drawn.as_str()));
    assert!(both["trace"].as_array().is_some_and(|lines| lines.len() > 100));
    // What is left out does not come, and nothing else is renumbered.
    let without = scene.ok(&["sim", "--seed", "3", "--trace", "--without", "0"]).out;
    assert!(!without.contains("trouble 0: ") && without.contains("trouble 1: "));
    let short = scene.ok(&["sim", "--seed", "3", "--trace", "--length", "1ms"]).out;
    assert!(!short.contains("trouble 1: "));
}

#[test]
fn too_few_probes_are_a_failure() {
    let scene = Scene::new();
    let probes = scene.ok(&["sim", "--seeds", "0..2", "--probes"]).out;
    assert!(probes.contains("a member became leader"), "{probes}");
    let done = scene.run(&["sim", "--seeds", "0..2", "--probes-min", "1000"]);
    assert_eq!(done.code, Some(1), "{}", done.err);
    assert!(done.err.contains("fewer than 1000"), "{}", done.err);
    // Nothing was requested of which it could be said that it was not applied.
    let done = scene.run(&["sim", "--seeds", "0..2", "--probes-min", "1000", "-o", "json"]);
    let told: Value = serde_json::from_str(&done.err).expect("JSON");
    assert_eq!((&told["error"]["exit"], &told["error"]["outcome"]), (&1.into(), &Value::Null));
}

#[test]
fn a_signal_ends_it_with_what_was_run() {
    let scene = Scene::new();
    let mut sim = scene.start(&["sim", "--minutes", "5", "-o", "jsonl"], Stdio::null());
    sim.wait_for("\"seed\":");
    sim.interrupt();
    // The two streams come in any order.
    let (told, summed) = (Cell::new(false), Cell::new(false));
    sim.wait(|line| {
        told.set(told.get() || line.contains("interrupted"));
        summed.set(summed.get() || line.contains("\"runs\":"));
        told.get() && summed.get()
    });
    assert_eq!(sim.wait_end().code(), Some(0));
}
