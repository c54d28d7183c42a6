//! The server's limits on what this client sends, checked before a change is shown.
//!
//! The limits are known after the first `welcome`. A change that was written before is checked when its turn to be
//! sent comes, and refused then.

use crate::core::{Reject, SharedState, WireUpdate};
use crate::proto::{AROUND_UPDATE, ClientLimits};
use crate::replica::change::{PendingUpdate, WriteId, bytes_of};

/// The bytes of a `state:change` around its updates and the names of its room and channel: member names, numbers of at
/// most 16 digits, and what the writing of names as JSON may add.
const ENVELOPE: usize = 192;

/// The limits, and the last write that was not checked against them.
pub(super) struct SendLimits {
    limits: ClientLimits,
    unchecked: Option<WriteId>,
}

impl SendLimits {
    pub(super) fn new() -> Self {
        Self { limits: ClientLimits::default(), unchecked: None }
    }

    /// Sets the limits. `last` is the id of the last write, which was checked against the limits before.
    pub(super) fn set(&mut self, limits: ClientLimits, last: WriteId) {
        if self.limits != limits {
            self.limits = limits;
            self.unchecked = Some(last);
        }
    }

    /// Whether the write with this id was made before the limits were known.
    pub(super) fn is_unchecked(&self, id: WriteId) -> bool {
        self.unchecked.is_some_and(|unchecked| id <= unchecked)
    }

    /// Checks a change. `around` is the length of what its frame has besides the updates.
    ///
    /// # Errors
    /// The server would refuse the change, or the frame, whatever the state.
    pub(super) fn check<S: SharedState>(
        &self,
        updates: &[PendingUpdate<S>],
        around: usize,
    ) -> Result<(), Reject> {
        self.limits.check_updates(updates.len())?;
        self.limits.check_frame(bytes_of(updates) + updates.len() + around + ENVELOPE)?;
        for update in updates {
            let json = update.encoded.as_str();
            // The update is an object, which is one of the levels around its value.
            self.limits
                .check_depth(json, AROUND_UPDATE)
                .and_then(|()| {
                    // A path is shorter than the update that has it.
                    if json.len() <= self.limits.key { Ok(()) } else { self.limits.check_key(&key_of(json)) }
                })
                .map_err(|reject| reject.in_field(S::FIELDS[update.field()].name))?;
        }
        Ok(())
    }

    /// Checks a frame that is about to be sent.
    ///
    /// # Errors
    /// It is longer than the limit.
    pub(super) fn check_frame(&self, bytes: usize) -> Result<(), Reject> {
        self.limits.check_frame(bytes)
    }
}

/// The path of an encoded update.
fn key_of(json: &str) -> String {
    serde_json::from_str::<WireUpdate<'_>>(json).map(|update| update.key.into_owned()).unwrap_or_default()
}
