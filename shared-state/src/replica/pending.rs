//! Everything of this client that the server has not answered: the queue, and the delayed writes on top of
//! it. Owns the limits and the ids of the writes.

use std::time::Duration;

use crate::core::transfer::ItemMove;
use crate::core::{FieldId, FieldPath, Overlap, SharedState, Timing, Versions, WriteError};
use crate::replica::change::{Change, Forwarding, PendingUpdate, Reads, WriteId, bytes_of};
use crate::replica::config::ReplicaConfig;
use crate::replica::delayed::{Delayed, Held};
use crate::replica::pending_moves::PendingMoves;
use crate::replica::queue::Queue;
use crate::replica::transact::Read;
use crate::replica::undo::Kind;

/// The update into which a write is folded.
#[derive(Clone, Copy)]
enum Place {
    Delayed(usize),
    Queued(usize),
}

/// An update made of a waiting one and a new one, which takes the place of the waiting one. Valid until the
/// next change of [`Pending`].
pub(super) struct Folded<S: SharedState> {
    place: Place,
    pub(super) update: PendingUpdate<S>,
}

/// A change that was removed before it was sent, and where it was.
pub(super) enum Withdrawn<S: SharedState> {
    Delayed(usize, Held<S>),
    Queued(usize, Change<S>),
}

impl<S: SharedState> Withdrawn<S> {
    pub(super) fn updates(&self) -> &[PendingUpdate<S>] {
        match self {
            Self::Delayed(_, held) => std::slice::from_ref(&held.update),
            Self::Queued(_, change) => &change.updates,
        }
    }
}

pub(super) struct Pending<S: SharedState> {
    pub(super) queue: Queue<S>,
    delayed: Delayed<S>,
    last_id: u64,
    max_changes: usize,
    max_bytes: usize,
}

impl<S: SharedState> Pending<S> {
    pub(super) fn new(config: &ReplicaConfig) -> Self {
        Self {
            queue: Queue::new(),
            delayed: Delayed::new(),
            last_id: 0,
            max_changes: config.max_changes,
            max_bytes: config.max_bytes,
        }
    }

    /// How many changes wait for their answer.
    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.delayed.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a change, queued or delayed, touches a field.
    pub(super) fn touches(&self, field: FieldId) -> bool {
        self.queue.touches(field) || self.delayed.position(field).is_some()
    }

    /// All updates, in the order in which they lie on the confirmed state.
    fn updates(&self) -> impl Iterator<Item = &PendingUpdate<S>> {
        let queued = self.queue.iter().flat_map(|change| &change.updates);
        queued.chain(self.delayed.iter().map(|held| &held.update))
    }

    /// As [`updates`](Self::updates), mutably.
    pub(super) fn updates_mut(&mut self) -> impl Iterator<Item = &mut PendingUpdate<S>> {
        let queued = self.queue.iter_mut().flat_map(|change| &mut change.updates);
        queued.chain(self.delayed.updates_mut())
    }

    /// The changes, in the order in which they lie on the confirmed state.
    pub(super) fn changes_mut(&mut self) -> impl Iterator<Item = (WriteId, &mut [PendingUpdate<S>])> {
        let queued = self.queue.iter_mut().map(|change| (change.id, &mut change.updates[..]));
        queued.chain(self.delayed.held_mut().map(|(id, update)| (id, std::slice::from_mut(update))))
    }

    /// Somebody else has moved an item: forwards what is pending for it.
    pub(super) fn forward(&mut self, item: &ItemMove, state: &mut S) -> Forwarding<S> {
        let mut forwarding = Forwarding::new();
        self.queue.update_each(|change| {
            let was_sent = change.sent.is_some();
            forwarding.apply(item, state, (change.id, &mut change.updates), was_sent);
        });
        for held in self.delayed.each_mut() {
            forwarding.apply(item, state, (held.id, std::slice::from_mut(&mut held.update)), false);
            held.field = held.update.field();
        }
        forwarding
    }

    /// The updates of a change, as they are sent and as the view shows them.
    #[cfg(feature = "testing")]
    #[allow(clippy::type_complexity)] // two lists of updates
    pub(super) fn updates_of(&self, id: WriteId) -> Option<(Vec<S::Update>, Vec<S::Update>)> {
        let both = |updates: &[PendingUpdate<S>]| {
            let sent = updates.iter().map(|update| update.typed.clone()).collect();
            (sent, updates.iter().map(|update| update.shown().clone()).collect())
        };
        let queued = self.queue.iter().find(|change| change.id == id).map(|change| both(&change.updates));
        let held = || self.delayed.iter().find(|held| held.id == id);
        queued.or_else(|| held().map(|held| both(std::slice::from_ref(&held.update))))
    }

    /// Where a change is in the order in which the view shows the changes.
    #[cfg(feature = "testing")]
    pub(super) fn position(&self, id: WriteId) -> Option<usize> {
        let held = || self.delayed.iter().position(|held| held.id == id).map(|at| self.queue.len() + at);
        self.queue.position(id).or_else(held)
    }

    /// Whether a change waits that was never sent.
    pub(super) fn is_unsent(&self, id: WriteId) -> bool {
        let queued = self.queue.iter().any(|change| change.id == id && change.sent.is_none());
        queued || self.delayed.iter().any(|held| held.id == id)
    }

    /// Removes a change that was never sent.
    pub(super) fn withdraw(&mut self, id: WriteId) -> Option<Withdrawn<S>> {
        if let Some((at, held)) = self.delayed.take(id) {
            return Some(Withdrawn::Delayed(at, held));
        }
        let at = self.queue.position(id)?;
        self.queue.take(at).map(|change| Withdrawn::Queued(at, change))
    }

    /// Puts a change back that was just withdrawn.
    pub(super) fn put_back(&mut self, withdrawn: Withdrawn<S>) {
        match withdrawn {
            Withdrawn::Delayed(at, held) => self.delayed.put_back(at, held),
            Withdrawn::Queued(at, change) => self.queue.insert(at, change),
        }
    }

    pub(super) const fn new_id(&mut self) -> WriteId {
        self.last_id += 1;
        WriteId(self.last_id)
    }

    /// Checks that there is space for a change.
    pub(super) fn check_space(&self, updates: &[PendingUpdate<S>]) -> Result<(), WriteError> {
        if self.len() >= self.max_changes {
            Err(WriteError::QueueFull { limit: self.max_changes, unit: "changes" })
        } else if self.queue.bytes() + bytes_of(updates) > self.max_bytes {
            Err(WriteError::QueueFull { limit: self.max_bytes, unit: "bytes" })
        } else {
            Ok(())
        }
    }

    /// Coalesces a plain write with the unsent update of the same field. `None`: there is none, or the two
    /// cannot be coalesced, or `may_change` refuses it. Nothing is changed until [`replace`](Self::replace).
    pub(super) fn fold(
        &self,
        update: &PendingUpdate<S>,
        may_change: impl Fn(WriteId) -> bool,
    ) -> Result<Option<Folded<S>>, WriteError> {
        let field = update.field();
        let place = match self.delayed.position(field) {
            // With a rule over the whole state, only the last write may be folded into, so that the order of
            // writes is kept.
            Some(at) if S::HAS_RULE && at + 1 < self.delayed.len() => None,
            Some(at) => Some(Place::Delayed(at)),
            None if S::HAS_RULE && !self.delayed.is_empty() => None,
            None => self.queue.foldable(field).map(Place::Queued),
        };
        let Some(place) = place else { return Ok(None) };
        let (id, waiting) = match place {
            Place::Delayed(at) => (self.delayed.get(at).id, &self.delayed.get(at).update),
            Place::Queued(at) => (self.queue.get(at).id, &self.queue.get(at).updates[0]),
        };
        let mut typed = waiting.typed.clone();
        if !may_change(id) || !waiting.applies || !S::coalesce(&mut typed, &update.typed) {
            return Ok(None);
        }
        PendingUpdate::new(&typed).map(|update| Some(Folded { place, update }))
    }

    /// Puts a folded update in the place of the one that it was made from.
    pub(super) fn replace(&mut self, now: Duration, folded: Folded<S>) -> WriteId {
        match folded.place {
            Place::Delayed(at) => self.delayed.replace(at, folded.update, now),
            Place::Queued(at) => self.queue.replace(at, folded.update),
        }
    }

    /// Queues a change, or delays it if its timing says so. An undo or a redo keeps its place among all writes: it
    /// may come to change more fields until it is sent.
    pub(super) fn push(
        &mut self,
        now: Duration,
        mut updates: Vec<PendingUpdate<S>>,
        reads: Option<Reads>,
        kind: Kind,
    ) -> WriteId {
        let id = self.new_id();
        if kind != Kind::Plain {
            self.release_all(now);
        } else if !self.delayed.is_empty() {
            self.release_before(now, &updates, reads.as_ref().map_or(&[], |reads| &reads.all));
        }
        if reads.is_none() && updates.len() == 1 {
            // Only a write without reads and other updates can be delayed.
            match S::timing(&updates[0].typed) {
                timing if kind != Kind::Plain || timing == Timing::Immediate => {
                    self.delayed.was_sent(updates[0].field(), now)
                }
                timing => match updates.pop().map(|update| self.delayed.hold(id, update, timing, now)) {
                    Some(Err(update)) => updates.push(update),
                    _ => return id,
                },
            }
        }
        self.queue.push(Change { id, updates, reads, guard: None, sent: None });
        id
    }

    /// Moves the delayed writes that a new change must not overtake to the end of the queue.
    fn release_before(&mut self, now: Duration, updates: &[PendingUpdate<S>], reads: &[Read]) {
        if S::HAS_RULE {
            // The rule was checked with the delayed writes in place, so others must not get them later.
            self.release_all(now);
        }
        self.release(now, |held| updates.iter().any(|update| update.field() == held.field));
        self.release(now, |held| reads.iter().any(|read| read.field == held.field));
    }

    /// Moves the delayed writes that `pick` chooses to the end of the queue.
    fn release(&mut self, now: Duration, pick: impl Fn(&Held<S>) -> bool) {
        while let Some(change) = self.delayed.release(now, &pick) {
            self.queue.push(change);
        }
    }

    /// Moves the delayed writes that are due to the end of the queue.
    pub(super) fn release_due(&mut self, now: Duration) {
        self.release(now, |held| held.is_due(now));
    }

    /// Moves all delayed writes to the end of the queue.
    pub(super) fn release_all(&mut self, now: Duration) {
        self.release(now, |_| true);
    }

    /// When the first delayed write is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.delayed.deadline()
    }

    /// Removes everything.
    pub(super) fn take_all(&mut self) -> Vec<Change<S>> {
        let mut all: Vec<_> = std::iter::from_fn(|| self.queue.take(0)).collect();
        all.extend(self.delayed.take_all());
        all
    }

    /// How a remote update relates to everything that is pending.
    pub(super) fn overlap(&self, remote: &S::Update) -> Overlap {
        let field = S::field(remote);
        if !self.touches(field) {
            return Overlap::Commutes;
        }
        // The update passes below each pending update that it commutes with, until one of them shadows it or
        // conflicts with it. A pending update that could not be applied may become applicable by it, so it
        // conflicts.
        let here = self.updates().filter(|pending| pending.field() == field);
        here.map(
            |pending| {
                if pending.applies { S::overlap(pending.shown(), remote) } else { Overlap::Conflicts }
            },
        )
        .find(|overlap| *overlap != Overlap::Commutes)
        .unwrap_or(Overlap::Commutes)
    }

    /// Marks the unsent transactions that have read what `update` changes.
    pub(super) fn mark_stale(&mut self, update: &S::Update) {
        let field = S::field(update);
        let unsent = self.queue.iter_mut().filter(|change| change.sent.is_none());
        for reads in unsent.filter_map(|change| change.reads.as_mut()) {
            if reads.stale.is_some() || reads.fields().all(|read| read != field) {
                continue;
            }
            let mut versions = Versions::default();
            S::record(&mut versions, update, 1);
            let changed =
                |read: &&Read| versions.changed_at(S::FIELDS, FieldPath::new(&read.path)) != Some(0);
            reads.stale = reads.all.iter().find(changed).map(|read| read.path.clone());
        }
    }

    /// Those of `fields` that an unsent transaction has read.
    pub(super) fn read_by_unsent(&self, fields: &[FieldId]) -> Vec<FieldId> {
        let unsent = self.queue.iter().filter(|change| change.sent.is_none());
        let read: Vec<FieldId> =
            unsent.filter_map(|change| change.reads.as_ref()).flat_map(Reads::fields).collect();
        fields.iter().copied().filter(|field| read.contains(field)).collect()
    }

    /// The moves from list to list that are pending.
    pub(super) fn moves(&self) -> PendingMoves {
        self.moves_before(self.queue.len())
    }

    /// The moves from list to list that are pending before the change at an index of the queue. A delayed write is none.
    pub(super) fn moves_before(&self, at: usize) -> PendingMoves {
        PendingMoves::of(self.queue.iter().take(at))
    }

    /// The changes that the view does not contain, because what they change is gone; they will be refused.
    pub(super) fn hidden(&self) -> Vec<WriteId> {
        let queued = self.queue.iter().filter(|change| !change.updates.iter().all(|update| update.applies));
        let delayed = self.delayed.iter().filter(|held| !held.update.applies);
        queued.map(|change| change.id).chain(delayed.map(|held| held.id)).collect()
    }
}
