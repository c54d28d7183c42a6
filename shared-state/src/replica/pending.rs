//! The changes of this client that the server has not answered, in order: the sent ones first, then the
//! unsent ones.

use std::collections::VecDeque;

use crate::core::{EncodedUpdate, FieldId, SharedState};
use crate::replica::{Read, WriteId};

/// A write is folded into an unsent one only if that is among the last this many of the queue, so that a
/// write costs the same however long the queue is.
const FOLD_REACH: usize = 256;

/// An update in both forms. The typed form was decoded from the encoded one, so this client sees exactly what
/// the other clients will see.
pub(super) struct PendingUpdate<S: SharedState> {
    pub(super) typed: S::Update,
    pub(super) encoded: EncodedUpdate,
    /// Whether it could be applied when the view was last rebuilt. It could not if what it changes was
    /// removed with a refused change or with a lost history. Such an update will be refused, so nothing is
    /// folded into it.
    pub(super) applies: bool,
}

/// What a transaction has read.
pub(super) struct Reads {
    pub(super) all: Vec<Read>,
    /// The path of something that was read and has changed since, before the transaction was sent.
    pub(super) stale: Option<Box<str>>,
}

impl Reads {
    /// The fields that were read, or that contain the entries that were.
    pub(super) fn fields(&self) -> impl Iterator<Item = FieldId> {
        self.all.iter().map(|read| read.field)
    }
}

/// One change that waits for its answer.
pub(super) struct Pending<S: SharedState> {
    pub(super) id: WriteId,
    pub(super) updates: Vec<PendingUpdate<S>>,
    pub(super) reads: Option<Reads>,
    /// Its sequence number, and the version at which it was first sent; `None` if it was never sent.
    pub(super) sent: Option<Sent>,
}

#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) seq: u64,
    pub(super) base: u64,
}

impl<S: SharedState> Pending<S> {
    pub(super) fn bytes(&self) -> usize {
        self.updates.iter().map(|update| update.encoded.as_str().len()).sum()
    }

    pub(super) fn touches(&self, field: FieldId) -> bool {
        self.updates.iter().any(|update| S::field(&update.typed) == field)
    }
}

pub(super) struct Queue<S: SharedState> {
    changes: VecDeque<Pending<S>>,
    /// How many changes, from the front, were sent over the current connection.
    on_the_way: usize,
    bytes: usize,
    /// Per field, the last change that touches or reads it.
    last: Vec<Option<WriteId>>,
}

impl<S: SharedState> Queue<S> {
    pub(super) fn new(fields: usize) -> Self {
        Self { changes: VecDeque::new(), on_the_way: 0, bytes: 0, last: vec![None; fields] }
    }

    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) const fn on_the_way(&self) -> usize {
        self.on_the_way
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Pending<S>> {
        self.changes.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Pending<S>> {
        self.changes.iter_mut()
    }

    pub(super) fn push(&mut self, change: Pending<S>) {
        for update in &change.updates {
            self.last[S::field(&update.typed)] = Some(change.id);
        }
        for field in change.reads.iter().flat_map(Reads::fields) {
            self.last[field] = Some(change.id);
        }
        self.bytes += change.bytes();
        self.changes.push_back(change);
    }

    /// The unsent change into which a new plain write to `field` may be folded: the last one that touches or
    /// reads the field. With `last_only` it must also be the last change of the queue.
    pub(super) fn foldable(&self, field: FieldId, last_only: bool) -> Option<&Pending<S>> {
        self.changes.get(self.foldable_at(field, last_only)?)
    }

    fn foldable_at(&self, field: FieldId, last_only: bool) -> Option<usize> {
        let id = self.last[field]?;
        let reach = if last_only { 1 } else { FOLD_REACH };
        let from = self.changes.len().saturating_sub(reach);
        let at = (from..self.changes.len()).rev().find(|at| self.changes[*at].id == id)?;
        let change = &self.changes[at];
        let plain = change.sent.is_none() && change.reads.is_none() && change.updates.len() == 1;
        (plain && change.touches(field)).then_some(at)
    }

    /// Replaces the update that `folded` was made from.
    ///
    /// # Errors
    /// There is no such update; returns `folded`.
    pub(super) fn replace(
        &mut self,
        field: FieldId,
        last_only: bool,
        folded: PendingUpdate<S>,
    ) -> Result<WriteId, PendingUpdate<S>> {
        let Some(at) = self.foldable_at(field, last_only) else { return Err(folded) };
        let change = &mut self.changes[at];
        self.bytes -= change.bytes();
        change.updates[0] = folded;
        self.bytes += change.bytes();
        Ok(change.id)
    }

    /// The change to send next over the current connection.
    pub(super) fn next(&self) -> Option<&Pending<S>> {
        self.changes.get(self.on_the_way)
    }

    /// As [`next`](Self::next), mutably.
    pub(super) fn next_to_send(&mut self) -> Option<&mut Pending<S>> {
        self.changes.get_mut(self.on_the_way)
    }

    /// Whether a change in flight touches a field that `reads` contains.
    pub(super) fn sent_touch(&self, reads: &Reads) -> bool {
        let mut sent = self.changes.iter().take(self.on_the_way);
        sent.any(|change| reads.fields().any(|field| change.touches(field)))
    }

    pub(super) fn next_was_sent(&mut self) {
        self.on_the_way += 1;
    }

    /// The sequence number of the first change in flight.
    pub(super) fn first_sent(&self) -> Option<u64> {
        let first = self.changes.front().filter(|_| self.on_the_way > 0)?;
        first.sent.map(|sent| sent.seq)
    }

    /// The connection is lost: every change has to be sent again.
    pub(super) fn unsend(&mut self) {
        self.on_the_way = 0;
    }

    /// Removes the change with this sequence number.
    pub(super) fn take_seq(&mut self, seq: u64) -> Option<Pending<S>> {
        let at = self.changes.iter().position(|change| change.sent.is_some_and(|sent| sent.seq == seq))?;
        self.take(at)
    }

    /// Removes the first change that was sent with a sequence number up to `last`.
    pub(super) fn take_answered(&mut self, last: u64) -> Option<Pending<S>> {
        let at = self.changes.iter().position(|change| change.sent.is_some_and(|sent| sent.seq <= last))?;
        self.take(at)
    }

    /// Puts a change back that was just removed from the front of those in flight.
    pub(super) fn put_back(&mut self, change: Pending<S>) {
        self.bytes += change.bytes();
        self.changes.push_front(change);
        self.on_the_way += 1;
    }

    pub(super) fn take(&mut self, at: usize) -> Option<Pending<S>> {
        let change = self.changes.remove(at)?;
        if at < self.on_the_way {
            self.on_the_way -= 1;
        }
        self.bytes -= change.bytes();
        Some(change)
    }

    /// The sequence number up to which every change was answered.
    pub(super) fn acked(&self, next_seq: u64) -> u64 {
        let first = self.changes.iter().find_map(|change| change.sent).map_or(next_seq, |sent| sent.seq);
        first - 1
    }
}
