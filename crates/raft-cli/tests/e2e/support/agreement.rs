//! What must hold in the end: every server processed the same messages in one order, every
//! acknowledged one exactly once.

use std::collections::BTreeMap;

use super::{Cluster, Report, append};

/// Lets every server print all messages, and compares.
pub(crate) fn agree(cluster: &Cluster, report: &Report) {
    let messages = messages_at_the_end(cluster);
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, message) in messages.iter().enumerate() {
        places.entry(message).or_default().push(place);
    }
    let count = |message: &String| places.get(&**message).map_or(0, Vec::len);
    for (index, message) in &report.acknowledged {
        let count = count(message);
        assert_eq!(count, 1, "{message}, acknowledged at index {index}, is there {count} times");
    }
    for message in &report.unknown {
        assert!(count(message) <= 1, "{message}, whose outcome is unknown, is there twice");
    }
    for message in &report.refused {
        assert_eq!(count(message), 0, "{message} was refused for certain, but it is there");
    }
    let order: Vec<_> = report.acknowledged.values().map(|message| places[&**message][0]).collect();
    assert!(order.is_sorted(), "the order of the messages is not that of their indexes");
}

/// All messages, as every running server prints them when it has processed everything.
pub(crate) fn messages_at_the_end(cluster: &Cluster) -> Vec<String> {
    let port = cluster.running()[0];
    let mark = format!("end-{}", append(&cluster.scene, "so-far", port).index());
    append(&cluster.scene, &mark, port);
    append(&cluster.scene, "print", port);
    let end = format!(" {mark} print]");
    let mut printed: Option<(u16, String)> = None;
    for server in cluster.servers.iter().filter(|server| server.is_running()) {
        let is = |line: &str| line.starts_with("Logs [") && line.ends_with(&end);
        let line = server.wait_shown_where(&format!("all messages up to {mark}"), is);
        match &printed {
            None => printed = Some((server.port, line)),
            Some((other, expected)) => {
                let differs = || first_difference(expected, &line);
                assert!(line == *expected, ":{other} and :{} differ: {}", server.port, differs());
            }
        }
    }
    let (_, line) = printed.expect("a running server");
    let inner = line.trim_start_matches("Logs [").trim_end_matches(']');
    inner.split(' ').map(str::to_owned).collect()
}

fn first_difference(left: &str, right: &str) -> String {
    let mut pairs = left.split(' ').zip(right.split(' ')).enumerate();
    match pairs.find(|(_, (left, right))| left != right) {
        Some((place, (left, right))) => format!("message {place} is {left} and {right}"),
        None => "one has more messages than the other".to_owned(),
    }
}
