//! Debounced and throttled writes: at most one update per field is delayed, the latest one. Called by the
//! replica's writes and its [`tick`](Replica::tick).

use std::time::Duration;

use crate::core::{FieldId, SharedState, Timing};
use crate::replica::pending::{Pending, PendingUpdate};
use crate::replica::{Replica, WriteId};

/// An update that the view already contains and that is sent later.
pub(super) struct Held<S: SharedState> {
    pub(super) id: WriteId,
    pub(super) field: FieldId,
    pub(super) update: PendingUpdate<S>,
    pub(super) due: Duration,
    /// When it is sent at the latest, however many writes follow.
    pub(super) latest: Duration,
}

impl<S: SharedState> Replica<S> {
    /// When a write with this timing is due and when it is due at the latest; `None`: send it at once.
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

    /// Moves the delayed update at index `at` to the end of the queue.
    pub(super) fn release(&mut self, at: usize, now: Duration) {
        let Held { id, field, update, .. } = self.held.remove(at);
        self.sent_at[field] = Some(now);
        self.queue.push(Pending { id, updates: vec![update], reads: None, sent: None });
    }

    /// Moves the delayed updates of these fields to the end of the queue.
    pub(super) fn release_fields(&mut self, fields: &[FieldId], now: Duration) {
        while let Some(at) = self.held.iter().position(|held| fields.contains(&held.field)) {
            self.release(at, now);
        }
    }
}
