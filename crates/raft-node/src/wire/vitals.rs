//! The answers of an observer: `Vitals` and `Recent`.

use bytes::Bytes;
use raft_core::{Index, Term};

use super::WireError;
use super::body::Fields;
use super::view::StatusBody;
use crate::state_machine::Fill;
use crate::vitals::{Recent, RecentEvent, TailEntry, Vitals};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct VitalsBody {
    #[prost(uint64, tag = "1")]
    uptime_ms: u64,
    #[prost(uint64, tag = "2")]
    syncs: u64,
    #[prost(uint64, tag = "3")]
    log_writes: u64,
    #[prost(uint64, tag = "4")]
    log_bytes: u64,
    #[prost(uint64, tag = "5")]
    appends_sent: u64,
    #[prost(uint64, tag = "6")]
    appends_received: u64,
    #[prost(uint64, tag = "7")]
    entries_sent: u64,
    #[prost(uint64, tag = "8")]
    socket_reads: u64,
    #[prost(uint64, tag = "9")]
    socket_writes: u64,
    #[prost(uint64, tag = "10")]
    requests: u64,
    #[prost(uint64, tag = "11")]
    refused: u64,
    #[prost(uint64, tag = "12")]
    wakeups: u64,
    #[prost(uint64, tag = "13")]
    leader_changes: u64,
    #[prost(uint64, tag = "14")]
    sync_p50_us: u64,
    #[prost(uint64, tag = "15")]
    sync_p99_us: u64,
    #[prost(uint64, tag = "16")]
    sync_max_us: u64,
    #[prost(uint64, tag = "17")]
    request_p50_us: u64,
    #[prost(uint64, tag = "18")]
    request_p99_us: u64,
    #[prost(uint64, repeated, tag = "19")]
    sync_buckets: Vec<u64>,
    #[prost(uint64, tag = "20")]
    sync_total_us: u64,
    #[prost(uint64, tag = "21")]
    disk_used: u64,
    #[prost(uint64, tag = "22")]
    disk_free: u64,
    #[prost(uint64, tag = "23")]
    free_log_bytes: u64,
    #[prost(string, repeated, tag = "24")]
    problems: Vec<String>,
    #[prost(uint64, tag = "25")]
    processor_us: u64,
    #[prost(message, repeated, tag = "26")]
    fills: Vec<FillBody>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FillBody {
    #[prost(string, tag = "1")]
    what: String,
    #[prost(uint64, tag = "2")]
    bytes: u64,
    #[prost(uint64, tag = "3")]
    bytes_max: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RecentBody {
    #[prost(message, optional, tag = "1")]
    status: Option<StatusBody>,
    #[prost(message, repeated, tag = "2")]
    events: Vec<EventBody>,
    #[prost(message, repeated, tag = "3")]
    tail: Vec<TailBody>,
    #[prost(uint64, tag = "4")]
    after: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct EventBody {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(uint64, tag = "2")]
    at_ms: u64,
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(string, tag = "4")]
    text: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TailBody {
    #[prost(uint64, tag = "1")]
    index: u64,
    #[prost(uint64, tag = "2")]
    term: u64,
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(bytes = "bytes", tag = "4")]
    text: Bytes,
    #[prost(uint64, tag = "5")]
    size: u64,
}

/// Both ways, field by field: the two structs say the same.
macro_rules! same_fields {
    ($from:ty, $to:ty, $($field:ident),+ $(; $($list:ident),+)?) => {
        impl From<$from> for $to {
            fn from(from: $from) -> Self {
                Self {
                    $($field: from.$field,)+
                    $($($list: from.$list.into_iter().map(Into::into).collect(),)+)?
                }
            }
        }
        impl From<$to> for $from {
            fn from(from: $to) -> Self {
                Self {
                    $($field: from.$field,)+
                    $($($list: from.$list.into_iter().map(Into::into).collect(),)+)?
                }
            }
        }
    };
}

same_fields!(
    Vitals,
    VitalsBody,
    uptime_ms,
    syncs,
    log_writes,
    log_bytes,
    appends_sent,
    appends_received,
    entries_sent,
    socket_reads,
    socket_writes,
    requests,
    refused,
    wakeups,
    leader_changes,
    sync_p50_us,
    sync_p99_us,
    sync_max_us,
    request_p50_us,
    request_p99_us,
    sync_buckets,
    sync_total_us,
    disk_used,
    disk_free,
    free_log_bytes,
    problems,
    processor_us;
    fills
);
same_fields!(Fill, FillBody, what, bytes, bytes_max);
same_fields!(RecentEvent, EventBody, number, at_ms, kind, text);

impl From<&TailEntry> for TailBody {
    fn from(entry: &TailEntry) -> Self {
        Self {
            index: entry.index.0,
            term: entry.term.0,
            kind: entry.kind.clone(),
            text: entry.text.clone(),
            size: entry.size,
        }
    }
}

impl From<TailBody> for TailEntry {
    fn from(body: TailBody) -> Self {
        let TailBody { index, term, kind, text, size } = body;
        Self { index: Index(index), term: Term(term), kind, text, size }
    }
}

impl From<&Recent> for RecentBody {
    fn from(recent: &Recent) -> Self {
        Self {
            status: Some((&recent.status).into()),
            events: recent.events.iter().cloned().map(EventBody::from).collect(),
            tail: recent.tail.iter().map(TailBody::from).collect(),
            after: recent.after,
        }
    }
}

impl RecentBody {
    pub(super) fn validate(self, fields: Fields) -> Result<Recent, WireError> {
        Ok(Recent {
            status: fields.known(self.status, "a status that is not there:")?.validate(fields)?,
            events: self.events.into_iter().map(RecentEvent::from).collect(),
            tail: self.tail.into_iter().map(TailEntry::from).collect(),
            after: self.after,
        })
    }
}
