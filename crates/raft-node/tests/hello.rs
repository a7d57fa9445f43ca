//! Who may talk to whom, sentence by sentence.

use std::collections::BTreeMap;

use raft_core::{Index, Member, Membership, NodeId};
use raft_node::binding::Boot;
use raft_node::hello::{Believed, Hello, Knowledge, Party, Protocols, Role, Welcome, check, judge};
use raft_node::protocol::Standing;
use raft_node::refused::HelloReason;

const CLUSTER: u128 = 0xc1;

/// Everything that an acceptor knows, to be changed by the tests.
struct Server {
    own: Party,
    standing: Standing,
    membership: Option<Membership>,
    committed: Option<(Index, Membership)>,
    peers: BTreeMap<NodeId, Boot>,
}

fn party(id: u64) -> Party {
    Party {
        cluster: Some(CLUSTER),
        id: Some(NodeId(id)),
        incarnation: 100 + u128::from(id),
        epoch: 3,
        nonce: 10 + id,
        address: format!(":999{id}"),
    }
}

fn new_party(id: u64) -> Party {
    Party { cluster: None, id: None, epoch: 0, ..party(id) }
}

fn membership(ids: &[u64]) -> Membership {
    let member =
        |id: u64| Member { address: format!(":999{id}"), incarnation: 100 + u128::from(id) };
    let mut membership =
        Membership::founding(ids.iter().map(|id| (NodeId(*id), member(*id))).collect());
    membership.founders = 3;
    membership
}

/// Member 2 of a cluster of three.
fn server() -> Server {
    let founders = membership(&[1, 2, 3]);
    Server {
        own: party(2),
        standing: Standing::Member,
        membership: Some(founders.clone()),
        committed: Some((Index(0), founders)),
        peers: BTreeMap::new(),
    }
}

fn new_server() -> Server {
    Server {
        own: new_party(2),
        standing: Standing::New,
        membership: None,
        committed: None,
        peers: BTreeMap::new(),
    }
}

fn hello(role: Role, from: Party) -> Hello {
    let to = Believed { id: None, incarnation: None, address: ":9992".into() };
    Hello { protocol: Protocols::OURS, role, from, to }
}

impl Server {
    fn knowledge(&self) -> Knowledge<'_> {
        Knowledge {
            own: &self.own,
            standing: self.standing,
            membership: self.membership.as_ref(),
            committed: self.committed.as_ref().map(|(at, membership)| (*at, membership)),
            peers: &self.peers,
            frame_bytes_max: 1 << 24,
        }
    }

    fn judge(&self, hello: &Hello) -> Result<(), HelloReason> {
        judge(&self.knowledge(), hello).map(|_| ()).map_err(|refused| refused.reason)
    }

    fn text(&self, hello: &Hello) -> String {
        judge(&self.knowledge(), hello).expect_err("it is refused").to_string()
    }
}

#[test]
fn a_member_is_welcome() {
    let welcome = judge(&server().knowledge(), &hello(Role::Peer, party(1))).expect("welcome");
    let expected = Welcome {
        protocol: 1,
        from: party(2),
        standing: Standing::Member,
        frame_bytes_max: 1 << 24,
    };
    assert_eq!(welcome, expected);
}

#[test]
fn the_newest_common_protocol_is_spoken() {
    let range = |min, max| Protocols { min, max };
    assert_eq!(range(1, 3).newest_common(range(2, 5)), Some(3));
    assert_eq!(range(1, 3).newest_common(range(3, 3)), Some(3));
    assert_eq!(range(1, 3).newest_common(range(4, 5)), None);
    let theirs = range(2, 3);
    let stranger = Hello { protocol: theirs, ..hello(Role::Peer, party(1)) };
    let ours = Protocols::OURS;
    assert_eq!(server().judge(&stranger), Err(HelloReason::Unsupported { ours, theirs }));
    assert_eq!(
        server().text(&stranger),
        ":9992 (n2) refuses :9991 (n1): it speaks protocol 2 to 3, and :9992 (n2) speaks 1; \
         upgrade the older one"
    );
}

#[test]
fn clusters_do_not_mix() {
    for role in [Role::Peer, Role::Client, Role::Founder, Role::Admission] {
        let other = Party { cluster: Some(0xc2), ..party(1) };
        assert_eq!(server().judge(&hello(role, other)), Err(HelloReason::WrongCluster));
    }
    let nowhere = Party { cluster: None, ..party(1) };
    assert_eq!(server().judge(&hello(Role::Peer, nowhere)), Err(HelloReason::WrongCluster));
    assert_eq!(server().judge(&hello(Role::Client, Party::default())), Ok(()));
}

#[test]
fn whoever_was_not_meant_says_so() {
    for to in [
        Believed { id: Some(NodeId(3)), ..Believed::default() },
        Believed { incarnation: Some(9), ..Believed::default() },
    ] {
        let lost = Hello { to: to.clone(), ..hello(Role::Peer, party(1)) };
        assert_eq!(server().judge(&lost), Err(HelloReason::WrongNode { believed: to }));
    }
    let address = Believed { address: "by.another.name:9992".into(), ..Believed::default() };
    let found = Hello { to: address, ..hello(Role::Peer, party(1)) };
    assert_eq!(server().judge(&found), Ok(()), "one place has many names");
}

#[test]
fn oneself_and_ones_copy_are_told_apart() {
    assert_eq!(server().judge(&hello(Role::Peer, party(2))), Err(HelloReason::Itself));
    let copy = Party { nonce: 99, ..party(2) };
    let duplicate = HelloReason::DuplicateIdentity { epoch: 3, nonce: 12 };
    assert_eq!(server().judge(&hello(Role::Peer, copy)), Err(duplicate));
    let twin = Party { incarnation: 7, ..party(2) };
    let mismatch = HelloReason::IncarnationMismatch { known: 102 };
    assert_eq!(server().judge(&hello(Role::Peer, twin)), Err(mismatch));
}

#[test]
fn a_new_server_serves_founders_clients_and_admission_alone() {
    let server = new_server();
    assert_eq!(server.judge(&hello(Role::Peer, party(1))), Err(HelloReason::New));
    assert_eq!(server.judge(&hello(Role::Founder, new_party(1))), Ok(()));
    assert_eq!(server.judge(&hello(Role::Admission, party(1))), Ok(()));
    assert_eq!(server.judge(&hello(Role::Client, Party::default())), Ok(()));
}

#[test]
fn a_member_tells_founders_that_come_late() {
    assert_eq!(server().judge(&hello(Role::Founder, new_party(1))), Ok(()));
}

#[test]
fn a_removed_server_serves_clients_and_admission_alone() {
    let at = Index(7);
    let server = Server { standing: Standing::Removed { at }, ..server() };
    let refused = Err(HelloReason::AcceptorRemoved { at });
    assert_eq!(server.judge(&hello(Role::Peer, party(1))), refused);
    assert_eq!(server.judge(&hello(Role::Founder, new_party(1))), refused);
    assert_eq!(server.judge(&hello(Role::Admission, party(1))), Ok(()));
    assert_eq!(server.judge(&hello(Role::Client, Party::default())), Ok(()));
}

#[test]
fn removed_means_absent_from_a_committed_final_configuration_that_is_not_older() {
    let mut server = server();
    let gone = hello(Role::Peer, party(3));
    server.membership = Some(membership(&[1, 2]));
    assert_eq!(server.judge(&gone), Ok(()), "not committed");
    let mut joint = membership(&[1, 2]);
    joint.old_voters = Some([NodeId(1)].into());
    server.committed = Some((Index(7), joint));
    assert_eq!(server.judge(&gone), Ok(()), "not final");
    server.committed = Some((Index(7), membership(&[1, 2])));
    assert_eq!(server.judge(&gone), Err(HelloReason::Removed { at: Index(7) }));
    assert_eq!(
        server.text(&gone),
        ":9992 (n2) refuses :9993 (n3): it was removed from the cluster at index 7; \
         to add it again: raft -C addserver -m ':9993' -S ':9992'"
    );
}

#[test]
fn an_unknown_id_is_answered() {
    // Added at index 8 (3 founders, id 11): a member that lags has not heard of it.
    let mut server = server();
    let candidate = hello(Role::Peer, party(11));
    assert_eq!(server.judge(&candidate), Ok(()));
    server.committed = Some((Index(7), membership(&[1, 2, 3])));
    assert_eq!(server.judge(&candidate), Ok(()), "the configuration is older than the id");
    server.committed = Some((Index(8), membership(&[1, 2, 3])));
    assert_eq!(server.judge(&candidate), Err(HelloReason::Removed { at: Index(8) }));
}

#[test]
fn an_id_keeps_its_directory() {
    let wiped = Party { incarnation: 7, ..party(1) };
    let mismatch = HelloReason::IncarnationMismatch { known: 101 };
    assert_eq!(server().judge(&hello(Role::Peer, wiped)), Err(mismatch));
}

#[test]
fn starts_count_up() {
    let mut server = server();
    let seen = |epoch, nonce| Boot { incarnation: 101, epoch, nonce };
    let peer = hello(Role::Peer, party(1));
    for (boot, verdict) in [
        (seen(3, 11), Ok(())),
        (seen(2, 99), Ok(())),
        (seen(4, 11), Err(HelloReason::EpochRegressed { known: 4 })),
        (seen(3, 99), Err(HelloReason::DuplicateIdentity { epoch: 3, nonce: 99 })),
    ] {
        server.peers.insert(NodeId(1), boot);
        assert_eq!(server.judge(&peer), verdict);
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    for from in [Party { id: None, ..party(1) }, Party { epoch: 0, ..party(1) }] {
        let verdict = server().judge(&hello(Role::Peer, from));
        assert!(matches!(verdict, Err(HelloReason::Invalid(_))), "{verdict:?}");
    }
}

#[test]
fn the_dialler_judges_in_turn() {
    let server = server();
    let to = Believed { id: Some(NodeId(1)), incarnation: Some(101), address: ":9991".into() };
    let hello = Hello { to: to.clone(), ..hello(Role::Peer, party(2)) };
    let answer = |from| {
        let welcome = Welcome { protocol: 1, from, standing: Standing::Member, frame_bytes_max: 1 };
        check(&server.knowledge(), &hello, &welcome).map_err(|refused| refused.reason)
    };
    assert_eq!(answer(party(1)), Ok(()));
    assert_eq!(answer(party(3)), Err(HelloReason::WrongNode { believed: to }));
    let other = Party { cluster: None, ..party(1) };
    assert_eq!(answer(other), Err(HelloReason::WrongCluster));
    let welcome =
        Welcome { protocol: 9, from: party(1), standing: Standing::Member, frame_bytes_max: 1 };
    let refused = check(&server.knowledge(), &hello, &welcome).expect_err("another protocol");
    assert!(matches!(refused.reason, HelloReason::Unsupported { .. }));
}

#[test]
fn only_the_own_cluster_can_say_removed() {
    let mut server = server();
    server.committed = Some((Index(7), membership(&[1, 2])));
    let refused = judge(&server.knowledge(), &hello(Role::Peer, party(3))).expect_err("removed");
    assert_eq!(refused.removes(&party(3)), Some(Index(7)));
    assert_eq!(refused.removes(&party(4)), None, "added again, it has another id");
    let elsewhere = Party { cluster: Some(0xc2), ..party(3) };
    assert_eq!(refused.removes(&elsewhere), None);
}
