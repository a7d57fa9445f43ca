//! What becomes of the replica's wishes.

use bytes::Bytes;
use raft_core::{Index, LogId, Membership, Message, NodeId, Time};

use super::{End, Member, Order};
use crate::binding::ConnectionId;
use crate::notice::Notice;
use crate::protocol::{Answer, Reason, Refusal, Reply, Request};
use crate::replica::{Effect, Event, Origin};
use crate::resident::LOCAL;
use crate::snapshots::SnapshotJob;
use crate::wire::{Frame, encode_message};

/// Bytes that may wait for a leader to take them before no more requests are passed on to it.
const FORWARD_BYTES_MAX: usize = 16 * 1024 * 1024;

impl Member {
    pub(super) fn carry_out(&mut self, now: Time, effect: Effect) {
        match effect {
            Effect::Send { to, message, entries } => self.send(to, &message, &entries),
            Effect::Write { ticket, write } => {
                self.orders.push(Order::Write { ticket: Some(ticket), write });
            }
            Effect::ReadLog { request, first, last, bytes_max } => {
                self.orders.push(Order::ReadLog { request, first, last, bytes_max });
            }
            Effect::WriteSnapshot(frozen) => {
                self.orders.push(Order::Snapshot(SnapshotJob::Write(frozen)));
            }
            Effect::Compact(compaction) => self.orders.push(Order::Compact(compaction)),
            Effect::SendSnapshot { peer, term } => self.send_snapshot(now, peer, term),
            Effect::Installed { at, skipped } => self.installed(at, skipped),
            Effect::AnswerSnapshot { to: _, answer } => self.answer_snapshot(answer),
            Effect::PruneSnapshots(newest) => {
                self.orders.push(Order::Snapshot(SnapshotJob::Prune(newest)));
            }
            Effect::Reply { origin, reply } => self.reply(origin, reply),
            Effect::Forward { to, request, body } => self.forward(to, request, body),
            Effect::Meet { request, address } => {
                self.dials.meet(now, request, address, &mut self.orders);
            }
            Effect::Show { index, lines } => self.orders.push(Order::Show { index, lines }),
            Effect::RoleChanged { term, leader, .. } => self.role_changed(term.0, leader),
            Effect::MembershipChanged { membership } => {
                self.orders.push(Order::Remember("membership", membership.to_string()));
                self.note_place(&membership);
                self.dial_members(now, &membership);
            }
            Effect::Removed { at } => self.end_with(End::Removed(at)),
            Effect::Alarm { peer, what } => {
                self.orders.push(Order::TellFolly(format!(
                    "{} said what no correct member says ({what}); its connections were closed",
                    self.named(peer)
                )));
                self.drop_peer(now, peer);
            }
            Effect::Halt { why } => self.end_with(End::Halted(why)),
        }
    }

    /// Sends a request on the connection that we dialled, a response on the one that the peer
    /// dialled; without it, nothing: the core derives again what a peer lacks.
    fn send(&mut self, to: NodeId, message: &Message, entries: &[Bytes]) {
        let lane = if message.is_response() { &self.inbound } else { &self.outbound };
        let Some(id) = lane.get(&to).copied() else { return };
        let frame = encode_message(message, entries, self.space.free_log_bytes());
        let marks = match message {
            Message::AppendEntries(append) if !append.entries.is_empty() => {
                let (prev, many) = (append.prev_log_id.index, append.entries.len() as u64);
                self.counts.appends_sent += 1;
                self.counts.entries_sent += many;
                Some((prev, Index(prev.0 + many)))
            }
            _ => None,
        };
        self.push_encoded(id, frame, marks);
    }

    fn reply(&mut self, origin: Origin, mut reply: Reply) {
        let status = match &mut reply.answer {
            Answer::Written { .. } => {
                self.answered.push(origin.since_us);
                None
            }
            Answer::Refused(_) => {
                self.counts.refused += 1;
                None
            }
            Answer::Status(status) => Some(&mut **status),
            Answer::Recent(recent) => Some(&mut recent.status),
            Answer::Why(testimony) => Some(&mut testimony.status),
            _ => None,
        };
        let order = if let Some(status) = status {
            status.cluster = Some(self.me.cluster);
            status.snapshots.transfers = self.transfers();
            // How full the disk is, for the next who asks.
            self.want_look();
            Order::Report { origin, reply: Box::new(reply) }
        } else {
            Order::reply(origin, reply)
        };
        if let Some(peerage) = self.connections.get_mut(&ConnectionId(origin.connection)) {
            peerage.load = peerage.load.saturating_sub(1);
            if let Order::Push { frame, .. } = &order {
                peerage.waiting += frame.byte_count();
            }
        } else if origin.connection != LOCAL {
            // Whoever asked has hung up.
            return;
        }
        self.orders.push(order);
    }

    /// Passes a request on. A leader that does not take what waits for it gets no more: nobody
    /// else bounds what many clients send to one follower.
    fn forward(&mut self, to: NodeId, id: u64, request: Request) {
        let Some(connection) = self.outbound.get(&to).copied() else { return };
        let waiting = self.connections.get(&connection).map_or(0, |peerage| peerage.waiting);
        if waiting < FORWARD_BYTES_MAX {
            return self.push(connection, &Frame::Forward { id, request });
        }
        let what = "the leader takes requests more slowly than they come".into();
        let answer = Refusal::not_applied(Reason::Busy { what }).into();
        let reply = Reply { answer, forwarded_to: None };
        self.events.push(Event::ForwardReply { from: to, request: id, reply });
    }

    /// What the snapshot stands for was shown elsewhere.
    fn installed(&mut self, at: LogId, skipped: u64) {
        self.orders.push(Order::Show { index: at.index, lines: Vec::new() });
        self.orders.push(Order::Remember("snapshot", format!("goes on from the snapshot {at}")));
        if skipped > 0 {
            let what = format!(
                "{skipped} entries up to index {} came in a snapshot: their lines are not shown here",
                at.index
            );
            self.orders.push(Order::Tell(Notice::Fact(what)));
        }
    }

    /// The others look for this member at another address than its own.
    pub(super) fn note_place(&mut self, membership: &Membership) {
        let Some(own) = membership.members.get(&self.me.id) else { return };
        if !self.settings.is_place(&own.address) {
            let what = format!(
                "the other members look for this one at {}: start it there, with this data \
                 directory",
                own.address
            );
            self.orders.push(Order::Tell(Notice::Fact(what)));
        }
    }

    fn role_changed(&mut self, term: u64, leader: Option<NodeId>) {
        let news = leader.map(|leader| (leader, term));
        if news == self.leader {
            return;
        }
        let had_one = std::mem::replace(&mut self.leader, news).is_some();
        self.counts.leader_changes += 1;
        let named = leader.map_or_else(|| "nobody".into(), |id| self.named(id));
        self.orders.push(Order::Remember("role", format!("{named} leads in term {term}")));
        match leader {
            Some(id) => {
                let (address, own) = (self.named(id), id == self.me.id);
                self.orders.push(Order::Tell(Notice::Leads { address, term, own }));
            }
            None if had_one => self.orders.push(Order::Tell(Notice::NoLeader { term })),
            None => {}
        }
    }
}
