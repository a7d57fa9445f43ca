//! The protocol's words for people: what, why, what next; one line each.

use std::fmt;

use super::{Outcome, Reason, Refusal, Standing};

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotApplied => "not applied",
            Self::Unknown => "outcome unknown",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.outcome, self.reason)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("new"),
            Self::Member => f.write_str("member"),
            Self::Removed { at } => write!(f, "removed at index {at}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLeader => f.write_str(
                "the cluster has no leader at the moment, because no majority of its members \
                 has agreed on one; see that a majority runs and can reach each other",
            ),
            Self::NotLeader { leader: Some(leader) } => {
                write!(f, "this server does not lead and cannot reach {leader}, which does")
            }
            Self::NotLeader { leader: None } => {
                f.write_str("this server does not lead and does not know who does; ask again")
            }
            Self::LeaderLost => f.write_str(
                "the leader was lost while the request was under way; a new one decides whether \
                 it stands",
            ),
            Self::Busy { what } => write!(f, "too much is under way: {what}; ask again shortly"),
            Self::DiskFull => f.write_str(
                "no room for the log on the disk of the leader or of a majority; free some \
                 space there",
            ),
            Self::Full { what } => write!(f, "the state machine does not take this: {what}"),
            Self::TooLarge { limit, size } => {
                write!(f, "the message has {size} bytes and the limit is {limit}; split it")
            }
            Self::SessionExpired { session } => write!(
                f,
                "session {session} is not known any more: it was ended, or unused while many \
                 others were opened; register again"
            ),
            Self::AnswerForgotten { session, sequence } => write!(
                f,
                "the answer of request {sequence} in session {session} is not kept any more, \
                 because the client had moved past it; read the state to see what it did"
            ),
            Self::Withdrawn { at } => write!(
                f,
                "somebody asked at index {at} what had become of this request, before it was \
                 applied: it never will be; send it again as a new one"
            ),
            Self::SessionLimit => {
                f.write_str("no more sessions can be opened; end some, or ask again later")
            }
            Self::ChangeInProgress => f.write_str(
                "another membership change is under way, and only one goes at a time; \
                 wait for its end",
            ),
            Self::LeaderTooYoung => {
                f.write_str("the leader is new and cannot judge a change yet; ask again shortly")
            }
            Self::HandingOver { to } => {
                write!(f, "leadership is being handed over to {to}; ask again shortly")
            }
            Self::NoNewQuorum { silent } => write!(
                f,
                "the changed cluster would have no majority, because {} did not answer; \
                 start what is silent, or remove it first",
                silent.join(", ")
            ),
            other => other.fmt_about_members(f),
        }
    }
}

impl Reason {
    /// The second half of `Display`.
    fn fmt_about_members(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMember { address } => write!(
                f,
                "the cluster has no member {address}; list them with raft member list, and name \
                 it as shown there"
            ),
            Self::NotVoter { address } => write!(
                f,
                "{address} is a learner and has no vote that another server could take over; \
                 remove it, then add the other one"
            ),
            Self::LastMember => f.write_str(
                "the last voter can be neither removed nor demoted: nobody would be left to \
                 decide; add another one first, or stop the server",
            ),
            Self::AddressTaken { address } => write!(
                f,
                "{address} is the address of a member, and another server is meant; choose \
                 another address, or put the server in the member's place: raft member replace \
                 {address} {address}"
            ),
            Self::Unreachable { address, error } => write!(
                f,
                "{address} cannot be reached ({error}); start the server there, or correct the \
                 address"
            ),
            Self::HostlessCluster { address } => write!(
                f,
                "the members of this cluster have addresses without hosts, which mean one \
                 machine; {address} is another one and could not reach them; found the cluster \
                 with hosts in -c"
            ),
            Self::Removed { at } => write!(
                f,
                "this server was removed from its cluster at index {at}; ask a member, or add \
                 it again with raft -C addserver"
            ),
            Self::NotReady => f.write_str(
                "this server belongs to no cluster yet: its founders are not complete, or it \
                 waits to be added",
            ),
            Self::Invalid(what) => f.write_str(what),
            Self::ShuttingDown => f.write_str("this server is stopping; ask another member"),
            // All others are `Display`'s own.
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use raft_core::Index;

    use super::*;

    #[test]
    fn every_reason_has_a_text_of_one_line() {
        let text = String::from(":9990");
        let reasons = [
            Reason::NoLeader,
            Reason::NotLeader { leader: Some(text.clone()) },
            Reason::NotLeader { leader: None },
            Reason::LeaderLost,
            Reason::Busy { what: "1024 requests".into() },
            Reason::DiskFull,
            Reason::Full { what: "the map is full: 9 bytes, at most 8".into() },
            Reason::TooLarge { limit: 1, size: 2 },
            Reason::SessionExpired { session: 7 },
            Reason::AnswerForgotten { session: 7, sequence: 1 },
            Reason::SessionLimit,
            Reason::ChangeInProgress,
            Reason::LeaderTooYoung,
            Reason::HandingOver { to: text.clone() },
            Reason::NoNewQuorum { silent: vec![text.clone()] },
            Reason::NotMember { address: text.clone() },
            Reason::NotVoter { address: text.clone() },
            Reason::LastMember,
            Reason::AddressTaken { address: text.clone() },
            Reason::Unreachable { address: text.clone(), error: "refused".into() },
            Reason::HostlessCluster { address: text },
            Reason::Removed { at: Index(7) },
            Reason::NotReady,
            Reason::Invalid("no sequence".into()),
            Reason::ShuttingDown,
        ];
        for reason in reasons {
            let shown = reason.to_string();
            assert!(shown.len() > 8 && !shown.contains('\n') && !shown.contains("  "), "{shown}");
        }
    }

    #[test]
    fn a_refusal_says_what_may_be_concluded_first() {
        assert_eq!(
            Refusal::not_applied(Reason::TooLarge { limit: 10, size: 11 }).to_string(),
            "not applied: the message has 11 bytes and the limit is 10; split it"
        );
        assert!(Refusal::unknown(Reason::LeaderLost).to_string().starts_with("outcome unknown: "));
    }
}
