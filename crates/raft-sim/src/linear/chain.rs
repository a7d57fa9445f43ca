//! What can be checked in one pass when the order is known: every write has a serial that nobody
//! else has, and in the end somebody reads all serials in their order.
//!
//! Then a search is not needed, and a million writes take as long per write as ten. Who knows the
//! order less well needs [`check`](super::check()).

use std::collections::BTreeMap;
use std::fmt;

/// What a client knows of its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<S> {
    /// It took effect.
    Done {
        /// When the answer came.
        at: u64,
        /// The number of its place, which rises from place to place.
        place: Option<u64>,
        /// The serial right before it.
        after: Option<S>,
    },
    /// It surely has no effect.
    Failed,
    /// Nothing.
    Unknown,
}

/// A write, as its client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write<S> {
    /// Its name: no other write has it.
    pub serial: S,
    /// When it was asked for, on the clock of [`Known::Done::at`].
    pub called: u64,
    /// What came of it.
    pub known: Known<S>,
}

/// Why this cannot be the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken<S> {
    /// Two writes have this serial, so nothing can be said.
    Ambiguous(S),
    /// It is in the order twice.
    Twice(S),
    /// It is in the order, and nobody asked for it.
    FromNowhere(S),
    /// It is in the order, and a client was told that it surely has no effect.
    Failed(S),
    /// A client was told that it took effect, and it is not in the order.
    Lost(S),
    /// A client was told that it stands right behind another one.
    Misplaced {
        /// It.
        serial: S,
        /// The one before it.
        after: Option<S>,
    },
    /// Its place has a lower number than one before it.
    PlaceFalls {
        /// It.
        serial: S,
        /// Its place.
        place: u64,
        /// The one before.
        before: u64,
    },
    /// It was called after a later one had been answered.
    TooEarly {
        /// It.
        serial: S,
        /// The later one.
        later: S,
    },
}

/// Whether all writes can have taken effect in this order.
///
/// # Errors
/// The first thing that speaks against it.
pub fn check<S: Ord + Clone>(
    writes: impl IntoIterator<Item = Write<S>>,
    order: &[S],
) -> Result<(), Broken<S>> {
    let mut by_serial = BTreeMap::new();
    for write in writes {
        if let Some(other) = by_serial.insert(write.serial.clone(), write) {
            return Err(Broken::Ambiguous(other.serial));
        }
    }
    let mut in_order = Vec::with_capacity(order.len());
    for serial in order {
        match by_serial.remove_entry(serial) {
            Some((_, write)) => in_order.push(write),
            None if in_order.iter().any(|write: &Write<S>| write.serial == *serial) => {
                return Err(Broken::Twice(serial.clone()));
            }
            None => return Err(Broken::FromNowhere(serial.clone())),
        }
    }
    let lost = by_serial.into_values().find(|write| matches!(write.known, Known::Done { .. }));
    if let Some(write) = lost {
        return Err(Broken::Lost(write.serial));
    }
    places(&in_order)?;
    times(&in_order)
}

/// What clients were told of the places of their writes.
fn places<S: Ord + Clone>(order: &[Write<S>]) -> Result<(), Broken<S>> {
    let (mut last, mut highest) = (None, None);
    for Write { serial, known, .. } in order {
        match known {
            Known::Failed => return Err(Broken::Failed(serial.clone())),
            Known::Unknown => {}
            Known::Done { place, after, .. } => {
                if after.is_some() && after.as_ref() != last {
                    return Err(Broken::Misplaced { serial: serial.clone(), after: last.cloned() });
                }
                if let (Some(place), Some(before)) = (*place, highest)
                    && place <= before
                {
                    return Err(Broken::PlaceFalls { serial: serial.clone(), place, before });
                }
                highest = place.or(highest);
            }
        }
        last = Some(serial);
    }
    Ok(())
}

/// From the end: whatever was called after one of the later ones was answered stands too early.
fn times<S: Ord + Clone>(order: &[Write<S>]) -> Result<(), Broken<S>> {
    let mut first: Option<(u64, &S)> = None;
    for Write { serial, called, known } in order.iter().rev() {
        if let Some((at, later)) = first
            && at < *called
        {
            return Err(Broken::TooEarly { serial: serial.clone(), later: later.clone() });
        }
        if let Known::Done { at, .. } = known
            && first.is_none_or(|(first, _)| *at < first)
        {
            first = Some((*at, serial));
        }
    }
    Ok(())
}

impl<S: fmt::Display> fmt::Display for Broken<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambiguous(serial) => write!(f, "two writes are called {serial}"),
            Self::Twice(serial) => write!(f, "{serial} took effect twice"),
            Self::FromNowhere(serial) => write!(f, "{serial} took effect, and nobody wanted it"),
            Self::Failed(serial) => {
                write!(f, "{serial} took effect, and its client was told that it surely does not")
            }
            Self::Lost(serial) => write!(f, "{serial} was acknowledged and is lost"),
            Self::Misplaced { serial, after: Some(after) } => {
                write!(f, "{serial} stands right behind {after}, and its client was told otherwise")
            }
            Self::Misplaced { serial, after: None } => {
                write!(f, "{serial} is the first, and its client was told otherwise")
            }
            Self::PlaceFalls { serial, place, before } => {
                write!(f, "{serial} is at {place}, behind something that is at {before}")
            }
            Self::TooEarly { serial, later } => {
                write!(f, "{serial} was called after {later} was answered, and stands before it")
            }
        }
    }
}
