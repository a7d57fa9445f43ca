//! The faults, and where they are planted. Most of them shipped once, in one system or another,
//! and its tests did not see them.
//!
//! A planting names the lines that it replaces, exactly, and each must stand once in its file:
//! who changes a rule is led to the fault that its tests must still catch. `PLANTED` in the new
//! lines becomes the question whether this fault is the one that is wanted.

mod consensus;
mod disk;
mod membership;
mod server;
mod snapshots;

/// One fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planting {
    /// Its name, and how it is asked for.
    pub(crate) name: &'static str,
    /// What is wrong with the code that has it.
    pub(crate) what: &'static str,
    /// Where it escaped: project and number; or why it is here.
    pub(crate) escaped: &'static str,
    /// The checker that must find it.
    pub(crate) caught_by: &'static str,
    pub(crate) edits: &'static [Edit],
}

/// Lines replaced by others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edit {
    /// Below `crates/`.
    pub(crate) file: &'static str,
    pub(crate) find: &'static str,
    pub(crate) plant: &'static str,
}

/// All of them.
pub(crate) fn all() -> Vec<Planting> {
    [consensus::ALL, membership::ALL, disk::ALL, server::ALL, snapshots::ALL].concat()
}
