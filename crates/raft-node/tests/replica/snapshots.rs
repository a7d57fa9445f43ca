//! Snapshots: when one is taken, of what, what may then go of the log, and one that a leader sent.

use bytes::Bytes;
use raft_core::{Index, Lane, LogId, NodeId, Term};
use raft_log::{Kind, encoded_len};
use raft_node::protocol::{Answer, Consistency, Reason, Refusal, Request};
use raft_node::replica::{
    Compaction, Effect, Event, Limits, Machine, SnapshotAnswer, SnapshotLimits,
};

use crate::bench::{Bench, N2, N3, told};

const NOOP: (Kind, &[u8]) = (Kind::NOOP, b"");

fn with(snapshots: SnapshotLimits) -> Bench {
    Bench::with(Limits { snapshots, ..Limits::default() }, Index(0))
}

/// n1 holds so many entries of term 2, durably; none is known to be committed.
fn holding(mut bench: Bench, entries: u64) -> Bench {
    bench.follow(LogId::default(), &vec![NOOP; entries as usize], 0);
    bench.persisted();
    bench
}

/// n1 leads term 1 with this many entries, all applied, durable, and held by n2.
fn leading(entries: u64) -> Bench {
    let mut bench = Bench::leading();
    grow(&mut bench, entries);
    bench
}

fn grow(bench: &mut Bench, entries: u64) {
    while bench.replica.applied_index().0 < entries {
        bench.session();
    }
}

impl Bench {
    fn commit(&mut self, index: u64) {
        let last = self.replica.raft().last_log_id();
        self.follow(last, &[], index);
    }

    fn written(&mut self, result: Result<u64, String>) {
        self.step(vec![Event::SnapshotWritten { result }]);
    }

    /// The snapshot that was begun.
    fn begun(&self) -> Option<LogId> {
        self.find(|effect| match effect {
            Effect::WriteSnapshot(frozen) => Some(frozen.at()),
            _ => None,
        })
    }

    fn compaction(&self) -> Option<Compaction> {
        self.find(|effect| match effect {
            Effect::Compact(compaction) => Some(*compaction),
            _ => None,
        })
    }

    /// What the sender of a snapshot is told.
    fn verdict(&self) -> Option<(NodeId, SnapshotAnswer)> {
        self.find(|effect| match effect {
            Effect::AnswerSnapshot { to, answer } => Some((*to, answer.clone())),
            _ => None,
        })
    }

    fn pruned(&self) -> Option<LogId> {
        self.find(|effect| match effect {
            Effect::PruneSnapshots(at) => Some(*at),
            _ => None,
        })
    }

    fn installed(&self) -> Option<(LogId, u64)> {
        self.find(|effect| match effect {
            Effect::Installed { at, skipped } => Some((*at, *skipped)),
            _ => None,
        })
    }

    fn sends_one_to(&self, peer: NodeId) -> bool {
        let to = |effect: &Effect| matches!(effect, Effect::SendSnapshot { peer: to, .. } if *to == peer);
        self.effects.iter().any(to)
    }

    fn find<T>(&self, what: impl Fn(&Effect) -> Option<T>) -> Option<T> {
        self.effects.iter().find_map(what)
    }

    fn link(&mut self, peer: NodeId, up: bool) {
        self.step(vec![Event::Link { peer, lane: Lane::Outbound, up }]);
    }

    /// One more snapshot, on the disk at once.
    fn snapshot(&mut self) -> LogId {
        self.ask(Request::Snapshot);
        let at = self.begun().expect("it was asked for");
        self.written(Ok(9));
        at
    }

    fn newest(&self) -> LogId {
        self.replica.status().snapshots.newest
    }
}

/// A machine that went on from a snapshot of nine entries of term 2, one of them a command.
fn machine() -> Box<Machine> {
    let mut command = [1u64; 3].map(u64::to_le_bytes).concat();
    command.push(b'a');
    let mut entries = vec![NOOP; 9];
    entries[..2].copy_from_slice(&[(Kind::SESSION, &[0]), (Kind::COMMAND, &command)]);
    let mut bench = Bench::new();
    bench.follow(LogId::default(), &entries, 9);
    bench.persisted();
    bench.ask(Request::Snapshot);
    let (at, own, state) = bench
        .find(|effect| {
            let Effect::WriteSnapshot(frozen) = effect else { return None };
            let mut state = Vec::new();
            frozen.state().write(0, &mut state).expect("a vector takes all");
            Some((frozen.at(), frozen.own(), state))
        })
        .expect("it was asked for");
    assert_eq!(at, NINTH);
    let mut machine = bench.replica.machine().fresh();
    machine.restore(at, &own, &mut &state[..]).expect("it was written here");
    Box::new(machine)
}

const NINTH: LogId = LogId { index: Index(9), term: Term(2) };

fn came(from: NodeId, term: u64) -> Event {
    Event::SnapshotCame { from, term: Term(term), machine: machine() }
}

// ---- taken here --------------------------------------------------------------------------------

#[test]
fn one_is_due_after_so_many_entries_or_bytes() {
    let entries = SnapshotLimits { entries: 3, ..SnapshotLimits::default() };
    let bytes = SnapshotLimits { bytes: 3 * encoded_len(0) as u64, ..SnapshotLimits::default() };
    for limits in [entries, bytes] {
        let mut bench = holding(with(limits), 6);
        for index in 1..=2 {
            bench.commit(index);
            assert_eq!(bench.begun(), None, "{limits:?}");
        }
        bench.commit(3);
        assert_eq!(bench.begun(), Some(LogId::new(3, 2)), "{limits:?}");
        bench.commit(5);
        bench.written(Ok(9));
        assert_eq!(bench.newest(), LogId::new(3, 2));
        assert_eq!(bench.begun(), None, "two more: {limits:?}");
        bench.commit(6);
        assert_eq!(bench.begun(), Some(LogId::new(6, 2)), "{limits:?}");
    }
}

#[test]
fn the_next_is_not_begun_while_one_is_written() {
    let mut bench = holding(with(SnapshotLimits { entries: 1, ..SnapshotLimits::default() }), 2);
    bench.commit(1);
    assert_eq!(bench.begun(), Some(LogId::new(1, 2)));
    bench.commit(2);
    assert_eq!(bench.begun(), None);
    bench.written(Ok(9));
    assert_eq!(bench.begun(), Some(LogId::new(2, 2)));
}

#[test]
fn who_asks_is_answered_when_it_is_on_the_disk() {
    let mut bench = holding(Bench::new(), 2);
    bench.commit(2);
    let first = bench.ask(Request::Snapshot);
    let at = LogId::new(2, 2);
    assert_eq!((bench.begun(), bench.answer(first)), (Some(at), None));
    let second = bench.ask(Request::Snapshot);
    assert_eq!((bench.begun(), bench.answer(second)), (None, None));
    bench.written(Ok(9));
    assert_eq!(bench.answer(first), Some(Answer::Snapshot { at, bytes: 9 }));
    // It began after that one, which holds everything all the same.
    assert_eq!(bench.answer(second), Some(Answer::Snapshot { at, bytes: 0 }));
    assert_eq!(bench.begun(), None);
}

/// A majority of others may have what the own disk lacks, and what it loses in a power cut: a
/// snapshot never goes further than the own log.
#[test]
fn one_that_is_due_waits_for_the_own_disk() {
    let mut bench = with(SnapshotLimits { entries: 2, ..SnapshotLimits::default() });
    bench.lead();
    for index in 2..=3 {
        bench.ask(Request::Register { one_shot: false });
        for peer in [N2, N3] {
            bench.matched(peer, index);
        }
        assert_eq!(bench.begun(), None, "entry {index} is not durable here");
        assert_eq!(bench.replica.applied_index(), Index(2), "nothing more is applied meanwhile");
    }
    assert!(bench.replica.is_behind() && !bench.replica.has_backlog(), "it waits for the disk");
    bench.persisted();
    assert_eq!(bench.begun(), Some(LogId::new(3, 1)));
}

#[test]
fn one_that_was_not_written_is_tried_again_later() {
    let mut bench = holding(Bench::new(), 4);
    bench.commit(2);
    let origin = bench.ask(Request::Snapshot);
    bench.written(Err("no room".into()));
    assert_eq!(bench.refusal(origin), Refusal::not_applied(Reason::DiskFull));
    assert_eq!((bench.compaction(), bench.newest()), (None, LogId::default()));
    bench.now += 9_999;
    bench.commit(3);
    assert_eq!(bench.begun(), None, "too early");
    bench.now += 1;
    bench.commit(4);
    assert_eq!(bench.begun(), Some(LogId::new(4, 2)), "nobody has to ask again");
}

// ---- the log below -----------------------------------------------------------------------------

#[test]
fn what_is_being_fed_stays_in_the_log() {
    let mut bench = Bench::leading();
    bench.matched(N3, 1);
    bench.step(vec![Event::Writable { peer: N3, writable: false }]);
    grow(&mut bench, 5);
    let through = bench.snapshot();
    assert_eq!(through, LogId::new(5, 1));
    let SnapshotLimits { keep_bytes, log_bytes_max, .. } = SnapshotLimits::default();
    let unneeded = LogId::new(1, 1);
    let expected = Compaction { through, unneeded, keep_bytes, log_bytes_max };
    assert_eq!(bench.compaction(), Some(expected));
    // Who is not connected can have a snapshot.
    bench.link(N3, false);
    grow(&mut bench, 6);
    let through = bench.snapshot();
    assert_eq!(
        bench.compaction().map(|done| (done.through, done.unneeded)),
        Some((through, through))
    );
}

/// A leader whose log begins after entry 5, and whose snapshot of that is on its way to n3.
fn sending() -> Bench {
    let mut bench = leading(5);
    bench.link(N3, false);
    let through = bench.snapshot();
    bench.step(vec![Event::Compacted { start: through }]);
    assert_eq!(bench.replica.raft().log_start(), through);
    bench.link(N3, true);
    assert!(bench.sends_one_to(N3));
    bench
}

#[test]
fn what_follows_a_snapshot_on_its_way_stays_in_the_log() {
    let at = LogId::new(5, 1);
    let answered = |answer| Event::SnapshotAnswered { peer: N3, through: at, answer };
    for (end, unneeded) in [
        (None, at),
        // It is being fed now.
        (Some(answered(SnapshotAnswer::Installed)), LogId::new(7, 1)),
        (Some(Event::SnapshotFailed { peer: N3 }), at),
    ] {
        let what = format!("{end:?}");
        let mut bench = sending();
        grow(&mut bench, 7);
        bench.step(end.into_iter().collect());
        bench.snapshot();
        let done = bench.compaction().expect("the log is compacted");
        assert_eq!((done.through, done.unneeded), (LogId::new(7, 1), unneeded), "{what}");
    }
}

#[test]
fn one_that_is_of_no_use_to_a_peer_is_written_anew_once() {
    let through = LogId::new(5, 1);
    let refuse = |bench: &mut Bench, answer| {
        bench.step(vec![Event::SnapshotAnswered { peer: N3, through, answer }]);
        bench.begun()
    };
    let useless = || SnapshotAnswer::Useless("it is damaged".into());
    let mut bench = sending();
    assert_eq!(refuse(&mut bench, SnapshotAnswer::NoRoom("no room".into())), None);
    assert_eq!(refuse(&mut bench, useless()), Some(through));
    bench.written(Ok(9));
    assert_eq!(refuse(&mut bench, useless()), None, "then it is not the file");
}

// ---- sent here ---------------------------------------------------------------------------------

#[test]
fn a_leaders_snapshot_takes_the_place_of_state_and_log() {
    let mut bench = Bench::new();
    bench.follow(LogId::default(), &[NOOP], 0);
    let earlier = bench.writes.last().expect("an entry is written").0;
    bench.step(vec![came(N2, 2)]);
    let (reset, write) = bench.writes.last().expect("the log begins anew").clone();
    assert_eq!((write.reset, write.truncate_from, write.count), (Some(NINTH), None, 0));
    assert_eq!(bench.installed(), Some((NINTH, 9)));
    assert_eq!((bench.replica.applied_index(), bench.newest()), (Index(9), NINTH));
    assert_eq!(bench.shown(), 0);
    // Rule R9: nothing is confirmed, and nothing older goes, before the reset is durable.
    assert_eq!((bench.verdict(), bench.pruned()), (None, None));
    bench.step(vec![Event::Persisted(earlier)]);
    assert_eq!((bench.verdict(), bench.pruned()), (None, None));
    bench.step(vec![Event::Persisted(reset)]);
    assert_eq!(bench.verdict(), Some((N2, SnapshotAnswer::Installed)));
    assert_eq!(bench.pruned(), Some(NINTH));
    // The log goes on behind it, and so does the state.
    bench.follow(NINTH, &[NOOP], 10);
    bench.persisted();
    let consistency = Consistency::Local;
    let query = Bytes::new();
    let origin = bench.ask(Request::Read { query, consistency, news: None });
    assert_eq!(bench.answer(origin), told(1, 10, true));
}

#[test]
fn entries_behind_a_leaders_snapshot_stay_if_they_belong_to_it() {
    let mut bench = holding(Bench::new(), 12);
    let writes = bench.writes.len();
    bench.step(vec![came(N2, 2)]);
    assert_eq!(bench.installed(), Some((NINTH, 9)));
    assert_eq!(bench.verdict(), Some((N2, SnapshotAnswer::Installed)), "all of it is durable");
    assert_eq!(bench.pruned(), Some(NINTH));
    assert!(bench.writes[writes..].iter().all(|(_, write)| write.reset.is_none()));
    assert_eq!(bench.replica.raft().last_log_id(), LogId::new(12, 2));
    bench.commit(12);
    assert_eq!(bench.replica.applied_index(), Index(12));
}

#[test]
fn a_snapshot_that_is_refused_changes_nothing() {
    let mut ahead = holding(Bench::new(), 12);
    ahead.commit(10);
    let mut later = holding(Bench::new(), 1);
    later.hear_next_leader();
    let followed = holding(Bench::new(), 1);
    let useless = SnapshotAnswer::Useless("no leader sends that".into());
    for (mut bench, from, answer) in [
        (ahead, N2, SnapshotAnswer::NotNewer { commit_index: Index(10) }),
        (later, N2, SnapshotAnswer::StaleTerm { term: Term(3) }),
        (followed, N3, useless),
    ] {
        let (applied, last) = (bench.replica.applied_index(), bench.replica.raft().last_log_id());
        bench.step(vec![came(from, 2)]);
        assert_eq!(bench.verdict(), Some((from, answer)));
        assert_eq!((bench.installed(), bench.pruned()), (None, None));
        assert_eq!(bench.replica.applied_index(), applied);
        assert_eq!(bench.replica.raft().last_log_id(), last);
    }
}
