//! Steps, the writes that are undone together, and stacks of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::core::text_scope::{self, Retyped, TextWriter};
use crate::core::transfer::{self, ItemMove};
use crate::core::{FieldPathBuf, SharedState, UndoGuard, take_back};
use crate::replica::change::{WriteId, distinct};
use crate::replica::pending_moves::PendingMoves;
use crate::replica::undo::marks::Marks;
use crate::replica::undo::written::Written;

/// The updates that are undone together.
pub(in crate::replica) struct Step<S: SharedState> {
    pub(super) written: Vec<Written<S>>,
    /// If its writes were folded into the change that they take back, or make again: what they are about as it was first
    /// written, to be made again. It takes their place if that change is removed before it is sent.
    pub(super) folded: Vec<Written<S>>,
    /// Writes before this time join the step.
    pub(super) until: Duration,
    /// Every write joins the step: it is an open group.
    pub(super) open: bool,
    /// How many updates, from the first on, `bytes` counts.
    pub(super) measured: usize,
    pub(super) bytes: usize,
}

impl<S: SharedState> Step<S> {
    pub(super) const fn new(written: Vec<Written<S>>, until: Duration, open: bool) -> Self {
        Self { written, folded: Vec::new(), until, open, measured: 0, bytes: 0 }
    }

    pub(super) const fn closed(written: Vec<Written<S>>) -> Self {
        Self::new(written, Duration::ZERO, false)
    }

    /// The changes of its writes, each once.
    pub(in crate::replica) fn changes(&self) -> Vec<WriteId> {
        let mut ids: Vec<_> = self.written.iter().map(|one| one.id).collect();
        ids.dedup();
        ids
    }

    /// Forgets the writes of these changes.
    pub(in crate::replica) fn forget(&mut self, ids: &[WriteId]) {
        self.written.retain(|one| !ids.contains(&one.id));
    }

    /// Changes that were never sent have been removed, and with them what was folded into them.
    pub(super) fn unfold(&mut self, removed: &[WriteId]) {
        if !self.folded.is_empty() {
            let is_removed = |one: &mut Written<S>| removed.contains(&one.id);
            self.written.retain(|one| !removed.contains(&one.id) || one.begins || one.again);
            self.written.extend(self.folded.extract_if(.., is_removed));
            (self.measured, self.bytes) = (0, 0);
        }
    }

    /// Where the last of these writes that has inserted an item, and has not moved it there, is in the order of the room.
    pub(super) fn last_insertion(
        &self,
        item: &ItemMove,
        is_meant: impl Fn(&Written<S>) -> bool,
    ) -> Option<(Option<u64>, usize)> {
        let before = std::iter::once(None).chain(self.written.iter().map(Some));
        let inserts = |(one, before): &(&Written<S>, Option<&Written<S>>)| {
            is_meant(one)
                && one.goes_with(item)
                && one.inserted_at(item).is_some()
                && !before.is_some_and(|before| one.is_move_with(before))
        };
        self.written.iter().zip(before).filter(inserts).map(|(one, _)| one.order()).max()
    }

    pub(super) fn contains(&self, id: WriteId) -> bool {
        self.written.iter().any(|one| one.id == id)
    }

    /// Replaces the writes of a change.
    pub(super) fn replace(&mut self, id: WriteId, written: Vec<Written<S>>) {
        self.written.retain(|one| one.id != id);
        self.written.extend(written);
        (self.measured, self.bytes) = (0, 0);
    }

    /// The changes that begin in this step, so that nothing of them is left when it is undone.
    pub(in crate::replica) fn begun(&self) -> Vec<WriteId> {
        let mut ids: Vec<_> = self.written.iter().filter(|one| one.begins).map(|one| one.id).collect();
        ids.dedup();
        ids
    }

    /// A change's update of this index lies on this state now.
    pub(in crate::replica) fn refresh(&mut self, state: &mut S, id: WriteId, index: usize) {
        for one in self.written.iter_mut().filter(|one| one.is(id, index)) {
            one.lies_on(state);
        }
    }

    /// The fields that its writes change, each once.
    pub(in crate::replica) fn fields(&self) -> Vec<usize> {
        distinct(self.written.iter().map(|one| S::field(&one.update)))
    }

    /// The updates that undo this step: the last write first, each made on the state that the one before
    /// leaves. Updates that can be coalesced are one. What others have overwritten, the writes of changes in `without`,
    /// and updates that `may_write` refuses are left out. `moves` are those that are pending in `state`, which is as
    /// before when this returns.
    pub(in crate::replica) fn taken_back(
        &self,
        state: &mut S,
        writer: &mut TextWriter,
        marks: &Marks,
        moves: &PendingMoves,
        without: &[WriteId],
        may_write: impl Fn(&S::Update) -> bool,
    ) -> TakenBack<S> {
        let mut updates = Vec::<S::Update>::new();
        let mut retyped = Vec::<(FieldPathBuf, Arc<[Retyped]>)>::new();
        let (mut inverses, mut moved_back) = (Vec::new(), Vec::new());
        let mut rest = &self.written[..];
        while let Some((one, before)) = rest.split_last() {
            rest = before;
            let move_with = before.last().filter(|before| one.is_move_with(before));
            let guard = match move_with {
                // The item is moved with what others have changed in it.
                Some(_) => {
                    rest = &before[..before.len() - 1];
                    UndoGuard::Part
                }
                None => one.guard(),
            };
            let is_overwritten = |one: &Written<S>| one.is_overwritten(marks, guard);
            if without.contains(&one.id) || is_overwritten(one) || move_with.is_some_and(is_overwritten) {
                continue;
            }
            let moved = one.after(moves.on(one.place()).chain(&moved_back));
            let here = moved.as_ref().unwrap_or(one);
            if here.unreachable {
                continue;
            }
            let (taken_back, again) = match move_with {
                Some(before) => {
                    let moved = before.after(moves.on(before.place()).chain(&moved_back));
                    (here.moved_back(moved.as_ref().unwrap_or(before), state), None)
                }
                None => {
                    let path = one.path_after(moves);
                    let before = retyped.iter().filter(|(at, _)| *at == path);
                    let known = here.retyped.iter().map(|(_, runs)| runs).chain(before.map(|(_, runs)| runs));
                    let known = known.flat_map(|runs| runs.iter().copied());
                    let (update, again) = text_scope::undoing(writer, known, || here.taken_back(state));
                    (update.map(|update| vec![update]), Some((path, again)))
                }
            };
            let Some(taken_back) = taken_back.filter(|updates| updates.iter().all(&may_write)) else {
                continue;
            };
            if let Some((path, again)) = again.filter(|(_, again)| !again.is_empty()) {
                retyped.push((path, again.into()));
            }
            // What was written before the move is in the item at its former place.
            moved_back.extend(transfer::moves_by::<S>(&taken_back).map(|(_, item)| item));
            for update in taken_back {
                inverses.push(state.apply(update.clone()));
                let last = updates.last_mut().filter(|last| S::field(last) == S::field(&update));
                if !last.is_some_and(|last| S::coalesce(last, &update)) {
                    updates.push(update);
                }
            }
        }
        take_back(state, inverses);
        TakenBack { updates, retyped }
    }

    /// About how many bytes it takes. Measures only what was written since the last call.
    pub(super) fn measure(&mut self) -> usize {
        let Some((last, before)) = self.written.split_last() else { return 0 };
        // The last update may still be folded into.
        self.bytes += before[self.measured.min(before.len())..].iter().map(Written::bytes).sum::<usize>();
        self.measured = before.len();
        self.bytes + last.bytes()
    }
}

/// What takes a step back.
pub(in crate::replica) struct TakenBack<S: SharedState> {
    pub(in crate::replica) updates: Vec<S::Update>,
    /// The characters of texts that the updates insert again, with the paths of the texts where they are now.
    pub(in crate::replica) retyped: Vec<(FieldPathBuf, Arc<[Retyped]>)>,
}

/// A stack of steps, the last one on top.
pub(super) struct Steps<S: SharedState> {
    pub(super) steps: VecDeque<Step<S>>,
    /// The number of updates in all steps.
    pub(super) count: usize,
}

impl<S: SharedState> Steps<S> {
    pub(super) const fn new() -> Self {
        Self { steps: VecDeque::new(), count: 0 }
    }

    pub(super) fn push(&mut self, step: Step<S>) {
        self.count += step.written.len();
        self.steps.push_back(step);
    }

    /// The last change of the last step that has any.
    pub(super) fn newest(&self) -> Option<WriteId> {
        self.steps.iter().rev().find_map(|step| step.written.iter().map(|one| one.id).max())
    }

    /// Adds writes to the last step that has any.
    pub(super) fn extend_last(&mut self, written: Vec<Written<S>>) {
        if let Some(step) = self.steps.iter_mut().rev().find(|step| !step.written.is_empty()) {
            self.count += written.len();
            step.written.extend(written);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Step<S>> {
        let step = self.steps.pop_back()?;
        self.count -= step.written.len();
        Some(step)
    }

    pub(super) fn written(&self) -> impl Iterator<Item = &Written<S>> {
        self.steps.iter().flat_map(|step| &step.written)
    }

    pub(super) fn written_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Written<S>> {
        self.steps.iter_mut().flat_map(|step| &mut step.written)
    }

    /// Changes that were never sent have been removed.
    pub(super) fn unfold(&mut self, removed: &[WriteId]) {
        self.steps.iter_mut().for_each(|step| step.unfold(removed));
        self.recount();
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Written<S>) -> bool) {
        for step in &mut self.steps {
            step.written.retain(&keep);
            (step.measured, step.bytes) = (0, 0);
        }
        self.recount();
    }

    /// Replaces the writes of a change, in the step that has any.
    pub(super) fn replace(&mut self, id: WriteId, written: Vec<Written<S>>) {
        let Some(step) = self.steps.iter_mut().find(|step| step.contains(id)) else { return };
        step.replace(id, written);
        self.recount();
    }

    /// Drops the steps in which nothing is left, and counts the rest.
    pub(super) fn recount(&mut self) {
        self.steps.retain(|step| step.open || !step.written.is_empty());
        self.count = self.steps.iter().map(|step| step.written.len()).sum();
    }

    /// Drops the oldest steps until the number of updates is within the limit. The newest step stays, however
    /// many updates it has, if it takes at most `bytes`: undoing a part of it would be wrong.
    pub(super) fn trim(&mut self, limit: usize, bytes: usize) {
        while self.count > limit {
            if self.steps.len() == 1 && self.steps.back_mut().is_some_and(|newest| newest.measure() <= bytes)
            {
                return;
            }
            self.count -= self.steps.pop_front().map_or(0, |step| step.written.len());
        }
    }
}
