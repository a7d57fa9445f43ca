//! What is wrong with single members, and with the change that waits for them.

use raft_node::testimony::{Asked, ChangeView, PastRefusal, PeerView, RefusedThing, Testimony};
use raft_node::{NodeStatus, Reason};

use super::judge::{About, Case, DISK_SLOW, Evidence, Finding};
use super::words;
use crate::commands::status::report::{Kind, Row};
use crate::commands::status::view::{arriving, size};

/// A member that the leader has not heard for so long, in milliseconds, does not follow.
const SILENCE: u64 = 2_000;

/// Who is refused tries again every second; after so long, in milliseconds, it was let in or ended.
const UNWELCOME: u64 = 4_000;

/// Entries on their way are no lag.
const ON_THEIR_WAY: u64 = 10_000;

/// A refusal of a change is worth a word for so long.
const CHANGE_RECENT: u64 = 60_000;

impl Case<'_> {
    pub(super) fn members(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for row in &self.report.rows {
            findings.extend(self.unwelcome(row));
            findings.extend(self.troubles(row));
            findings.extend(self.lag(row));
        }
        findings
    }

    /// A member that the others do not let in: a copy of it runs, say.
    fn unwelcome(&self, row: &Row) -> Option<Finding> {
        let is_it = |past: &PastRefusal| match &past.what {
            RefusedThing::Hello { from, .. } => Some(*from) == row.id,
            _ => false,
        };
        let refused = self.refused(|_, past| is_it(past) && past.last_ms <= UNWELCOME);
        let RefusedThing::Hello { why, .. } = &refused.first()?.1.what else { return None };
        let evidence = refused.iter().map(|(who, past)| self.evidence(&who.status, past));
        let says = format!("{} is not let in: {why}", row.address);
        Some(Finding::new(About::Member, says, evidence.collect()))
    }

    /// What `raft status` calls not well, and what the leader says of it.
    fn troubles(&self, row: &Row) -> Vec<Finding> {
        // Why nobody leads is told already, and who is silent then; how far a member is behind,
        // below.
        let nobody_leads = self.report.leader.is_none();
        let told = |kind| kind == Kind::NoLeader || (nobody_leads && is_absence(kind));
        let troubles = row.troubles.iter().filter(|trouble| !told(trouble.kind));
        let leads = row.id.is_some() && row.id == self.report.leader.as_ref().map(|(id, _)| *id);
        let troubles = troubles.filter(|trouble| {
            trouble.short != "behind" && !(leads && trouble.kind == Kind::Silent)
        });
        let finding = |text: String, evidence| {
            Finding::new(About::Member, format!("{}: {text}", row.address), evidence)
        };
        troubles
            .map(|trouble| {
                let about = self.peer(row).filter(|_| trouble.kind == Kind::Silent);
                let evidence = about.map(|(leader, peer)| self.of_leader(&leader.status, peer));
                finding(trouble.text.clone(), evidence.into_iter().collect())
            })
            .collect()
    }

    /// What the leader says of a member.
    fn peer(&self, row: &Row) -> Option<(&Testimony, &PeerView)> {
        let leader = self.leader_said()?;
        let peer = leader.peers.iter().find(|peer| Some(peer.id) == row.id)?;
        Some((leader, peer))
    }

    fn of_leader(&self, leader: &NodeStatus, peer: &PeerView) -> Evidence {
        let name = self.named(peer.id);
        let says = match (peer.connected, peer.answered_ms) {
            (false, _) => format!("leads, and has no connection to {name}"),
            (true, None) => format!("leads, and has not heard {name} in this term"),
            (true, Some(ms)) => format!("leads, and heard {name} {}", words::ago(ms)),
        };
        Evidence::now(&leader.address, says)
    }

    /// A member that answers and does not hold what the leader has committed.
    fn lag(&self, row: &Row) -> Option<Finding> {
        let (leader, peer) = self.peer(row)?;
        let own = row.id.and_then(|id| self.said_by(id))?;
        let lag = row.lag.filter(|lag| *lag > 0)?;
        let refused = own.refused.iter().filter(|past| past.last_ms <= SILENCE);
        let no_room = refused.clone().find(|past| is_no_room(past));
        let silent = !peer.connected || peer.answered_ms.is_none_or(|ms| ms > SILENCE);
        let hangs = own.write_out_ms.filter(|ms| *ms > DISK_SLOW);
        let why = if let Some(past) = no_room {
            let what = words::past(past, &|id| self.named(id));
            format!("its disk is full: it {what}")
        } else if let Some(ms) = hangs {
            format!("its disk has not ended a write for {}", words::span(ms))
        } else if let Some(text) = arriving(&own.status.snapshots) {
            text
        } else if peer.installing {
            "it lacks what the others have compacted, and waits for a snapshot".into()
        } else if silent {
            "the leader does not hear it".into()
        } else if lag > ON_THEIR_WAY {
            "it is catching up".into()
        } else {
            return None;
        };
        let evidence = [self.of_leader(&leader.status, peer)].into_iter();
        let evidence = evidence.chain(refused.map(|past| self.evidence(&own.status, past)));
        let entries = if lag == 1 { "entry" } else { "entries" };
        let says = format!("{}: behind the leader by {lag} {entries}: {why}", row.address);
        Some(Finding::new(About::Member, says, evidence.collect()))
    }

    /// Why a change of members waits, and which were refused lately.
    pub(super) fn change(&self) -> Vec<Finding> {
        let refused = self.refused(|_, past| is_refused_change(past));
        let refused = refused.into_iter().filter(|(_, past)| past.last_ms <= CHANGE_RECENT);
        let mut findings: Vec<Finding> = refused
            .map(|(who, past)| {
                let evidence = self.evidence(&who.status, past);
                let says = format!("a change of members was refused: {}", words::reason(past));
                Finding::new(About::Change, says, vec![evidence])
            })
            .collect();
        let latest = |said: &&Testimony| said.change.as_ref().map(|change| change.index);
        let by = self.leader_said().or_else(|| self.said().max_by_key(latest));
        if let Some((by, change)) = by.and_then(|by| Some((by, by.change.as_ref()?))) {
            findings.push(self.waiting(by, change));
        }
        findings
    }

    fn waiting(&self, by: &Testimony, change: &ChangeView) -> Finding {
        let ChangeView { what, about, .. } = change;
        let name = self.named(*about);
        let peer = by.peers.iter().find(|peer| peer.id == *about);
        let (why, evidence) = if self.leader_said().is_none() {
            ("a leader, who goes on with it".into(), Vec::new())
        } else if change.joint {
            let absent: Vec<&PeerView> = by.peers.iter().filter(|peer| is_absent(peer)).collect();
            let evidence = absent.iter().map(|peer| self.of_leader(&by.status, peer)).collect();
            ("a majority of the old voters and one of the new".to_owned(), evidence)
        } else if let Some(peer) = peer.filter(|peer| is_absent(peer)) {
            (format!("{name}, which does not answer"), vec![self.of_leader(&by.status, peer)])
        } else if let Some((peer, ms)) = peer.zip(change.stuck_ms) {
            let (has, of) = (peer.match_index, by.status.last_log_id.index);
            let says = format!("holds {has} of {of} entries, and came further {}", words::ago(ms));
            (format!("{name} to catch up"), vec![Evidence::now(name, says)])
        } else {
            ("a majority to store it".into(), Vec::new())
        };
        let says = format!("{what} ({}) waits for {why}", self.named(*about));
        Finding::new(About::Change, says, evidence)
    }
}

const fn is_absence(kind: Kind) -> bool {
    matches!(kind, Kind::Silent | Kind::New)
}

fn is_absent(peer: &PeerView) -> bool {
    !peer.connected || peer.answered_ms.is_none_or(|ms| ms > SILENCE)
}

const fn is_no_room(past: &PastRefusal) -> bool {
    matches!(past.what, RefusedThing::Entries { .. })
}

/// Not one that asked the wrong server, or too early: those are asked again by themselves.
fn is_refused_change(past: &PastRefusal) -> bool {
    let RefusedThing::Client { asked: Asked::Change, refusal } = &past.what else { return false };
    matches!(refusal.reason, Reason::NoNewQuorum { .. } | Reason::Unreachable { .. })
}

/// Bytes, as `raft status` writes them.
pub(super) fn bytes(count: u64) -> String {
    if count == 0 { "0 B".into() } else { size(count) }
}
