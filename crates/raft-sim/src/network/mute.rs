//! Connections on which messages of consensus got lost.

use super::{Network, Wire};
use crate::clock::{Clock, Happening};

impl Network {
    /// What gets lost on a way is sent again, or the connection breaks: none goes on as if nothing
    /// had been said.
    pub(super) fn break_mute(&self, clock: &mut Clock) {
        for (wire, Wire { dialler, listener, .. }) in &self.wires {
            let (one, other) = (dialler.place, listener.place);
            if self.paths.is_mute(one, other) || self.paths.is_mute(other, one) {
                clock.after(0, Happening::Snap(*wire));
            }
        }
    }
}
