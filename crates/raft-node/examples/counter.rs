//! A replicated counter on three members of this machine. In three terminals:
//!
//! ```console
//! $ cargo run -p raft-node --example counter -- :9990
//! $ cargo run -p raft-node --example counter -- :9991
//! $ cargo run -p raft-node --example counter -- :9992
//! ```

#![expect(clippy::print_stdout, reason = "what an example shows, it prints")]

use std::{env, error::Error, time::Duration};

use raft_node::{Address, AddressList, Client, ClientOptions, LogId, StateMachine, Typed, Wire};

struct Counter;

impl StateMachine for Counter {
    type State = u64;
    type Command = u64;
    type Response = u64;
    fn apply(count: &mut u64, _at: LogId, add: u64) -> u64 {
        *count = count.wrapping_add(add);
        *count
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let me: Address = env::args().nth(1).ok_or("which of :9990, :9991, :9992 is it?")?.parse()?;
    let members: AddressList = ":9990,:9991,:9992".parse()?;
    let node = raft_node::node(format!("target/counter-{}", me.port()))
        .listen(me.clone())
        .cluster(members.into_vec())
        .start(Typed::<Counter>::new(0))?;
    if !node.wait_ready(Duration::from_secs(60)) {
        return Err("the other members did not start within a minute".into());
    }
    let client = Client::new([me], ClientOptions::default())?;
    let written = client.write(1u64.to_bytes()).wait()?;
    let count = u64::from_bytes(&written.response).ok_or("not a number")?;
    println!("the counter is {count} now");
    Ok(node.wait()?)
}
