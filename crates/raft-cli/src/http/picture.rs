//! The cluster as a page shows it: every member's own words, put together.

use std::collections::{BTreeSet, VecDeque};

use raft_node::{MemberRow, MembersView, NodeStatus, Recent, Standing, TailEntry};
use serde_json::{Map, Value, json};

use crate::output::versioned;

/// Events that a new page gets.
const EVENTS_MAX: usize = 300;

/// Something that was seen.
pub(super) enum Sight {
    /// The leader says who the members are.
    Members(MembersView),
    /// A member answered, or did not.
    Member { address: String, answer: Result<Box<Recent>, String> },
}

/// What is known.
pub(super) struct Picture {
    own: String,
    view: Option<MembersView>,
    members: Vec<Member>,
    /// The last events, and how many of them are new.
    events: VecDeque<Value>,
    new_events: usize,
}

struct Member {
    address: String,
    row: Option<MemberRow>,
    status: Option<NodeStatus>,
    /// Why it does not answer.
    error: Option<String>,
    tail: Vec<TailEntry>,
    tail_is_new: bool,
}

impl Picture {
    /// Nothing is known but some addresses.
    pub(super) fn new(own: String, known: &[String]) -> Self {
        let mut picture = Self {
            own: own.clone(),
            view: None,
            members: Vec::new(),
            events: VecDeque::new(),
            new_events: 0,
        };
        for address in known.iter().chain([&own]) {
            picture.member(address);
        }
        picture
    }

    /// Who has to be asked.
    pub(super) fn addresses(&self) -> BTreeSet<String> {
        self.members.iter().map(|member| member.address.clone()).collect()
    }

    /// Puts it into the picture.
    pub(super) fn take(&mut self, sight: Sight, now: i64) {
        match sight {
            Sight::Members(view) => self.take_members(view),
            Sight::Member { address, answer: Ok(recent) } => {
                self.take_answer(&address, *recent, now)
            }
            Sight::Member { address, answer: Err(error) } => {
                let Some(member) = self.find(&address) else { return };
                let news = member.error.is_none();
                member.error = Some(error.clone());
                if news {
                    self.event(
                        &address,
                        now,
                        "watch",
                        &format!("{address} does not answer: {error}"),
                    );
                }
            }
        }
    }

    fn take_members(&mut self, view: MembersView) {
        for row in &view.members {
            self.member(&row.address).row = Some(row.clone());
        }
        let own = self.own.clone();
        let is_in = |member: &Member| {
            member.address == own || view.members.iter().any(|row| row.address == member.address)
        };
        self.members.retain(is_in);
        for member in &mut self.members {
            member.row = view.members.iter().find(|row| row.address == member.address).cloned();
        }
        // By id, as everywhere; who has none yet comes last.
        self.members.sort_by_key(|member| member.row.as_ref().map_or(u64::MAX, |row| row.id.0));
        self.view = Some(view);
    }

    fn take_answer(&mut self, address: &str, mut recent: Recent, now: i64) {
        let Some(member) = self.find(address) else { return };
        let started = now - i64::try_from(recent.status.vitals.uptime_ms).unwrap_or(0);
        let known = std::mem::take(&mut recent.status.members);
        let again = member
            .status
            .as_ref()
            .is_some_and(|before| before.vitals.uptime_ms > recent.status.vitals.uptime_ms);
        let back = member.error.take().is_some() && member.status.is_some() && !again;
        if member.tail != recent.tail {
            member.tail = recent.tail;
            member.tail_is_new = true;
        }
        member.status = Some(recent.status);
        if again {
            self.event(address, now, "watch", &format!("{address} was started again"));
        } else if back {
            self.event(address, now, "watch", &format!("{address} answers again"));
        }
        // Where nobody leads, members name each other.
        if self.view.is_none() {
            for other in &known {
                self.member(&other.address);
            }
        }
        for event in recent.events {
            let at = started + i64::try_from(event.at_ms).unwrap_or(0);
            self.event(address, at.min(now), &event.kind, &event.text);
        }
    }

    fn event(&mut self, member: &str, time: i64, kind: &str, text: &str) {
        self.events.push_back(json!({
            "member": member, "time": time, "kind": kind, "text": text,
        }));
        self.new_events += 1;
        if self.events.len() > EVENTS_MAX {
            self.events.pop_front();
        }
    }

    fn find(&mut self, address: &str) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.address == address)
    }

    fn member(&mut self, address: &str) -> &mut Member {
        let at = self.members.iter().position(|member| member.address == address);
        let at = at.unwrap_or_else(|| {
            self.members.push(Member {
                address: address.to_owned(),
                row: None,
                status: None,
                error: None,
                tail: Vec::new(),
                tail_is_new: false,
            });
            self.members.len() - 1
        });
        &mut self.members[at]
    }

    /// All that is known, for one who has just begun to look.
    pub(super) fn whole(&self, now: i64) -> String {
        let members = self.members.iter().map(|member| member.object(&self.own, true));
        self.document(now, members.collect(), self.events.iter().cloned().collect())
    }

    /// What changed since the last news: figures always, logs and events if there are new ones.
    pub(super) fn news(&mut self, now: i64) -> String {
        let object = |member: &Member| member.object(&self.own, member.tail_is_new);
        let members = self.members.iter().map(object).collect();
        let new = self.new_events.min(self.events.len());
        let events = self.events.iter().skip(self.events.len() - new).cloned().collect();
        let text = self.document(now, members, events);
        self.new_events = 0;
        self.members.iter_mut().for_each(|member| member.tail_is_new = false);
        text
    }

    fn document(&self, now: i64, members: Vec<Value>, events: Vec<Value>) -> String {
        let view = self.view.as_ref();
        versioned(json!({
            "time": now,
            "own": self.own,
            "joint": view.is_some_and(|view| view.joint),
            "job": view.and_then(|view| view.job.as_deref()),
            "members": members,
            "events": events,
        }))
        .to_string()
    }
}

impl Member {
    fn object(&self, own: &str, with_tail: bool) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| drop(object.insert(name.into(), value));
        put("address", self.address.clone().into());
        put("own", (self.address == own).into());
        put("error", self.error.clone().into());
        put("voter", self.row.as_ref().is_none_or(|row| row.voter || row.outgoing).into());
        put("leaving", self.row.as_ref().is_some_and(|row| row.outgoing && !row.voter).into());
        put("id", self.row.as_ref().map(|row| row.id.0).into());
        if let Some(status) = &self.status {
            put("status", figures(status));
        }
        if with_tail {
            put("tail", self.tail.iter().map(entry).collect());
        }
        object.into()
    }
}

fn figures(status: &NodeStatus) -> Value {
    let vitals = &status.vitals;
    json!({
        "id": status.id.map(|id| id.0),
        "cluster": status.cluster.map(|id| format!("{id:032x}")),
        "role": match status.standing {
            Standing::New => "waiting",
            Standing::Removed { .. } => "removed",
            Standing::Member => &status.role,
        },
        "term": status.term.0,
        "leader": status.leader.as_ref().map(|(_, address)| address),
        "last_index": status.last_log_id.index.0,
        "durable_index": status.durable_index.0,
        "commit_index": status.commit_index.0,
        "applied_index": status.applied_index.0,
        "version": status.version,
        "uptime_ms": vitals.uptime_ms,
        "appends_sent": vitals.appends_sent,
        "appends_received": vitals.appends_received,
        "sync_p50_us": vitals.sync_p50_us,
        "sync_p99_us": vitals.sync_p99_us,
        "request_p50_us": vitals.request_p50_us,
        "request_p99_us": vitals.request_p99_us,
        "disk_used": vitals.disk_used,
        "disk_free": vitals.disk_free,
        "problems": vitals.problems,
    })
}

/// Index, term, kind, text, size. The text may end within a letter, which is left out.
fn entry(entry: &TailEntry) -> Value {
    let text = match entry.text.split_first() {
        Some((&raft_store::MESSAGE_FORMAT, text)) => text,
        Some((&raft_store::TXN_FORMAT, _)) => b"a transaction",
        _ => &entry.text,
    };
    let text = String::from_utf8_lossy(text);
    let text = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
    json!([entry.index.0, entry.term.0, entry.kind, text, entry.size])
}

#[cfg(test)]
mod tests {
    use raft_node::{Index, LogId, NodeId, RecentEvent, Term, Vitals};

    use super::*;

    fn recent(uptime_ms: u64, events: &[&str], tail: &[u64]) -> Sight {
        let event = |text: &&str| RecentEvent {
            number: 1,
            at_ms: uptime_ms,
            kind: "role".into(),
            text: (*text).into(),
        };
        let entry = |index: &u64| TailEntry {
            index: Index(*index),
            term: Term(1),
            kind: "command".into(),
            // Half of a letter at the end.
            text: raft_store::message(&"I like caf\u{e9}".as_bytes()[..11]),
            size: 36,
        };
        let status = NodeStatus {
            id: Some(NodeId(1)),
            address: ":9990".into(),
            cluster: Some(7),
            standing: Standing::Member,
            role: "leader".into(),
            term: Term(1),
            leader: None,
            last_log_id: LogId::default(),
            durable_index: Index(0),
            commit_index: Index(0),
            applied_index: Index(0),
            snapshots: Box::default(),
            version: "0.1.0".into(),
            vitals: Box::new(Vitals { uptime_ms, ..Vitals::default() }),
            members: Vec::new(),
        };
        let events = events.iter().map(event).collect();
        let tail = tail.iter().map(entry).collect();
        let answer = Ok(Box::new(Recent { status, after: 0, events, tail }));
        Sight::Member { address: ":9990".into(), answer }
    }

    fn silence() -> Sight {
        Sight::Member { address: ":9990".into(), answer: Err("nobody listens there".into()) }
    }

    fn news(picture: &mut Picture) -> Value {
        serde_json::from_str(&picture.news(9_000)).expect("JSON")
    }

    fn texts(document: &Value) -> Vec<&str> {
        let events = document["events"].as_array().expect("a list");
        events.iter().filter_map(|event| event["text"].as_str()).collect()
    }

    #[test]
    fn news_are_told_once() {
        let mut picture = Picture::new(":9990".into(), &[":9990".into(), ":9991".into()]);
        picture.take(recent(1_000, &["it leads"], &[1, 2]), 9_000);
        let first = news(&mut picture);
        assert_eq!(texts(&first), ["it leads"]);
        assert_eq!(first["members"][0]["tail"][0], json!([1, 1, "command", "I like caf", 36]));
        picture.take(recent(1_200, &[], &[1, 2]), 9_200);
        let second = news(&mut picture);
        assert_eq!(texts(&second), Vec::<&str>::new());
        assert_eq!(second["members"][0].get("tail"), None);
        // Who comes later gets all of it.
        let whole: Value = serde_json::from_str(&picture.whole(9_200)).expect("JSON");
        assert_eq!(texts(&whole), ["it leads"]);
        assert_eq!(whole["members"][0]["tail"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn silence_and_new_starts_are_events() {
        let mut picture = Picture::new(":9990".into(), &[]);
        picture.take(recent(5_000, &[], &[]), 5_000);
        picture.take(silence(), 6_000);
        picture.take(silence(), 7_000);
        picture.take(recent(7_500, &[], &[]), 7_500);
        picture.take(silence(), 8_000);
        picture.take(recent(10, &["it follows"], &[]), 9_000);
        let all = news(&mut picture);
        let silent = ":9990 does not answer: nobody listens there";
        let expected =
            [silent, ":9990 answers again", silent, ":9990 was started again", "it follows"];
        assert_eq!(texts(&all), expected);
        assert_eq!(all["events"][4]["time"], 9_000);
    }
}
