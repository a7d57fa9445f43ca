//! `/metrics`: figures for Prometheus, in its text format.
//!
//! The names are those that people alert on with etcd, below `raft_`; the unit is in the name. The
//! format is written by hand: the figures are counted by the server and only shown here, so a
//! library that counts would have nothing to do but print.

use std::fmt::{Display, Write};

use raft_node::vitals::SYNC_BUCKETS_US;
use raft_node::{Fill, NodeStatus};

/// What Prometheus is told that it gets.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All figures of a server.
pub(super) fn text(status: &NodeStatus) -> String {
    let mut page = Page(String::new());
    consensus(status, &mut page);
    log(status, &mut page);
    state(status, &mut page);
    clients_and_peers(status, &mut page);
    let vitals = &status.vitals;
    page.gauge(
        "uptime_seconds",
        "Time since the server started.",
        seconds(vitals.uptime_ms * 1000),
    );
    page.gauge("problems", "Facts that an operator should know of.", vitals.problems.len());
    page.head("info", "gauge", "Always 1; the labels say what runs.");
    let cluster = status.cluster.map(|id| format!("{id:032x}")).unwrap_or_default();
    page.sample(
        &format!(
            "info{{version=\"{}\",address=\"{}\",cluster=\"{cluster}\"}}",
            escaped(&status.version),
            escaped(&status.address)
        ),
        1,
    );
    page.0
}

fn consensus(status: &NodeStatus, page: &mut Page) {
    let last = status.last_log_id.index.0;
    let own = status.id.is_some() && status.leader.as_ref().map(|(id, _)| *id) == status.id;
    page.gauge(
        "has_leader",
        "Whether a leader is known: 1 or 0.",
        u8::from(status.leader.is_some()),
    );
    page.gauge("is_leader", "Whether this server leads: 1 or 0.", u8::from(own));
    page.counter(
        "leader_changes_seen_total",
        "Times that another leader, or none, was seen.",
        status.vitals.leader_changes,
    );
    page.gauge("term", "The current term.", status.term.0);
    page.gauge("last_index", "The last entry of the log.", last);
    page.gauge("durable_index", "The last entry that is on this disk.", status.durable_index.0);
    page.gauge(
        "commit_index",
        "The last committed entry that is known here.",
        status.commit_index.0,
    );
    page.gauge("applied_index", "The last entry that is applied here.", status.applied_index.0);
    page.counter(
        "proposals_committed_total",
        "Entries committed since the cluster began.",
        status.commit_index.0,
    );
    page.counter(
        "proposals_applied_total",
        "Entries applied since the cluster began.",
        status.applied_index.0,
    );
    page.gauge(
        "proposals_pending",
        "Entries in the log that are not committed yet.",
        last.saturating_sub(status.commit_index.0),
    );
    page.counter(
        "proposals_failed_total",
        "Requests of clients that were refused.",
        status.vitals.refused,
    );
}

fn log(status: &NodeStatus, page: &mut Page) {
    let vitals = &status.vitals;
    let name = "wal_fsync_duration_seconds";
    page.head(name, "histogram", "How long syncs of the log took.");
    let mut sum = 0;
    let counts = vitals.sync_buckets.iter().chain(std::iter::repeat(&0));
    for (bound, count) in SYNC_BUCKETS_US.iter().zip(counts) {
        sum += count;
        page.sample(&format!("{name}_bucket{{le=\"{}\"}}", seconds(*bound)), sum);
    }
    // Both from one set of figures: the count has to be that of the last bucket.
    let all: u64 = vitals.sync_buckets.iter().sum();
    page.sample(&format!("{name}_bucket{{le=\"+Inf\"}}"), all);
    page.sample(&format!("{name}_sum"), seconds(vitals.sync_total_us));
    page.sample(&format!("{name}_count"), all);
    page.counter("wal_writes_total", "Writes to the log.", vitals.log_writes);
    page.counter(
        "wal_written_bytes_total",
        "Bytes written to the log, padding included.",
        vitals.log_bytes,
    );
    page.gauge(
        "wal_free_bytes",
        "Bytes of log for which there is room already.",
        vitals.free_log_bytes,
    );
    page.gauge("db_total_size_in_bytes", "Bytes that the data directory takes.", vitals.disk_used);
    page.gauge("disk_free_bytes", "Bytes that its file system has left.", vitals.disk_free);
}

fn state(status: &NodeStatus, page: &mut Page) {
    let mut each = |name: &str, help: &str, of: fn(&Fill) -> u64| {
        page.head(name, "gauge", help);
        for fill in &status.vitals.fills {
            page.sample(&format!("{name}{{what=\"{}\"}}", escaped(&fill.what)), of(fill));
        }
    };
    each("state_bytes", "Bytes that the state machine keeps.", |fill| fill.bytes);
    each("state_max_bytes", "Bytes at which it takes no more.", |fill| fill.bytes_max);
}

fn clients_and_peers(status: &NodeStatus, page: &mut Page) {
    let vitals = &status.vitals;
    page.counter(
        "client_requests_total",
        "Requests of clients, forwarded ones included.",
        vitals.requests,
    );
    page.head(
        "client_request_duration_seconds",
        "summary",
        "How long requests took at the leader in the last minute.",
    );
    for (quantile, micros) in [("0.5", vitals.request_p50_us), ("0.99", vitals.request_p99_us)] {
        let name = format!("client_request_duration_seconds{{quantile=\"{quantile}\"}}");
        page.sample(&name, seconds(micros));
    }
    page.counter(
        "peer_appends_sent_total",
        "AppendEntries with entries that were sent.",
        vitals.appends_sent,
    );
    page.counter(
        "peer_appends_received_total",
        "AppendEntries with entries that were received.",
        vitals.appends_received,
    );
    page.counter(
        "peer_entries_sent_total",
        "Entries in those that were sent.",
        vitals.entries_sent,
    );
    page.counter(
        "network_reads_total",
        "Reads from sockets that brought something.",
        vitals.socket_reads,
    );
    page.counter(
        "network_writes_total",
        "Writes to sockets that took something.",
        vitals.socket_writes,
    );
    page.counter("wakeups_total", "Times that the server woke up.", vitals.wakeups);
    page.counter(
        "processor_seconds_total",
        "What the server's process has worked, all its threads together.",
        seconds(vitals.processor_us),
    );
}

/// Microseconds as seconds.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The value of a label between quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "# HELP raft_{name} {help}\n# TYPE raft_{name} {kind}\n");
    }

    fn sample(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "raft_{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.sample(name, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "counter", help);
        self.sample(name, value);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use raft_node::{Index, LogId, NodeId, Standing, Term, Vitals};

    use super::*;

    fn status() -> NodeStatus {
        NodeStatus {
            id: Some(NodeId(2)),
            address: "a\"b\\:9990".into(),
            cluster: Some(7),
            standing: Standing::Member,
            role: "leader".into(),
            term: Term(4),
            leader: Some((NodeId(2), ":9990".into())),
            last_log_id: LogId { term: Term(4), index: Index(12) },
            durable_index: Index(12),
            commit_index: Index(10),
            applied_index: Index(9),
            snapshots: Box::default(),
            version: "0.1.0".into(),
            vitals: Box::new(Vitals {
                uptime_ms: 1_500,
                sync_buckets: [vec![0, 3, 4], vec![0; 13], vec![1]].concat(),
                sync_total_us: 2_500_000,
                refused: 5,
                fills: vec![Fill { what: "text log".into(), bytes: 7, bytes_max: 9 }],
                ..Vitals::default()
            }),
            members: Vec::new(),
        }
    }

    /// Each sample of a family, with the family's kind; fails on whatever Prometheus would not read.
    fn parsed(text: &str) -> BTreeMap<String, (String, f64)> {
        let (mut help, mut kinds, mut samples) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, words) = rest.split_once(' ').expect("a help text");
                assert!(help.insert(name, words).is_none(), "two help texts: {line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert!(help.contains_key(name) && kinds.insert(name, kind).is_none(), "{line}");
            } else {
                let (name, value) = line.rsplit_once(' ').expect("a value");
                let bare = name.split('{').next().expect("a name");
                assert!(
                    bare.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                    "{bare}"
                );
                let ends = ["_bucket", "_sum", "_count", ""];
                let family = ends.iter().find_map(|end| kinds.get(bare.strip_suffix(end)?));
                let kind = (*family.expect("a type before each sample")).to_owned();
                let value = value.parse().expect("a number");
                assert!(samples.insert(name.to_owned(), (kind, value)).is_none(), "twice: {name}");
            }
        }
        assert_eq!(help.len(), kinds.len());
        samples
    }

    #[test]
    fn prometheus_can_read_it() {
        let samples = parsed(&text(&status()));
        let gauge = |value| ("gauge".to_owned(), value);
        let counter = |value| ("counter".to_owned(), value);
        assert_eq!(samples["raft_has_leader"], gauge(1.0));
        assert_eq!(samples["raft_is_leader"], gauge(1.0));
        assert_eq!(samples["raft_term"], gauge(4.0));
        assert_eq!(samples["raft_proposals_committed_total"], counter(10.0));
        assert_eq!(samples["raft_proposals_pending"], gauge(2.0));
        assert_eq!(samples["raft_proposals_failed_total"], counter(5.0));
        assert_eq!(samples["raft_uptime_seconds"], gauge(1.5));
        assert_eq!(samples["raft_state_bytes{what=\"text log\"}"], gauge(7.0));
        assert_eq!(samples["raft_state_max_bytes{what=\"text log\"}"], gauge(9.0));
        let info = "raft_info{version=\"0.1.0\",address=\"a\\\"b\\\\:9990\",\
                    cluster=\"00000000000000000000000000000007\"}";
        assert_eq!(samples[info], gauge(1.0));
    }

    #[test]
    fn operations_alerts_on_what_there_is() {
        let samples = parsed(&text(&status()));
        let document = include_str!("../../../../docs/operations.md");
        let words = document.split(|c: char| !c.is_ascii_lowercase() && c != '_');
        let names: Vec<&str> = words.filter(|word| word.starts_with("raft_")).collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            let is = |sample: &String| sample.split('{').next() == Some(name);
            assert!(samples.keys().any(is), "docs/operations.md names {name}");
        }
    }

    #[test]
    fn the_histogram_adds_up() {
        let samples = parsed(&text(&status()));
        let bucket = |le: &str| {
            samples[&format!("raft_wal_fsync_duration_seconds_bucket{{le=\"{le}\"}}")].1 as u64
        };
        assert_eq!((bucket("0.00005"), bucket("0.0001"), bucket("0.0002")), (0, 3, 7));
        assert_eq!((bucket("1.6384"), bucket("+Inf")), (7, 8));
        assert_eq!(samples["raft_wal_fsync_duration_seconds_count"].1 as u64, 8);
        assert_eq!(samples["raft_wal_fsync_duration_seconds_sum"], ("histogram".into(), 2.5));
    }

    #[test]
    fn a_server_without_a_cluster_has_figures_too() {
        let mut status = status();
        (status.id, status.leader, status.cluster) = (None, None, None);
        *status.vitals = Vitals::default();
        let samples = parsed(&text(&status));
        assert_eq!(samples["raft_is_leader"].1 as u64, 0);
        assert_eq!(samples["raft_wal_fsync_duration_seconds_count"].1 as u64, 0);
    }
}
