//! Debounced and throttled writes: one update per field is delayed, the latest one. There may be more of a field into
//! which somebody else has moved an item with a delayed write.

use std::time::Duration;

use crate::core::{FieldId, SharedState, Timing};
use crate::replica::change::{Change, PendingUpdate, WriteId};

/// An update that the view already contains and that is sent later.
pub(super) struct Held<S: SharedState> {
    pub(super) id: WriteId,
    pub(super) field: FieldId,
    pub(super) update: PendingUpdate<S>,
    due: Duration,
    /// When it is sent at the latest, however many writes follow.
    latest: Duration,
}

impl<S: SharedState> Held<S> {
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.due <= now
    }

    fn into_change(self) -> Change<S> {
        Change { id: self.id, updates: vec![self.update], reads: None, guard: None, sent: None }
    }
}

/// The delayed writes of all fields, in the order in which they lie on the queued ones.
pub(super) struct Delayed<S: SharedState> {
    writes: Vec<Held<S>>,
    /// Per field, when an update was last queued for sending. Throttling counts from here.
    sent_at: Vec<Option<Duration>>,
}

impl<S: SharedState> Delayed<S> {
    pub(super) fn new() -> Self {
        Self { writes: Vec::new(), sent_at: vec![None; S::FIELDS.len()] }
    }

    pub(super) fn len(&self) -> usize {
        self.writes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Held<S>> {
        self.writes.iter()
    }

    pub(super) fn updates_mut(&mut self) -> impl Iterator<Item = &mut PendingUpdate<S>> {
        self.writes.iter_mut().map(|held| &mut held.update)
    }

    pub(super) fn each_mut(&mut self) -> impl Iterator<Item = &mut Held<S>> {
        self.writes.iter_mut()
    }

    /// The writes with their ids.
    pub(super) fn held_mut(&mut self) -> impl Iterator<Item = (WriteId, &mut PendingUpdate<S>)> {
        self.writes.iter_mut().map(|held| (held.id, &mut held.update))
    }

    /// When the first write is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.writes.iter().map(|held| held.due).min()
    }

    /// The index of the delayed write to a field, the last one if an item has moved here that has one.
    pub(super) fn position(&self, field: FieldId) -> Option<usize> {
        self.writes.iter().rposition(|held| held.field == field)
    }

    pub(super) fn get(&self, at: usize) -> &Held<S> {
        &self.writes[at]
    }

    /// Replaces the update of a delayed write. That of a debounced field starts to wait anew.
    pub(super) fn replace(&mut self, at: usize, update: PendingUpdate<S>, now: Duration) -> WriteId {
        let held = &mut self.writes[at];
        if let Timing::Debounce { wait, .. } = S::timing(&update.typed) {
            held.due = (now + wait).min(held.latest);
        }
        held.update = update;
        held.id
    }

    /// An update of this field is queued for sending now.
    pub(super) fn was_sent(&mut self, field: FieldId, now: Duration) {
        self.sent_at[field] = Some(now);
    }

    /// Delays a write if its timing says so.
    ///
    /// # Errors
    /// It is to be sent at once; returns it, and counts it as sent.
    pub(super) fn hold(
        &mut self,
        id: WriteId,
        update: PendingUpdate<S>,
        timing: Timing,
        now: Duration,
    ) -> Result<(), PendingUpdate<S>> {
        let field = update.field();
        let times = match timing {
            Timing::Immediate => None,
            Timing::Debounce { wait, max_wait } => Some((now + wait, now + max_wait)),
            Timing::Throttle { every } => {
                self.sent_at[field].map(|sent| sent + every).filter(|due| *due > now).map(|due| (due, due))
            }
        };
        let Some((due, latest)) = times else {
            self.was_sent(field, now);
            return Err(update);
        };
        self.writes.push(Held { id, field, update, due, latest });
        Ok(())
    }

    /// Removes the first write that `pick` chooses, to be sent now.
    pub(super) fn release(&mut self, now: Duration, pick: impl Fn(&Held<S>) -> bool) -> Option<Change<S>> {
        let held = self.writes.remove(self.writes.iter().position(pick)?);
        self.was_sent(held.field, now);
        Some(held.into_change())
    }

    /// Removes a write.
    pub(super) fn take(&mut self, id: WriteId) -> Option<(usize, Held<S>)> {
        let at = self.writes.iter().position(|held| held.id == id)?;
        Some((at, self.writes.remove(at)))
    }

    /// Puts a write back that was [taken](Self::take).
    pub(super) fn put_back(&mut self, at: usize, held: Held<S>) {
        self.writes.insert(at.min(self.writes.len()), held);
    }

    /// Removes all writes, none of which is sent.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Change<S>> {
        self.writes.drain(..).map(Held::into_change)
    }
}
