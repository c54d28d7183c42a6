//! A write that can be undone: the update, its inverse, and what it takes to undo it where items are now.

use std::sync::Arc;

use crate::core::text_scope::Retyped;
use crate::core::transfer::{self, ItemMove};
use crate::core::{FieldPathBuf, Segment, SharedState, UndoGuard, encode_update, update_path};
use crate::replica::change::WriteId;
use crate::replica::pending_moves::PendingMoves;
use crate::replica::undo::marks::{Marks, part_of};

/// An update that was written, and its inverse at its place in the room's order, as far as that is known.
pub(super) struct Written<S: SharedState> {
    pub(super) id: WriteId,
    /// Its index in its change.
    pub(super) index: usize,
    /// Whether it is of the write that made its change; a later one was folded into the waiting change.
    pub(super) begins: bool,
    /// The version that contains it. `None` until the change is answered.
    pub(super) version: Option<u64>,
    pub(super) update: S::Update,
    pub(super) inverse: S::Update,
    /// The part of the state that it changes. `None` until it is needed.
    pub(super) part: Option<Arc<[Segment]>>,
    /// It was removed before it was sent, and taking it back makes it again.
    pub(super) again: bool,
    /// If another item has come since to the place of the one that it is about, or that it is in: how many bytes of its path
    /// follow that place. It does not go with that item.
    pub(super) stays: Option<usize>,
    /// It is inside an item that has moved to a list in which items have no parts.
    pub(super) unreachable: bool,
    /// What it has inserted into texts and changes that took steps back have inserted again since, the earliest first. Without
    /// a change: somebody else has.
    pub(super) retyped: Vec<(Option<WriteId>, Arc<[Retyped]>)>,
}

/// The most changes for each write of which it is known what they have inserted again.
const MAX_RETYPED: usize = 256;

impl<S: SharedState> Written<S> {
    pub(super) const fn new(
        id: WriteId,
        index: usize,
        begins: bool,
        update: S::Update,
        inverse: S::Update,
    ) -> Self {
        Self {
            id,
            index,
            begins,
            version: None,
            update,
            inverse,
            part: None,
            again: false,
            stays: None,
            unreachable: false,
            retyped: Vec::new(),
        }
    }

    /// Folds a later update of the same change into this one; returns whether that was possible.
    pub(super) fn fold(&mut self, later: &Self) -> bool {
        if self.id != later.id || S::field(&self.update) != S::field(&later.update) {
            return false;
        }
        let (mut whole, mut back) = (self.update.clone(), later.inverse.clone());
        let folds = S::coalesce(&mut whole, &later.update) && S::coalesce(&mut back, &self.inverse);
        if folds {
            (self.update, self.inverse) = (whole, back);
        }
        folds
    }

    /// Whether it is what the change began with at this index. What was folded into the change later has its
    /// inverse from that.
    pub(super) fn is(&self, id: WriteId, index: usize) -> bool {
        self.id == id && self.index == index && self.begins
    }

    /// It lies on this state: its inverse brings back what is there. The state is as before when this returns.
    pub(super) fn lies_on(&mut self, state: &mut S) {
        self.inverse = state.apply(self.update.clone());
        state.apply(self.inverse.clone());
    }

    /// A copy that makes it again: there is no change to take back.
    pub(super) fn to_make_again(&self, version: u64) -> Self {
        Self { again: true, version: Some(version), ..self.copied() }
    }

    /// The update that undoes it on this state, or makes it again.
    pub(super) fn taken_back(&self, state: &S) -> Option<S::Update> {
        if !self.again {
            return state.undo(&self.update, &self.inverse);
        }
        let makes = state.check_op(&self.update).is_ok() && state.has_effect(&self.update);
        makes.then(|| self.update.clone())
    }

    /// Which writes of others keep it from being taken back.
    pub(super) fn guard(&self) -> UndoGuard {
        // Making it again takes back its inverse.
        S::undo_guard(if self.again { &self.inverse } else { &self.update })
    }

    /// Whether somebody else has written since what undoing it would take back.
    pub(super) fn is_overwritten(&self, marks: &Marks, guard: UndoGuard) -> bool {
        let (Some(version), Some(part)) = (self.version, &self.part) else { return false };
        marks.is_overwritten(part, version, guard)
    }

    /// Whether it and the write before it in a step are the halves of a move from one list to another. They are taken
    /// back together or not at all.
    pub(super) fn is_move_with(&self, before: &Self) -> bool {
        let (take, insert) = if self.again { (self, before) } else { (before, self) };
        self.id == before.id
            && self.again == before.again
            && transfer::move_by::<S>(&take.update, &insert.update).is_some()
    }

    /// The updates that take back the move that it and the write before it are, on this state.
    pub(super) fn moved_back(&self, before: &Self, state: &mut S) -> Option<Vec<S::Update>> {
        if self.again {
            transfer::again(state, &self.update, &before.update)
        } else {
            transfer::back(state, &before.inverse, &self.update)
        }
    }

    /// An item has moved. A write inside it is addressed to where the item is now, and one that has put the item into its
    /// former list puts it where it is now. What takes the item itself from its list is as before: that is the place to bring
    /// it back to.
    pub(super) fn forward(&mut self, item: &ItemMove) {
        if let Some((update, inverse)) = self.inserted_at(item) {
            (self.update, self.inverse) = (update, inverse);
        } else if !transfer::takes::<S>(&self.update, &item.from) {
            self.address(item);
        }
    }

    /// If it has inserted an item that has moved since: the update that inserts it where it is now, and the inverse.
    pub(super) fn inserted_at(&self, item: &ItemMove) -> Option<(S::Update, S::Update)> {
        // Where it is to be made again, it has inserted nothing yet.
        (!self.again).then(|| transfer::inserted_at::<S>(&self.update, &self.inverse, item)).flatten()
    }

    /// The same for a write that waits for its answer, while somebody else has moved the item beneath it.
    pub(super) fn forward_pending(&mut self, item: &ItemMove) {
        match transfer::inserted_at::<S>(&self.update, &self.inverse, item) {
            Some((update, inverse)) => (self.update, self.inverse) = (update, inverse),
            None => self.address(item),
        }
    }

    /// Addresses a write to where an item is now.
    fn address(&mut self, item: &ItemMove) {
        let before = self.path();
        for update in [&mut self.update, &mut self.inverse] {
            if let Some(forwarded) = transfer::forwarded::<S>(update, item) {
                *update = forwarded;
            }
        }
        if item.contains(before.as_str()) {
            self.unreachable = before == self.path();
        } else if item.reversed().contains(before.as_str()) {
            self.unreachable = false;
        }
    }

    /// A copy of it where items are after moves, if there are any.
    pub(super) fn after<'m>(&self, moves: impl Iterator<Item = &'m ItemMove>) -> Option<Self> {
        let mut moved = None;
        for item in moves {
            let moved = moved.get_or_insert_with(|| self.copied());
            moved.make_way(&item.now());
            if moved.goes_with(item) {
                moved.forward(item);
            }
        }
        moved
    }

    /// Another item has come to a place. If this write is about the one that was there, or in it, that one is not there any
    /// more.
    pub(super) fn make_way(&mut self, item: &str) {
        self.stays = self.stays.max(self.bytes_after(item));
    }

    /// How many bytes of its path follow a place, if it is about what is there, or in it.
    fn bytes_after(&self, item: &str) -> Option<usize> {
        let place = transfer::place_of::<S>(&self.update)?;
        transfer::rest_after(item, &place).map(str::len)
    }

    /// Where it is in the order of the room, if it is confirmed.
    pub(super) fn order(&self) -> (Option<u64>, usize) {
        (self.version, self.index)
    }

    /// Whether it goes with an item that moves, if that is the one at the place that it is about or is in.
    pub(super) fn goes_with(&self, item: &ItemMove) -> bool {
        self.stays.is_none_or(|stays| self.bytes_after(&item.from).is_none_or(|rest| rest > stays))
    }

    /// Where it is in what waits for its answer; `None` if it is confirmed.
    pub(super) fn place(&self) -> Option<(WriteId, usize)> {
        self.version.is_none().then_some((self.id, self.index))
    }

    /// A copy of it.
    pub(super) fn copied(&self) -> Self {
        Self {
            update: self.update.clone(),
            inverse: self.inverse.clone(),
            part: self.part.clone(),
            retyped: self.retyped.clone(),
            ..*self
        }
    }

    /// The path that it writes to.
    pub(super) fn path(&self) -> FieldPathBuf {
        update_path::<S>(&self.update)
    }

    /// The path that it writes to where items are after the moves that are pending.
    pub(super) fn path_after(&self, moves: &PendingMoves) -> FieldPathBuf {
        self.after(moves.on(self.place())).as_ref().unwrap_or(self).path()
    }

    /// The change `by`, or somebody else, has inserted characters again, at the path of this write.
    pub(super) fn retype(&mut self, by: Option<WriteId>, runs: Arc<[Retyped]>) {
        if self.retyped.len() >= MAX_RETYPED {
            self.retyped.remove(0);
        }
        self.retyped.push((by, runs));
    }

    /// Makes a mark at the part that it changes.
    pub(super) fn mark(&mut self, marks: &mut Marks) {
        self.part = Some(marks.at(part_of::<S>(&self.update)));
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let size = |update| encode_update::<S>(update).map_or(0, |encoded| encoded.as_str().len());
        size(&self.update) + size(&self.inverse)
    }
}
