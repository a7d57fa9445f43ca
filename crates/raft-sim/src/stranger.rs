//! Strangers: servers outside of the simulation that dial a member with a directory that does not
//! belong there. Only their first word is played, and it must be refused: what such a server would
//! do as a member (it forgot votes, it is there twice) is what the refusal is for.

use bytes::Bytes;
use raft_core::NodeId;
use raft_log::PeerBoot;
use raft_node::hello::{Believed, Hello, Party, Protocols, Role};
use raft_node::random::Random;
use raft_node::resident::Member;
use raft_node::wire::Frame;

use crate::chance::pick;
use crate::clock::Happening;
use crate::cluster::Cluster;
use crate::host::{Incoming, address};
use crate::network::{End, Place, WireId};

/// What is wrong with a stranger's directory.
#[derive(Clone, Copy, Debug)]
enum Claim {
    /// It is of another cluster, whose leader wants to add the server that it dials.
    OtherCluster,
    /// It was made anew, and says that it is a member's.
    OtherIncarnation,
    /// It is a copy of a member's from before its last start.
    OlderStart,
    /// It is a copy of a member's, started as often as that.
    Twin,
}

impl Cluster {
    /// A stranger dials a member. Says who it claims to be.
    pub(crate) fn stranger_dials(
        &mut self,
        number: u32,
        host: usize,
        random: &mut Random,
    ) -> Option<String> {
        let claim = [Claim::OtherCluster, Claim::OtherIncarnation, Claim::OlderStart, Claim::Twin];
        let claim = pick(random, claim);
        let peers = self.world.checkers.starts_known_to(host);
        let hello = hello(claim, self.hosts[host].member()?, peers, random)?;
        let text = format!("{claim:?} at {}: {}", address(host), hello.from);
        let wire = self.world.network.connect(Place::Stranger(number), Place::Host(host));
        self.tell(host, Incoming::Accepted(wire));
        self.world.send((wire, End::Dialler), Frame::Hello(hello).encode());
        let patience = 2 * self.world.settings.t;
        self.world.clock.after(patience, Happening::Snap(wire));
        Some(text)
    }

    /// A member answers a stranger.
    pub(crate) fn stranger_hears(&mut self, wire: WireId, bytes: &Bytes) {
        match self.world.receive(wire, End::Dialler, bytes) {
            None => {}
            Some(Ok(frames)) => {
                for frame in frames {
                    if !matches!(frame, Frame::Refused(_)) {
                        let what = format!("a stranger is not refused, but told {frame:?}");
                        self.world.checkers.fail("strangers", what);
                    }
                }
            }
            Some(Err(_)) if self.world.network.is_spoilt(wire, End::Dialler) => {
                self.world.checkers.probe("spoilt frame noticed");
            }
            Some(Err(what)) => self.world.checkers.fail("codec", what),
        }
    }
}

/// What it says to this member, if that knows enough to see what is wrong: a copy of a server that
/// it never saw is as good as that server.
fn hello(claim: Claim, to: &Member, peers: &[PeerBoot], random: &mut Random) -> Option<Hello> {
    let (me, members) = (to.identity(), &to.replica().raft().membership().members);
    let known: Vec<&PeerBoot> =
        peers.iter().filter(|peer| members.contains_key(&peer.id) && peer.id != me.id).collect();
    let peer = known.get(random.below(known.len() as u64) as usize);
    let (cluster, other) = (me.cluster, u128::from(random.next_u64()));
    let of_peer = |epoch: u64| {
        let peer = peer?;
        let (id, incarnation) = (Some(peer.id), peer.incarnation);
        Some(Party { cluster: Some(cluster), id, incarnation, epoch, ..Party::default() })
    };
    let from = match claim {
        Claim::OtherCluster => {
            let (cluster, id) = (Some(other), Some(NodeId(1 + random.below(7))));
            Party { cluster, id, incarnation: other ^ 1, epoch: 1, ..Party::default() }
        }
        Claim::OtherIncarnation => {
            Party { incarnation: other, ..of_peer(1 + random.below(peer?.epoch + 2))? }
        }
        Claim::OlderStart => of_peer(1 + random.below(peer?.epoch.checked_sub(2)? + 1))?,
        Claim::Twin => of_peer(peer?.epoch)?,
    };
    let role = match claim {
        Claim::OtherCluster => Role::Admission,
        _ => Role::Peer,
    };
    let from = Party { nonce: random.next_u64(), address: ":9000".into(), ..from };
    // What a stranger knows of whom it dials is its own business.
    let to = Believed { id: None, incarnation: None, address: me.address.clone() };
    Some(Hello { protocol: Protocols::OURS, role, from, to })
}
