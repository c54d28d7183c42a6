//! The changes to send and those that were sent, in order: the sent ones first, then the unsent ones. Owns
//! their sequence numbers, the window of unanswered changes, the count of bytes and what is known per field.

use std::collections::VecDeque;

use crate::core::{FieldId, SharedState};
use crate::replica::change::{Change, Guard, PendingUpdate, Reads, Sent, WriteId};

/// A write is folded into an unsent one only if that is among the last this many of the queue, so that a
/// write costs the same however long the queue is.
const FOLD_REACH: usize = 256;

pub(super) struct Queue<S: SharedState> {
    changes: VecDeque<Change<S>>,
    /// How many changes, from the front, were sent over the current connection.
    in_flight: usize,
    /// How many changes may be in flight.
    window: usize,
    /// The sequence number of the next change that was never sent.
    next_seq: u64,
    bytes: usize,
    /// How many changes are transactions, which depend on what they have read.
    transactions: usize,
    /// Per field, how many updates change it.
    touching: Vec<u32>,
}

impl<S: SharedState> Queue<S> {
    pub(super) fn new() -> Self {
        Self {
            changes: VecDeque::new(),
            in_flight: 0,
            window: 1,
            next_seq: 1,
            bytes: 0,
            transactions: 0,
            touching: vec![0; S::FIELDS.len()],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) const fn has_transactions(&self) -> bool {
        self.transactions > 0
    }

    pub(super) fn touches(&self, field: FieldId) -> bool {
        self.touching[field] > 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Change<S>> + Clone {
        self.changes.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Change<S>> {
        self.changes.iter_mut()
    }

    pub(super) fn set_window(&mut self, window: usize) {
        self.window = window.max(1);
    }

    pub(super) fn push(&mut self, change: Change<S>) {
        self.insert(self.changes.len(), change);
    }

    /// Puts a change at an index among the unsent ones.
    pub(super) fn insert(&mut self, at: usize, change: Change<S>) {
        for field in change.updates.iter().map(PendingUpdate::field) {
            self.touching[field] += 1;
        }
        self.transactions += usize::from(change.reads.is_some());
        self.bytes += change.bytes();
        self.changes.insert(at.min(self.changes.len()), change);
    }

    /// The index of the unsent change into which a new plain write to `field` may be folded: the last one
    /// that touches or reads the field. With a rule over the whole state it must also be the last change of
    /// the queue.
    pub(super) fn foldable(&self, field: FieldId) -> Option<usize> {
        if !self.touches(field) {
            return None;
        }
        let reach = if S::HAS_RULE { 1 } else { FOLD_REACH };
        let from = self.changes.len().saturating_sub(reach);
        let at = (from..self.changes.len()).rev().find(|at| self.changes[*at].depends_on(field))?;
        let change = &self.changes[at];
        let plain = change.sent.is_none() && change.reads.is_none() && change.updates.len() == 1;
        (plain && change.touches(field)).then_some(at)
    }

    pub(super) fn get(&self, at: usize) -> &Change<S> {
        &self.changes[at]
    }

    /// Replaces the only update of a [foldable](Self::foldable) change.
    pub(super) fn replace(&mut self, at: usize, folded: PendingUpdate<S>) -> WriteId {
        let change = &mut self.changes[at];
        self.bytes -= change.bytes();
        change.updates[0] = folded;
        self.bytes += change.bytes();
        change.id
    }

    /// The change to send next over the current connection, if the window allows one.
    pub(super) fn next(&self) -> Option<&Change<S>> {
        let next = self.changes.get(self.in_flight).filter(|_| self.in_flight < self.window)?;
        // A transaction may have read changes of this client that are not confirmed yet; it is sent once they
        // are.
        let waits = next.sent.is_none()
            && next.stale().is_none()
            && next.reads.as_ref().is_some_and(|reads| self.in_flight_touches(reads));
        (!waits).then_some(next)
    }

    /// Whether one of these changes is in flight.
    pub(super) fn is_in_flight(&self, ids: &[WriteId]) -> bool {
        !ids.is_empty() && self.changes.iter().take(self.in_flight).any(|sent| ids.contains(&sent.id))
    }

    /// The index of a change.
    pub(super) fn position(&self, id: WriteId) -> Option<usize> {
        self.changes.iter().position(|change| change.id == id)
    }

    /// Replaces the updates of an unsent change.
    pub(super) fn revise(&mut self, at: usize, updates: Vec<PendingUpdate<S>>) {
        if let Some(change) = self.take(at) {
            self.insert(at, Change { updates, ..change });
        }
    }

    /// Calls `each` with every change, to change its updates.
    pub(super) fn update_each(&mut self, mut each: impl FnMut(&mut Change<S>)) {
        for change in &mut self.changes {
            self.bytes -= change.bytes();
            for field in change.updates.iter().map(PendingUpdate::field) {
                self.touching[field] -= 1;
            }
            each(change);
            self.bytes += change.bytes();
            for field in change.updates.iter().map(PendingUpdate::field) {
                self.touching[field] += 1;
            }
        }
    }

    /// Whether a change in flight touches a field that `reads` contains.
    fn in_flight_touches(&self, reads: &Reads) -> bool {
        self.touched_in_flight(|change| reads.fields().any(|field| change.touches(field)))
    }

    /// Whether this is so for a change in flight.
    fn touched_in_flight(&self, is_so: impl Fn(&Change<S>) -> bool) -> bool {
        self.changes.iter().take(self.in_flight).any(is_so)
    }

    /// Whether an unsent change, which takes back what `guard` says, has to wait for one in flight of the same
    /// fields. If that one takes back something and is refused, it is sent again, after those that are in flight;
    /// if this one does, the server would take the one in flight for somebody else's.
    pub(super) fn waits_for_guarded(&self, next: &Change<S>, guard: Option<&Guard>) -> bool {
        self.touched_in_flight(|sent| {
            let mut of_next = guard.iter().flat_map(|guard| &guard.fields);
            let mut of_sent = sent.guard.iter().flat_map(|guard| &guard.fields);
            of_next.any(|field| sent.touches(*field))
                || of_sent.any(|field| next.depends_on(*field))
                || S::HAS_RULE && (guard.is_some() || sent.guard.is_some())
        })
    }

    /// Says what the next change takes back.
    pub(super) fn guard_next(&mut self, guard: Option<Guard>) {
        if let Some(next) = self.changes.get_mut(self.in_flight) {
            next.guard = guard;
        }
    }

    /// Puts a change that was refused behind those that were sent, as an unsent one.
    pub(super) fn send_later(&mut self, change: Change<S>) {
        let at = self.changes.iter().rposition(|change| change.sent.is_some()).map_or(0, |last| last + 1);
        self.insert(at, Change { guard: None, sent: None, ..change });
    }

    /// What a change is sent with: the same again, or the next sequence number.
    pub(super) fn number(&self, change: &Change<S>, version: u64) -> Sent {
        change.sent.unwrap_or(Sent { seq: self.next_seq, base: version })
    }

    /// The [next](Self::next) change was sent.
    pub(super) fn next_was_sent(&mut self, sent: Sent) {
        self.changes[self.in_flight].sent = Some(sent);
        self.next_seq = self.next_seq.max(sent.seq + 1);
        self.in_flight += 1;
    }

    /// The sequence number of the first change in flight.
    pub(super) fn first_sent(&self) -> Option<u64> {
        let first = self.changes.front().filter(|_| self.in_flight > 0)?;
        first.sent.map(|sent| sent.seq)
    }

    /// The connection is lost: every change has to be sent again.
    pub(super) const fn unsend(&mut self) {
        self.in_flight = 0;
    }

    /// The index of the change with this sequence number.
    pub(super) fn with_seq(&self, seq: u64) -> Option<usize> {
        self.changes.iter().position(|change| change.sent.is_some_and(|sent| sent.seq == seq))
    }

    /// The index of the first change that was sent with a sequence number up to `last`.
    pub(super) fn with_seq_up_to(&self, last: u64) -> Option<usize> {
        self.changes.iter().position(|change| change.sent.is_some_and(|sent| sent.seq <= last))
    }

    /// The index of the [next](Self::next) change.
    pub(super) const fn next_at(&self) -> usize {
        self.in_flight
    }

    pub(super) fn take(&mut self, at: usize) -> Option<Change<S>> {
        let change = self.changes.remove(at)?;
        if at < self.in_flight {
            self.in_flight -= 1;
        }
        self.bytes -= change.bytes();
        self.transactions -= usize::from(change.reads.is_some());
        for field in change.updates.iter().map(PendingUpdate::field) {
            self.touching[field] -= 1;
        }
        Some(change)
    }

    /// The sequence number up to which every change was answered.
    pub(super) fn acked(&self) -> u64 {
        self.changes.iter().find_map(|change| change.sent).map_or(self.next_seq, |sent| sent.seq) - 1
    }

    /// Another history has begun, in which the room has received the changes up to `last` from this client.
    /// Plain changes are sent as new ones; transactions are stale, because the values they read are gone.
    pub(super) fn restart(&mut self, last: u64) {
        self.next_seq = self.next_seq.max(last.saturating_add(1));
        self.update_each(|change| {
            // Nobody has moved anything in the new history.
            change.updates.iter_mut().for_each(|update| update.forwarded = None);
            change.sent = None;
            if let Some(reads) = &mut change.reads {
                reads.stale = reads.all.first().map(|read| read.path.clone());
            }
        });
    }
}
