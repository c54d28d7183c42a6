//! Debounce and throttle: at most one update per field is kept back, the latest.

use std::time::Duration;

use crate::core::{FieldId, SharedState, Timing};
use crate::replica::pending::{Pending, PendingUpdate};
use crate::replica::{Replica, WriteId};

/// An update that shows in the view already and is sent later.
pub(super) struct Held<S: SharedState> {
    pub(super) id: WriteId,
    pub(super) field: FieldId,
    pub(super) update: PendingUpdate<S>,
    pub(super) due: Duration,
    /// When it is sent even if writes keep coming.
    pub(super) latest: Duration,
}

impl<S: SharedState> Replica<S> {
    /// Until when a write with this timing is kept back, and at the latest; `None`: send it at once.
    pub(super) fn keep_until(
        &self,
        field: FieldId,
        timing: Timing,
        now: Duration,
    ) -> Option<(Duration, Duration)> {
        match timing {
            Timing::Immediate => None,
            Timing::Debounce { wait, max_wait } => Some((now + wait, now + max_wait)),
            Timing::Throttle { every } => {
                let due = self.sent_at[field]? + every;
                (due > now).then_some((due, due))
            }
        }
    }

    /// Moves what is kept back at `at` to the end of the queue.
    pub(super) fn release(&mut self, at: usize, now: Duration) {
        let Held { id, field, update, .. } = self.held.remove(at);
        self.sent_at[field] = Some(now);
        self.queue.push(Pending { id, updates: vec![update], reads: None, sent: None });
    }

    /// Sends on what is kept back of these fields.
    pub(super) fn release_fields(&mut self, fields: &[FieldId], now: Duration) {
        while let Some(at) = self.held.iter().position(|held| fields.contains(&held.field)) {
            self.release(at, now);
        }
    }
}
