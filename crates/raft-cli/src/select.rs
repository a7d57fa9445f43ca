//! Which entry of the list of members is this server.
//!
//! Every member is started with the same list. The entry is the one with this server's port whose
//! host is this machine. Exactly one has to match: a server that took the wrong identity, or
//! waited to be added although it is a founder, would be worse than one that does not start.

use raft_node::Address;

use crate::errors::Problem;
use crate::machine::{Place, is_loopback, is_wildcard};

/// The names of the two flags, which differ between the faces of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) cluster: &'static str,
    pub(crate) listen: &'static str,
}

pub(crate) const CLASSIC: Flags = Flags { cluster: "-c", listen: "-p" };
pub(crate) const MODERN: Flags = Flags { cluster: "--cluster", listen: "--listen" };

/// What this server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// This entry of the list.
    Founder(Address),
    /// Certainly not in the list: waits to be added under this address.
    Joiner(Address),
}

impl Selection {
    /// By which address the others know it.
    pub(crate) const fn address(&self) -> &Address {
        let (Self::Founder(address) | Self::Joiner(address)) = self;
        address
    }
}

/// Finds this server in `cluster`. `place` says where a host is.
pub(crate) fn select(
    cluster: &[Address],
    listen: &Address,
    flags: Flags,
    place: impl Fn(&str) -> Place,
) -> Result<Selection, Problem> {
    check(cluster, flags)?;
    if !listen.is_hostless() && cluster.contains(listen) {
        return Ok(Selection::Founder(listen.clone()));
    }
    let (mut here, mut doubtful) = (Vec::new(), Vec::new());
    for entry in cluster.iter().filter(|entry| entry.port() == listen.port()) {
        match place(entry.host().unwrap_or_default()) {
            Place::Here => here.push(entry),
            Place::Unknown(why) => doubtful.push(format!("{entry} ({why})")),
            Place::Elsewhere => {}
        }
    }
    match here.as_slice() {
        [entry] => Ok(Selection::Founder((*entry).clone())),
        [] if doubtful.is_empty() => joiner(cluster, listen, flags),
        [] => Err(Problem::usage(format!(
            "cannot tell whether {} '{listen}' is one of {}: {}",
            flags.listen,
            flags.cluster,
            doubtful.join(", ")
        ))
        .hint(format!(
            "name it exactly as in {}: {} HOST:{}",
            flags.cluster,
            flags.listen,
            listen.port()
        ))),
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(Problem::usage(format!(
                "{} '{listen}' selects {} entries of {}: {}",
                flags.listen,
                names.len(),
                flags.cluster,
                names.join(", ")
            ))
            .hint(format!("name one of them with its host: {} {}", flags.listen, names[0])))
        }
    }
}

fn joiner(cluster: &[Address], listen: &Address, flags: Flags) -> Result<Selection, Problem> {
    let local_cluster = cluster.iter().all(|entry| is_loopback(entry.host().unwrap_or_default()));
    if local_cluster == is_loopback(listen.host().unwrap_or_default()) {
        return Ok(Selection::Joiner(listen.clone()));
    }
    let list = join(cluster);
    if local_cluster {
        return Err(Problem::usage(format!(
            "{} '{listen}' cannot join: the members in {} ({list}) can be reached on their own \
             machine only",
            flags.listen, flags.cluster
        ))
        .hint("a cluster over several machines names a host in each address"));
    }
    Err(Problem::usage(format!(
        "{} '{listen}' is none of {list} on this machine, and to join them it needs a host that \
         they can reach",
        flags.listen
    ))
    .hint(format!("{} HOST:{}", flags.listen, listen.port())))
}

/// What is wrong with a list whoever reads it.
fn check(cluster: &[Address], flags: Flags) -> Result<(), Problem> {
    if let Some(entry) = cluster.iter().find(|entry| is_wildcard(entry.host().unwrap_or_default()))
    {
        return Err(Problem::usage(format!(
            "{} has {entry}, which no other member can dial",
            flags.cluster
        ))
        .hint(format!("write the host by which the others reach it: HOST:{}", entry.port())));
    }
    let hostless = cluster.iter().find(|entry| entry.is_hostless());
    let remote = cluster.iter().find(|entry| !is_loopback(entry.host().unwrap_or_default()));
    if let (Some(hostless), Some(remote)) = (hostless, remote) {
        return Err(Problem::usage(format!(
            "{} mixes {hostless}, which only its own machine can reach, with {remote}",
            flags.cluster
        ))
        .hint(format!("write it with its host: HOST{hostless}")));
    }
    Ok(())
}

/// `:9990,:9991`, as the flags take it.
pub(crate) fn join(addresses: &[Address]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{address, addresses};

    /// This machine is `a`, also known as 10.0.0.1; `b` and `c` are others; `x` is unknown.
    fn place(host: &str) -> Place {
        match host {
            "a" | "10.0.0.1" => Place::Here,
            "x" => Place::Unknown("no such name".into()),
            host if is_loopback(host) => Place::Here,
            _ => Place::Elsewhere,
        }
    }

    fn run(cluster: &str, listen: &str) -> Result<Selection, Problem> {
        let cluster = addresses(cluster).expect("a list");
        select(&cluster, &address(listen).expect("an address"), CLASSIC, place)
    }

    #[test]
    fn one_match_is_a_founder() {
        let cases = [
            (":9990,:9991,:9992", "9990", ":9990"),
            (":9990, :9991 , 9992", ":9992", ":9992"),
            (":9990,:9991", "localhost:9991", ":9991"),
            ("localhost:9990,127.0.0.1:9991", "9991", "127.0.0.1:9991"),
            ("a:9990,b:9990,c:9990", "9990", "a:9990"),
            ("10.0.0.1:9990,10.0.0.2:9990", "9990", "10.0.0.1:9990"),
            ("b:9990,c:9990", "b:9990", "b:9990"),
            ("a:9990,x:9990", "9990", "a:9990"),
            ("127.0.0.1:9990,127.0.0.2:9990", "127.0.0.2:9990", "127.0.0.2:9990"),
            (":9990", "9990", ":9990"),
        ];
        for (cluster, listen, expected) in cases {
            let expected = address(expected).expect("an address");
            assert_eq!(
                run(cluster, listen),
                Ok(Selection::Founder(expected)),
                "{cluster} {listen}"
            );
        }
    }

    #[test]
    fn what_is_clearly_absent_joins() {
        let cases = [
            (":9990,:9991,:9992", "9993"),
            (":9990,:9991", "127.0.0.1:9993"),
            ("b:9990,c:9990", "a:9990"),
            ("a:9990,b:9990", "a:9991"),
        ];
        for (cluster, listen) in cases {
            let expected = address(listen).expect("an address");
            assert_eq!(run(cluster, listen), Ok(Selection::Joiner(expected)), "{cluster} {listen}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_names() {
        let cases = [
            ("127.0.0.1:9990,127.0.0.2:9990", "9990", "2 entries of -c: 127.0.0.1:9990, 127.0.0.2"),
            ("a:9990,10.0.0.1:9990,b:9990", "9990", "2 entries of -c: a:9990, 10.0.0.1:9990"),
            ("x:9990,b:9990", "9990", "x:9990 (no such name)"),
            ("b:9990,c:9990", "9990", "needs a host that they can reach"),
            (":9990,:9991", "a:9993", "on their own machine only"),
            (
                ":9990,b:9990",
                "9990",
                "-c mixes :9990, which only its own machine can reach, with b",
            ),
            ("0.0.0.0:9990,b:9990", "9990", "0.0.0.0:9990, which no other member can dial"),
        ];
        for (cluster, listen, expected) in cases {
            let problem = run(cluster, listen).expect_err(cluster);
            assert_eq!(problem.exit.code(), 2, "{cluster} {listen}");
            assert!(problem.what.contains(expected), "{}", problem.what);
            assert!(problem.hint.is_some(), "{cluster} {listen}");
        }
    }
}
