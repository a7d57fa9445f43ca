//! Which trouble comes when.

mod troubles;

use std::fmt;
use std::str::FromStr;

pub use troubles::{Trouble, Troubles};

/// A way of making trouble, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Schedule {
    /// Anything, at any time, to anybody.
    Random,
}

impl Schedule {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Random];

    /// What a person calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|schedule| schedule.name() == name);
        found.ok_or_else(|| format!("no schedule is called {name:?}; there are {}", known()))
    }
}
