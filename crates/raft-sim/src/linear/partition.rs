//! Part by part: a history of independent parts is linearizable when the history of each is
//! (Herlihy and Wing call that locality).

use std::collections::BTreeMap;

use super::history::History;
use super::models::{HistoryOf, Model};

/// The history of every part.
#[must_use]
pub fn by_key<M: Model>(model: &M, history: &HistoryOf<M>) -> BTreeMap<M::Key, HistoryOf<M>> {
    let mut parts: BTreeMap<M::Key, Vec<_>> = BTreeMap::new();
    for operation in history.operations() {
        parts.entry(model.key(&operation.input)).or_default().push(operation.clone());
    }
    parts.into_iter().map(|(key, operations)| (key, History::of(operations))).collect()
}
