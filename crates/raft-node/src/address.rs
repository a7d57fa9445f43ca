//! Addresses as people write them: `9990`, `:9990`, `host:9990`, `[::1]:9990`, and lists of them.
//!
//! A member is known by its address as given, and the name is resolved at every dial. No host
//! means this machine, for listening too: such a cluster lives on one machine, so a list may not
//! mix host-less addresses with remote ones.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The longest host name that the domain name system knows.
const HOST_BYTES_MAX: usize = 253;

/// Where a member listens. Displayed as given; without a host, as `:9990`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Empty for this machine; an IPv6 address without its brackets.
    host: String,
    port: u16,
}

/// A cluster's addresses in the order given: at least one, no two of them the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressList(Vec<Address>);

/// Why a text is no address, or a list of addresses no list. The text is for the person who
/// typed it: what, why, what next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing there.
    #[error("an empty address: write a port like 9990, or host:9990")]
    Empty,
    /// The port is not a number from 1 to 65535.
    #[error(
        "'{given}' is no address: its port '{port}' is not a number from 1 to 65535; \
         write 9990, :9990, host:9990 or [::1]:9990"
    )]
    Port {
        /// What was written.
        given: String,
        /// The part that should be a port.
        port: String,
    },
    /// A host without a port.
    #[error("'{given}' is no address: it names a host but no port; write '{given}:9990'")]
    NoPort {
        /// What was written.
        given: String,
    },
    /// An IPv6 address without brackets: its last group could be the port.
    #[error(
        "'{given}' can be read in two ways: put an IPv6 address into brackets, as in [::1]:9990"
    )]
    Unbracketed {
        /// What was written.
        given: String,
    },
    /// Not a host name.
    #[error(
        "'{given}' is no address: '{host}' is neither a host name nor an IP address; \
         write host:9990 or [::1]:9990"
    )]
    Host {
        /// What was written.
        given: String,
        /// The part that should be a host.
        host: String,
    },
    /// A list without addresses.
    #[error("an empty list of addresses: name the members of the cluster, as in ':9990,:9991'")]
    EmptyList,
    /// One place twice.
    #[error(
        "'{first}' and '{second}' are the same place: every member of a cluster needs an \
         address of its own; name each of them once"
    )]
    Duplicate {
        /// As first written.
        first: Address,
        /// As written again.
        second: Address,
    },
    /// Some members on "this machine", others elsewhere: `:9990` would mean another machine to
    /// each of them.
    #[error(
        "'{hostless}' has no host and means this machine, which '{remote}' could not reach by \
         that name: give every member of the list a host, or none of them"
    )]
    Mixed {
        /// An address without a host.
        hostless: Address,
        /// An address of another machine.
        remote: Address,
    },
}

impl Address {
    /// A port of this machine, without a host.
    #[must_use]
    pub const fn local(port: u16) -> Self {
        Self { host: String::new(), port }
    }

    /// The host, if one was given; an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        (!self.host.is_empty()).then_some(self.host.as_str())
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether no host was given: this machine, whichever that is.
    #[must_use]
    pub fn is_hostless(&self) -> bool {
        self.host.is_empty()
    }

    /// Whether only this machine can reach it, as far as the text tells: no host, `localhost`,
    /// or a loopback address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.is_hostless()
            || self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether both texts mean one place for certain: no name is resolved.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.port == other.port
            && (self.host.eq_ignore_ascii_case(&other.host)
                || (self.is_own_loopback() && other.is_own_loopback()))
    }

    /// The loopback addresses that a host-less member listens on.
    fn is_own_loopback(&self) -> bool {
        self.is_hostless()
            || self.host.eq_ignore_ascii_case("localhost")
            || self
                .host
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let given = text.trim();
        if given.is_empty() {
            return Err(AddressError::Empty);
        }
        if let Some(rest) = given.strip_prefix('[') {
            return parse_bracketed(given, rest);
        }
        let Some((host, port)) = given.rsplit_once(':') else {
            // A bare word is a port if it looks like one, and else a host that lacks it.
            if given.bytes().all(|b| b.is_ascii_digit()) {
                return Ok(Self { host: String::new(), port: parse_port(given, given)? });
            }
            return Err(AddressError::NoPort { given: given.into() });
        };
        if host.contains(':') {
            return Err(AddressError::Unbracketed { given: given.into() });
        }
        if !host.is_empty() && !is_host(host) {
            return Err(AddressError::Host { given: given.into(), host: host.into() });
        }
        Ok(Self { host: host.into(), port: parse_port(given, port)? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl AddressList {
    /// Checks a list: not empty, no place twice, not host-less and remote at once.
    pub fn new(addresses: Vec<Address>) -> Result<Self, AddressError> {
        if addresses.is_empty() {
            return Err(AddressError::EmptyList);
        }
        for (position, second) in addresses.iter().enumerate() {
            if let Some(first) = addresses.iter().take(position).find(|a| a.is_same_place(second)) {
                return Err(AddressError::Duplicate {
                    first: first.clone(),
                    second: second.clone(),
                });
            }
        }
        let hostless = addresses.iter().find(|a| a.is_hostless());
        let remote = addresses.iter().find(|a| !a.is_loopback());
        if let (Some(hostless), Some(remote)) = (hostless, remote) {
            return Err(AddressError::Mixed { hostless: hostless.clone(), remote: remote.clone() });
        }
        Ok(Self(addresses))
    }

    /// The addresses in the order given.
    #[must_use]
    pub fn as_slice(&self) -> &[Address] {
        &self.0
    }

    /// Gives the addresses back.
    #[must_use]
    pub fn into_vec(self) -> Vec<Address> {
        self.0
    }
}

impl FromStr for AddressList {
    type Err = AddressError;

    /// Addresses separated by commas; spaces around them are ignored.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.trim().is_empty() {
            return Err(AddressError::EmptyList);
        }
        Self::new(text.split(',').map(str::parse).collect::<Result<_, _>>()?)
    }
}

impl fmt::Display for AddressList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, address) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{address}")?;
        }
        Ok(())
    }
}

/// The part after `[`.
fn parse_bracketed(given: &str, rest: &str) -> Result<Address, AddressError> {
    let Some((host, after)) = rest.split_once(']') else {
        return Err(AddressError::Host { given: given.into(), host: rest.into() });
    };
    if host.parse::<Ipv6Addr>().is_err() {
        return Err(AddressError::Host { given: given.into(), host: host.into() });
    }
    let Some(port) = after.strip_prefix(':') else {
        return Err(AddressError::NoPort { given: given.into() });
    };
    Ok(Address { host: host.into(), port: parse_port(given, port)? })
}

/// A port in digits alone: `parse` would take `+9990`.
fn parse_port(given: &str, port: &str) -> Result<u16, AddressError> {
    let number = if port.bytes().all(|b| b.is_ascii_digit()) { port.parse().ok() } else { None };
    match number {
        Some(number) if number != 0 => Ok(number),
        _ => Err(AddressError::Port { given: given.into(), port: port.into() }),
    }
}

/// A name or an IPv4 address. Underscores are no part of host names, yet many networks have them.
fn is_host(host: &str) -> bool {
    host.len() <= HOST_BYTES_MAX
        && host.split('.').all(|label| !label.is_empty() && !label.starts_with('-'))
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect("an address")
    }

    fn error(text: &str) -> String {
        text.parse::<Address>().expect_err("no address").to_string()
    }

    fn list_error(text: &str) -> String {
        text.parse::<AddressList>().expect_err("no list").to_string()
    }

    #[test]
    fn addresses_are_shown_as_given() {
        for (given, shown) in [
            ("9990", ":9990"),
            (":9990", ":9990"),
            (" host:9990 ", "host:9990"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("node_1.example.org:65535", "node_1.example.org:65535"),
            ("[::1]:9990", "[::1]:9990"),
        ] {
            assert_eq!(address(given).to_string(), shown);
            assert_eq!(address(shown), address(given));
        }
    }

    #[test]
    fn loopback_is_told_from_the_text() {
        for text in ["9990", "localhost:1", "LocalHost:1", "127.0.0.9:1", "[::1]:1"] {
            assert!(address(text).is_loopback(), "{text}");
        }
        for text in ["host:1", "10.0.0.1:1", "0.0.0.0:1", "[::]:1"] {
            assert!(!address(text).is_loopback(), "{text}");
        }
        assert!(address("9990").is_hostless() && !address("localhost:9990").is_hostless());
    }

    #[test]
    fn errors_say_what_why_and_what_next() {
        assert_eq!(error(""), "an empty address: write a port like 9990, or host:9990");
        assert_eq!(
            error("host"),
            "'host' is no address: it names a host but no port; write 'host:9990'"
        );
        assert_eq!(
            error("host:0"),
            "'host:0' is no address: its port '0' is not a number from 1 to 65535; \
             write 9990, :9990, host:9990 or [::1]:9990"
        );
        assert_eq!(
            error("::1:9990"),
            "'::1:9990' can be read in two ways: put an IPv6 address into brackets, \
             as in [::1]:9990"
        );
        assert_eq!(
            error("a b:1"),
            "'a b:1' is no address: 'a b' is neither a host name nor an IP address; \
             write host:9990 or [::1]:9990"
        );
        for text in ["65536", ":+1", "host:", "[::1]", "[::1]1", "[::g]:1", "[::1", "a..b:1"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_ignores_spaces_and_keeps_the_order() {
        let list: AddressList = " :9991, 9990 ,:9992".parse().expect("a list");
        assert_eq!(list.to_string(), ":9991,:9990,:9992");
        assert_eq!(list.as_slice().len(), 3);
    }

    #[test]
    fn lists_that_no_cluster_can_have_are_refused() {
        assert_eq!(
            list_error(" "),
            "an empty list of addresses: name the members of the cluster, as in ':9990,:9991'"
        );
        assert_eq!(
            list_error(":9990,localhost:9990"),
            "':9990' and 'localhost:9990' are the same place: every member of a cluster needs \
             an address of its own; name each of them once"
        );
        assert_eq!(
            list_error("a:9990,:9991"),
            "':9991' has no host and means this machine, which 'a:9990' could not reach by that \
             name: give every member of the list a host, or none of them"
        );
        assert!(":1,,:2".parse::<AddressList>().is_err());
        assert!(":1,localhost:2,127.0.0.1:3".parse::<AddressList>().is_ok());
        assert!("127.0.0.1:1,127.0.0.2:1".parse::<AddressList>().is_ok());
    }
}
