//! raft
fn main() {}
