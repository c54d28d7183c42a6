//! The server's limits on what this client sends, checked before a change is shown.
//!
//! The limits are known after the first `welcome`. A change is checked again when its turn to be sent comes, and refused
//! then: it may have been written before, or others may have moved what it changes to a longer path.

use crate::core::{Reject, SharedState, work};
use crate::proto::{AROUND_UPDATE, ClientLimits};
use crate::replica::change::{PendingUpdate, bytes_of};
use crate::replica::transact::Read;

/// The bytes of a `state:change` around its updates and the names of its room and channel: member names, numbers of at
/// most 16 digits, and what the writing of names as JSON may add.
const ENVELOPE: usize = 192;

#[derive(Default)]
pub(super) struct SendLimits {
    limits: ClientLimits,
}

impl SendLimits {
    pub(super) const fn set(&mut self, limits: ClientLimits) {
        self.limits = limits;
    }

    /// Checks a change of a room and the paths that it has read.
    ///
    /// # Errors
    /// The server would refuse the change, or the frame, whatever the state.
    pub(super) fn check<S: SharedState>(
        &self,
        updates: &[PendingUpdate<S>],
        reads: &[Read],
        room: &str,
    ) -> Result<(), Reject> {
        self.limits.check_updates(updates.len())?;
        if !reads.is_empty() {
            self.limits.check_updates(reads.len())?;
        }
        reads.iter().try_for_each(|read| self.limits.check_key(&read.path))?;
        let read: usize = reads.iter().map(|read| read.path.len() + 4).sum();
        self.limits.check_frame(bytes_of(updates) + updates.len() + read + room.len() + ENVELOPE)?;
        for update in updates {
            let json = update.encoded.as_str();
            // The update is an object, which is one of the levels around its value.
            self.limits
                .check_depth(json, AROUND_UPDATE)
                .and_then(|()| self.check_paths(update))
                .map_err(|reject| reject.in_field(S::FIELDS[update.field()].name))?;
        }
        Ok(())
    }

    /// Checks the path of an update, and that of an item that it inserts.
    fn check_paths<S: SharedState>(&self, update: &PendingUpdate<S>) -> Result<(), Reject> {
        let json = update.encoded.as_str();
        // A path is at most twice as long as the update: its key is in the update, and escaped in the path.
        if json.len() <= self.limits.key / 2 {
            return Ok(());
        }
        let wire = serde_json::from_str(json);
        wire.map_or(Ok(()), |wire| self.limits.check_paths::<S>(&wire, &update.typed))
    }

    /// Runs `apply`, which applies a change here as the server will there, within the work that the server does for one.
    pub(super) fn bound_work<R>(&self, apply: impl FnOnce() -> R) -> R {
        work::limited(self.limits.work, apply)
    }

    /// Checks a frame that is about to be sent.
    ///
    /// # Errors
    /// It is longer than the limit.
    pub(super) fn check_frame(&self, bytes: usize) -> Result<(), Reject> {
        self.limits.check_frame(bytes)
    }
}
