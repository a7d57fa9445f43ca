//! What the payload of a log entry says, by the entry's kind.
//!
//! A command is `session u64 | sequence u64 | lowest unacknowledged u64 | the client's bytes`; a
//! session entry is one byte (0 registers, 1 registers for a single write, 2 ends, then the
//! session, u64; 3 withdraws a request, then session and sequence, u64). All numbers are little-endian.

use bytes::Bytes;
use raft_core::Membership;
use raft_log::Kind;

use crate::sessions::RequestName;
use crate::wire::decode_membership;

/// Bytes before the client's own in the payload of a command.
pub const COMMAND_HEADER_BYTES: usize = 24;

/// A payload, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A leader's first entry; says nothing.
    Noop,
    /// A configuration.
    Membership(Box<Membership>),
    /// For the state machine.
    Command {
        /// The client's session.
        session: u64,
        /// The request within the session.
        sequence: u64,
        /// The client has the answers of all requests below this one.
        lowest_unacknowledged: u64,
        /// The client's bytes.
        bytes: Bytes,
    },
    /// Opens a session, named by the entry's index.
    Register {
        /// For a single write.
        one_shot: bool,
    },
    /// Ends a session.
    EndSession {
        /// Which one.
        session: u64,
    },
    /// A request that is not applied yet never will be.
    Withdraw(RequestName),
}

impl Payload {
    /// Reads a payload.
    ///
    /// # Errors
    /// What it is instead, as in "entry 7 is ...": an entry that is not understood is never
    /// skipped.
    pub fn decode(kind: Kind, payload: &Bytes) -> Result<Self, String> {
        match kind {
            Kind::NOOP => Ok(Self::Noop),
            Kind::MEMBERSHIP => match decode_membership(payload) {
                Ok(membership) => Ok(Self::Membership(Box::new(membership))),
                Err(error) => Err(error.to_string()),
            },
            Kind::COMMAND => command(payload).ok_or_else(|| "a command without its header".into()),
            Kind::SESSION => {
                session(payload).ok_or_else(|| "a session entry of unknown form".into())
            }
            Kind(other) => Err(format!("an entry of kind {other}")),
        }
    }
}

fn command(payload: &Bytes) -> Option<Payload> {
    let (session, sequence) = (number(payload, 0)?, number(payload, 8)?);
    let lowest_unacknowledged = number(payload, 16)?;
    let bytes = payload.slice(COMMAND_HEADER_BYTES..);
    Some(Payload::Command { session, sequence, lowest_unacknowledged, bytes })
}

fn session(payload: &Bytes) -> Option<Payload> {
    match payload.first()? {
        kind @ (0 | 1) => Some(Payload::Register { one_shot: *kind == 1 }),
        2 => Some(Payload::EndSession { session: number(payload, 1)? }),
        3 => {
            let (session, sequence) = (number(payload, 1)?, number(payload, 9)?);
            Some(Payload::Withdraw(RequestName { session, sequence }))
        }
        _ => None,
    }
}

fn number(payload: &Bytes, from: usize) -> Option<u64> {
    let bytes = payload.get(from..from + 8)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(kind: Kind, payload: &[u8]) -> Result<Payload, String> {
        Payload::decode(kind, &Bytes::copy_from_slice(payload))
    }

    #[test]
    fn every_kind() {
        let command: Vec<u8> =
            [[3_u64, 1, 1].map(u64::to_le_bytes).concat(), b"beer".to_vec()].concat();
        let bytes = Bytes::from_static(b"beer");
        let expected =
            Payload::Command { session: 3, sequence: 1, lowest_unacknowledged: 1, bytes };
        assert_eq!(decode(Kind::COMMAND, &command), Ok(expected));
        assert_eq!(decode(Kind::NOOP, b""), Ok(Payload::Noop));
        assert_eq!(decode(Kind::SESSION, &[1]), Ok(Payload::Register { one_shot: true }));
        let end = [&[2][..], &9_u64.to_le_bytes()].concat();
        assert_eq!(decode(Kind::SESSION, &end), Ok(Payload::EndSession { session: 9 }));
        let withdraw = [&[3][..], &9_u64.to_le_bytes(), &2_u64.to_le_bytes()].concat();
        let request = RequestName { session: 9, sequence: 2 };
        assert_eq!(decode(Kind::SESSION, &withdraw), Ok(Payload::Withdraw(request)));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let cases = [
            (Kind::COMMAND, &[0; 23][..], "a command without its header"),
            (Kind::SESSION, &[], "a session entry of unknown form"),
            (Kind::SESSION, &[2, 0], "a session entry of unknown form"),
            (Kind::SESSION, &[3; 16], "a session entry of unknown form"),
            (Kind::SESSION, &[4], "a session entry of unknown form"),
            (Kind(9), &[], "an entry of kind 9"),
        ];
        for (kind, payload, what) in cases {
            assert_eq!(decode(kind, payload), Err(what.into()), "{payload:?}");
        }
        assert!(decode(Kind::MEMBERSHIP, b"").is_err());
    }
}
