//! Members come, go and move: what is asked of the core, who is asked before, what is answered.

use raft_core::{Lane, NodeId};
use raft_node::RequestId;
use raft_node::protocol::{
    Answer, Changed, MemberChange, MemberName, Outcome, Reason, Refusal, Request,
};
use raft_node::replica::{Effect, Event, Origin};

use crate::bench::{Bench, N1, N2, N3};

/// The id of a member that the second entry adds: three founders and its index.
const N5: NodeId = NodeId(5);

fn by_id(id: NodeId) -> MemberName {
    MemberName::Id(id)
}

fn by_address(address: &str) -> MemberName {
    MemberName::Address(address.into())
}

fn replace(old: MemberName, new: &str) -> MemberChange {
    MemberChange::Replace { old, new: new.into() }
}

fn update(member: MemberName, address: &str) -> MemberChange {
    MemberChange::Update { member, address: address.into() }
}

impl Bench {
    fn change(&mut self, name: u128, change: MemberChange) -> Origin {
        self.ask(Request::Change { request: RequestId(name), change })
    }

    /// Whom the replica wants to meet.
    fn meets(&self) -> Option<(u64, String)> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Meet { request, address } => Some((*request, address.clone())),
            _ => None,
        })
    }

    /// The server at the address that was asked for is this one.
    fn meet(&mut self, address: &str, incarnation: u128) {
        let (request, asked) = self.meets().expect("somebody is asked");
        assert_eq!(asked, address);
        self.step(vec![Event::Met { request, result: Ok(incarnation) }]);
    }

    /// All of these confirm all there is, until the change has ended.
    fn ends(&mut self, origin: Origin, confirming: &[NodeId]) -> Answer {
        for _ in 0..8 {
            self.persisted();
            if let Some(answer) = self.answer(origin) {
                return answer;
            }
            for peer in confirming {
                let last = self.replica.raft().last_log_id().index.0;
                self.matched(*peer, last);
                if let Some(answer) = self.answer(origin) {
                    return answer;
                }
            }
        }
        panic!("no end: {:?}", self.replica.raft().membership());
    }

    fn refused(&self, origin: Origin, reason: Reason) {
        assert_eq!(self.refusal(origin), Refusal::not_applied(reason));
    }
}

#[test]
fn a_voter_becomes_a_learner_and_a_voter_again() {
    let mut bench = Bench::leading();
    let origin = bench.change(1, MemberChange::Demote(by_id(N3)));
    let address = || String::from(":9993");
    let demoted = Changed::Demoted { id: N3, address: address() };
    assert_eq!(bench.ends(origin, &[N2]), Answer::Changed(demoted));
    let membership = bench.replica.raft().membership().clone();
    assert!(membership.members.contains_key(&N3) && !membership.voters.contains(&N3));

    let again = bench.change(2, MemberChange::Demote(by_address(":9993")));
    let already = Changed::AlreadyLearner { id: N3, address: address() };
    assert_eq!(bench.answer(again), Some(Answer::Changed(already)));
    let replaced = bench.change(3, replace(by_id(N3), ":9994"));
    bench.meet(":9994", 4);
    bench.refused(replaced, Reason::NotVoter { address: "n3".into() });

    // It is connected: nobody has to ask who it is.
    let origin = bench.change(4, MemberChange::Add(address()));
    assert_eq!(bench.meets(), None);
    let added = Changed::Added { id: N3, address: address() };
    assert_eq!(bench.ends(origin, &[N2, N3]), Answer::Changed(added));
}

#[test]
fn a_wiped_member_is_replaced_at_its_address() {
    let mut bench = Bench::leading();
    let origin = bench.change(1, replace(by_address(":9993"), ":9993"));
    bench.meet(":9993", 33);
    bench.step(vec![Event::Link { peer: N5, lane: Lane::Outbound, up: true }]);
    // Whoever asks once more waits for the same end, and meets nobody.
    let other = bench.change(2, replace(by_id(N3), ":9993"));
    assert_eq!((bench.meets(), bench.answer(other)), (None, None));
    // By the address the member is meant that is on its way out.
    let removal = bench.change(3, MemberChange::Remove(by_address(":9993")));
    bench.refused(removal, Reason::ChangeInProgress);

    let replaced = Answer::Changed(Changed::Replaced {
        id: N5,
        address: ":9993".into(),
        old: N3,
        old_address: ":9993".into(),
    });
    assert_eq!(bench.ends(origin, &[N2, N5]), replaced);
    assert_eq!(bench.answer(other), Some(replaced.clone()));
    let membership = bench.replica.raft().membership();
    assert_eq!(membership.voters, [N1, N2, N5].into());
    assert!(!membership.members.contains_key(&N3));
    // The first answer, however often it is asked for.
    let repeated = bench.change(1, replace(by_address(":9993"), ":9993"));
    assert_eq!((bench.meets(), bench.answer(repeated)), (None, Some(replaced)));
}

#[test]
fn only_one_that_is_no_voter_yet_takes_another_ones_place() {
    let mut bench = Bench::leading();
    let origin = bench.change(1, replace(by_id(N3), ":9992"));
    bench.refused(origin, Reason::AddressTaken { address: ":9992".into() });
    let origin = bench.change(2, replace(by_id(N5), ":9994"));
    bench.refused(origin, Reason::NotMember { address: "n5".into() });
    let origin = bench.change(3, replace(by_id(N3), "elsewhere:9994"));
    bench.refused(origin, Reason::HostlessCluster { address: "elsewhere:9994".into() });

    bench.matched(N3, 1);
    let origin = bench.change(4, MemberChange::Demote(by_id(N2)));
    bench.ends(origin, &[N2, N3]);
    let origin = bench.change(5, replace(by_id(N3), ":9992"));
    let answer = bench.ends(origin, &[N2, N3]);
    assert!(matches!(answer, Answer::Changed(Changed::Replaced { id: N2, old: N3, .. })));
}

#[test]
fn a_member_moves_to_an_address_that_nobody_has() {
    let mut bench = Bench::leading();
    let origin = bench.change(1, update(by_id(N3), ":9992"));
    bench.refused(origin, Reason::AddressTaken { address: ":9992".into() });
    for address in ["9995", "elsewhere:9995"] {
        let origin = bench.change(2, update(by_id(N3), address));
        assert_eq!(bench.refusal(origin).outcome, Outcome::NotApplied);
    }
    let origin = bench.change(3, update(by_address(":9993"), ":9995"));
    let updated = Changed::Updated { id: N3, address: ":9995".into() };
    assert_eq!(bench.ends(origin, &[N2]), Answer::Changed(updated));
    assert_eq!(bench.replica.address_of(N3), Some(":9995"));
    let again = bench.change(4, update(by_id(N3), ":9995"));
    let already = Changed::AlreadyMember { id: N3, address: ":9995".into() };
    assert_eq!(bench.answer(again), Some(Answer::Changed(already)));
}

#[test]
fn who_is_to_be_added_at_the_address_of_a_silent_member_is_asked_first() {
    let mut bench = Bench::leading();
    let silence = vec![Event::Link { peer: N3, lane: Lane::Outbound, up: false }];
    bench.step(silence);
    let new = bench.change(1, MemberChange::Add(":9993".into()));
    bench.meet(":9993", 33);
    bench.refused(new, Reason::AddressTaken { address: ":9993".into() });

    let same = bench.change(2, MemberChange::Add(":9993".into()));
    let (request, _) = bench.meets().expect("it is asked again");
    let gone = Reason::Unreachable { address: ":9993".into(), error: "nobody".into() };
    bench.step(vec![Event::Met { request, result: Err(gone) }]);
    let already = Changed::AlreadyMember { id: N3, address: ":9993".into() };
    assert_eq!(bench.answer(same), Some(Answer::Changed(already)));
}

#[test]
fn the_last_voter_stays() {
    let mut bench = Bench::leading();
    for (name, id, confirming) in [(1, N3, [N2]), (2, N2, [N2])] {
        let origin = bench.change(name, MemberChange::Demote(by_id(id)));
        bench.ends(origin, &confirming);
    }
    for change in [MemberChange::Demote(by_id(N1)), MemberChange::Remove(by_id(N1))] {
        let origin = bench.change(3, change);
        bench.refused(origin, Reason::LastMember);
    }
}
