//! What a replica starts from: what was found in the data directory, in the core's words.

use std::io;
use std::sync::Arc;

use raft_core::{Index, Member, Membership, NodeId, Recovered, Snapshot, Term};
use raft_log::{DataDir, MemberIdentity, RecoveredLog, Shown, ShownMark};

use crate::notice::Notice;
use crate::wire::{WireError, decode_membership};

/// A log from which no member can start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A configuration that cannot be read: a newer version wrote it.
    #[error("the configuration at index {at} cannot be read: {error}")]
    Membership {
        /// Where it is.
        at: Index,
        /// What is wrong with it.
        error: WireError,
    },
    /// No member ever has an entry of a term that it has not heard of.
    #[error(
        "the log has entries of term {newest} and knows no term above {known}: the vote of that \
         term is lost. Do not restart this member: replace it"
    )]
    LostTerm {
        /// The term of the last entry.
        newest: Term,
        /// The term that the log says this member is in.
        known: Term,
    },
}

/// What the core starts from: the configuration at index 0 is the founders', unless a snapshot, from
/// which the state machine went on, says another one.
///
/// # Errors
/// A configuration that cannot be read, or a term that is lost.
pub fn recovered(
    me: &MemberIdentity,
    log: &RecoveredLog,
    base: Option<&Snapshot>,
) -> Result<Recovered, Unusable> {
    let begin = match base {
        Some(snapshot) => (snapshot.membership_index, Arc::clone(&snapshot.membership)),
        None => (Index(0), Arc::new(founding(me))),
    };
    let snapshot_index = base.map_or(Index(0), |snapshot| snapshot.at.index);
    let mut memberships = vec![begin];
    for (at, payload) in log.memberships.iter().filter(|(at, _)| *at > snapshot_index) {
        let membership =
            decode_membership(payload).map_err(|error| Unusable::Membership { at: *at, error })?;
        memberships.push((*at, Arc::new(membership)));
    }
    let (newest, known) =
        (log.term_runs.last().map_or(Term(0), |(_, term)| *term), log.hard_state.term);
    if newest > known {
        return Err(Unusable::LostTerm { newest, known });
    }
    Ok(Recovered {
        hard_state: log.hard_state,
        log_start: log.start,
        snapshot_index,
        last_index: log.last_index,
        term_runs: log.term_runs.clone(),
        commit_index: log.commit_hint.min(log.last_index),
        memberships,
        tail_ambiguous: log.tail_ambiguous,
    })
}

/// Up to where lines were shown. If that is lost, everything recovered counts as shown: nothing
/// repeats, and a line may be missing, which is to be told.
///
/// # Errors
/// The mark cannot be read, or not be written.
pub fn shown_mark(dir: &DataDir, last_index: Index) -> io::Result<(ShownMark, Option<Notice>)> {
    let (mut mark, shown) = dir.shown()?;
    let Shown::Lost(why) = shown else { return Ok((mark, None)) };
    mark.advance(last_index)?;
    let fact = format!(
        "it is not known which lines were shown ({why}): those up to index {last_index} are not \
         shown again"
    );
    Ok((mark, Some(Notice::Fact(fact))))
}

/// The configuration at index 0: all founders vote.
#[must_use]
pub fn founding(me: &MemberIdentity) -> Membership {
    let founders = me.founders.iter().enumerate().map(|(position, founder)| {
        let member = Member { address: founder.address.clone(), incarnation: founder.incarnation };
        (NodeId(position as u64 + 1), member)
    });
    Membership::founding(founders.collect())
}
