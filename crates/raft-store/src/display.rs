//! Commands as text, for people who look into a log.

use std::fmt;

use crate::command::Command;
use crate::txn::{Compare, Is, Keys, Op, Test, Txn};

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(text) => f.write_str(&String::from_utf8_lossy(text)),
            Self::Txn(txn) => txn.fmt(f),
        }
    }
}

impl fmt::Display for Txn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.compares.is_empty() {
            write!(f, "if {}: ", joined(&self.compares, " and "))?;
        }
        f.write_str(&joined(&self.success, ", "))?;
        if self.failure.is_empty() {
            return Ok(());
        }
        write!(f, "; else: {}", joined(&self.failure, ", "))
    }
}

fn joined(list: &[impl fmt::Display], with: &str) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(with)
}

fn text(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(bytes))
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(key) => f.write_str(&text(key)),
            Self::Between(first, end) => write!(f, "{} to before {}", text(first), text(end)),
            Self::From(first) => write!(f, "{} and above", text(first)),
        }
    }
}

impl fmt::Display for Compare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = text(&self.key);
        match &self.test {
            Test::Exists(true) => write!(f, "{key} exists"),
            Test::Exists(false) => write!(f, "{key} does not exist"),
            Test::Value(is, value) => write!(f, "{key} {is} {}", text(value)),
            Test::Version(is, number) => write!(f, "version of {key} {is} {number}"),
            Test::Created(is, number) => write!(f, "create_revision of {key} {is} {number}"),
            Test::Modified(is, number) => write!(f, "mod_revision of {key} {is} {number}"),
        }
    }
}

impl fmt::Display for Is {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::Greater => ">",
        })
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(key, value) => write!(f, "put {} = {}", text(key), text(value)),
            Self::Delete(keys) => write!(f, "delete {keys}"),
            Self::Get(range) => write!(f, "get {}", range.keys),
        }
    }
}
