//! Undo and redo: a user's own changes are taken back by new changes. Owns the two stacks of steps, in which
//! every write is recorded.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::{SharedState, text_scope};
use crate::replica::change::{WriteId, take_back};

/// How a write enters the undo history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Undo,
    Redo,
}

/// An update that was written, and its inverse at that time.
struct Written<S: SharedState> {
    id: WriteId,
    update: S::Update,
    inverse: S::Update,
}

impl<S: SharedState> Written<S> {
    /// Folds a later update of the same change into this one; returns whether that was possible.
    fn fold(&mut self, id: WriteId, update: &S::Update, inverse: &S::Update) -> bool {
        if self.id != id || S::field(&self.update) != S::field(update) {
            return false;
        }
        let (mut whole, mut back) = (self.update.clone(), inverse.clone());
        let folds = S::coalesce(&mut whole, update) && S::coalesce(&mut back, &self.inverse);
        if folds {
            (self.update, self.inverse) = (whole, back);
        }
        folds
    }
}

/// The updates that are undone together.
pub(super) struct Step<S: SharedState> {
    written: Vec<Written<S>>,
    /// Writes before this time join the step.
    until: Duration,
    /// Every write joins the step: it is an open group.
    open: bool,
}

impl<S: SharedState> Step<S> {
    const fn closed(written: Vec<Written<S>>) -> Self {
        Self { written, until: Duration::ZERO, open: false }
    }

    /// The updates that undo this step: the last write first, each made on the state that the one before
    /// leaves. Updates that can be coalesced are one. Writes in `hidden`, and updates that `may_write`
    /// refuses, are left out. The view is as before when this returns.
    pub(super) fn taken_back(
        &self,
        view: &mut S,
        writer: u64,
        hidden: &[WriteId],
        may_write: impl Fn(&S::Update) -> bool,
    ) -> Vec<S::Update> {
        let mut updates: Vec<S::Update> = Vec::new();
        let mut inverses = Vec::new();
        let written = self.written.iter().rev().filter(|one| !hidden.contains(&one.id));
        for Written { update, inverse, .. } in written {
            let taken_back = text_scope::as_writer(writer, || view.undo(update, inverse));
            if let Some(update) = taken_back.filter(&may_write) {
                inverses.push(view.apply(update.clone()));
                let last = updates.last_mut().filter(|last| S::field(last) == S::field(&update));
                if !last.is_some_and(|last| S::coalesce(last, &update)) {
                    updates.push(update);
                }
            }
        }
        take_back(view, inverses);
        updates
    }
}

/// A stack of steps, the last one on top.
struct Steps<S: SharedState> {
    steps: VecDeque<Step<S>>,
    /// The number of updates in all steps.
    count: usize,
}

impl<S: SharedState> Steps<S> {
    const fn new() -> Self {
        Self { steps: VecDeque::new(), count: 0 }
    }

    fn push(&mut self, step: Step<S>) {
        self.count += step.written.len();
        self.steps.push_back(step);
    }

    fn pop(&mut self) -> Option<Step<S>> {
        let step = self.steps.pop_back()?;
        self.count -= step.written.len();
        Some(step)
    }

    fn retain(&mut self, keep: impl Fn(&Written<S>) -> bool) {
        self.steps.iter_mut().for_each(|step| step.written.retain(&keep));
        self.steps.retain(|step| step.open || !step.written.is_empty());
        self.count = self.steps.iter().map(|step| step.written.len()).sum();
    }

    /// Drops the oldest steps until the number of updates is within the limit. A step that alone exceeds the
    /// limit is dropped too, because undoing a part of it would be wrong.
    fn trim(&mut self, limit: usize) {
        while self.count > limit {
            self.count -= self.steps.pop_front().map_or(0, |step| step.written.len());
        }
    }
}

/// The steps that can be undone and redone.
pub(super) struct UndoHistory<S: SharedState> {
    undo: Steps<S>,
    redo: Steps<S>,
    groups: usize,
    limit: usize,
    pause: Duration,
}

impl<S: SharedState> UndoHistory<S> {
    pub(super) const fn new(limit: usize, pause: Duration) -> Self {
        Self { undo: Steps::new(), redo: Steps::new(), groups: 0, limit, pause }
    }

    /// Records a write. An update that was folded into an earlier one joins it and takes no further space.
    pub(super) fn note(
        &mut self,
        now: Duration,
        id: WriteId,
        written: Vec<(S::Update, S::Update)>,
        kind: Kind,
    ) {
        let written = written.into_iter().map(|(update, inverse)| Written { id, update, inverse });
        match kind {
            Kind::Undo => self.redo.push(Step::closed(written.collect())),
            Kind::Redo => self.undo.push(Step::closed(written.collect())),
            Kind::Plain => {
                self.redo = Steps::new();
                let until = now + self.pause;
                match self.undo.steps.back_mut().filter(|step| step.open || now < step.until) {
                    Some(step) => {
                        for Written { id, update, inverse } in written {
                            let last = step.written.last_mut();
                            if !last.is_some_and(|last| last.fold(id, &update, &inverse)) {
                                step.written.push(Written { id, update, inverse });
                                self.undo.count += 1;
                            }
                        }
                        step.until = until;
                    }
                    None => self.undo.push(Step { written: written.collect(), until, open: false }),
                }
            }
        }
        self.undo.trim(self.limit);
        self.redo.trim(self.limit);
    }

    /// A write was refused: there is nothing of it to undo.
    pub(super) fn refused(&mut self, id: WriteId) {
        self.undo.retain(|written| written.id != id);
        self.redo.retain(|written| written.id != id);
    }

    /// The room has begun another history, which contains none of these writes.
    pub(super) fn clear(&mut self) {
        (self.undo, self.redo) = (Steps::new(), Steps::new());
    }

    /// The next write begins a new step, however soon it comes.
    fn seal(&mut self) {
        if let Some(step) = self.undo.steps.back_mut() {
            (step.until, step.open) = (Duration::ZERO, false);
        }
    }

    /// The steps that an undo or a redo takes from.
    const fn steps(&self, kind: Kind) -> &Steps<S> {
        if matches!(kind, Kind::Redo) { &self.redo } else { &self.undo }
    }

    const fn steps_mut(&mut self, kind: Kind) -> &mut Steps<S> {
        if matches!(kind, Kind::Redo) { &mut self.redo } else { &mut self.undo }
    }

    pub(super) fn can(&self, kind: Kind) -> bool {
        !self.steps(kind).steps.is_empty()
    }

    /// Takes the last step. The next write begins a new one.
    pub(super) fn pop(&mut self, kind: Kind) -> Option<Step<S>> {
        let step = self.steps_mut(kind).pop()?;
        self.seal();
        Some(step)
    }

    /// Puts a step back that could not be undone.
    pub(super) fn put_back(&mut self, kind: Kind, step: Step<S>) {
        self.steps_mut(kind).push(step);
    }

    /// Opens a group, a step that every write joins. Groups nest.
    pub(super) fn begin_group(&mut self) {
        self.groups += 1;
        if self.groups == 1 {
            self.undo.push(Step { written: Vec::new(), until: Duration::ZERO, open: true });
        }
    }

    pub(super) fn end_group(&mut self) {
        self.groups = self.groups.saturating_sub(1);
        if self.groups == 0 {
            self.undo.steps.retain(|step| !step.written.is_empty());
            self.seal();
        }
    }
}
