//! A server outside of a cluster: it waits to be added, and tells clients so.

use std::collections::BTreeMap;

use raft_core::{Index, LogId, NodeId, Term};
use raft_log::{MemberIdentity, NodeState};
use raft_node::founding::Founder;
use raft_node::hello::{self, Hello, Knowledge, Role};
use raft_node::wire::{Admit, FRAME_BYTES_MAX, Frame};
use raft_node::{Answer, NodeStatus, Reason, Refusal, Reply, Request, Standing};

use super::{Fate, Party, Process};
use crate::network::WireId;
use crate::world::World;

impl Process {
    fn standing(&self) -> Standing {
        match self.dir.identity() {
            NodeState::Removed(_, at) => Standing::Removed { at: *at },
            NodeState::Member(_) => Standing::Member,
            NodeState::New { .. } => Standing::New,
        }
    }

    pub(super) fn lobby_frame(
        &mut self,
        world: &mut World,
        wire: WireId,
        party: &Party,
        frame: Frame,
    ) {
        match (party, frame) {
            (Party::Stranger, Frame::Hello(hello)) => self.lobby_hello(world, wire, &hello),
            (Party::Client, Frame::Request { id, request }) => {
                let reply = self.lobby_answer(&request);
                self.push(world, wire, &Frame::Reply { id, reply });
            }
            (Party::Admission, Frame::Admit(admit)) => self.admitted(world, admit),
            _ => self.drop_line(world, wire),
        }
    }

    fn lobby_hello(&mut self, world: &mut World, wire: WireId, hello: &Hello) {
        let known = Knowledge {
            own: &self.identity(),
            standing: self.standing(),
            membership: None,
            committed: None,
            peers: &BTreeMap::new(),
            frame_bytes_max: u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX),
        };
        match hello::judge(&known, hello) {
            Ok(welcome) => {
                self.push(world, wire, &Frame::Welcome(welcome));
                match hello.role {
                    Role::Client => self.set_party(wire, Party::Client),
                    Role::Admission => self.set_party(wire, Party::Admission),
                    Role::Founder | Role::Peer => self.drop_line(world, wire),
                }
            }
            Err(refused) => {
                self.push(world, wire, &Frame::Refused(refused));
                self.drop_line(world, wire);
            }
        }
    }

    fn lobby_answer(&self, request: &Request) -> Reply {
        let answer = match (request, self.standing()) {
            (Request::Status, standing) => Answer::Status(NodeStatus {
                id: None,
                address: self.address.clone(),
                cluster: self.dir.identity().cluster(),
                standing,
                role: "none".into(),
                term: Term(0),
                leader: None,
                last_log_id: LogId::default(),
                durable_index: Index(0),
                commit_index: Index(0),
                applied_index: Index(0),
                members: Vec::new(),
                version: String::new(),
                vitals: Box::default(),
            }),
            (_, Standing::Removed { at }) => Refusal::not_applied(Reason::Removed { at }).into(),
            _ => Refusal::not_applied(Reason::NotReady).into(),
        };
        Reply { answer, forwarded_to: None }
    }

    fn admitted(&mut self, world: &mut World, admit: Admit) {
        let Admit { cluster, id, incarnation, address, founders, .. } = admit;
        if incarnation != self.dir.identity().incarnation() {
            return;
        }
        let founder = |founder: Founder| raft_log::Founder {
            address: founder.address,
            incarnation: founder.incarnation,
        };
        let founders = founders.into_iter().map(founder).collect();
        let me = MemberIdentity { incarnation, cluster, id: NodeId(id.0), address, founders };
        let state = NodeState::Member(me);
        self.fate = Some(match self.dir.set_identity(state.clone()) {
            Ok(()) => {
                world.checkers.became(self.index, Some(state));
                Fate::Admitted
            }
            Err(error) => {
                world.checkers.became(self.index, None);
                Fate::Ends(error.to_string())
            }
        });
    }
}
