//! The Raft node as a library: wire formats and the state machines between the consensus core
//! and the sockets.

pub mod address;
pub mod binding;
pub mod client_core;
pub mod founding;
pub mod hello;
pub mod protocol;
pub mod random;
pub mod refused;
pub mod sessions;
pub mod wire;

pub use address::{Address, AddressError, AddressList};
pub use protocol::{
    Answer, Changed, MemberRow, MembersView, NodeStatus, Outcome, Reason, Refusal, Reply, Request,
    Standing,
};
