//! Undo and redo: a user's own changes, taken back as new changes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::SharedState;
use crate::core::WriteError;
use crate::core::text_scope;
use crate::replica::{Replica, WriteId};

/// What a write is for the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Undo,
    Redo,
}

/// An update that was written, and what would have taken it back at once.
struct Written<S: SharedState> {
    id: WriteId,
    update: S::Update,
    inverse: S::Update,
}

impl<S: SharedState> Written<S> {
    /// Takes in a later update that is sent as one with this one; says whether it could.
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

/// What is taken back together.
struct Step<S: SharedState> {
    written: Vec<Written<S>>,
    /// Writes before then join it.
    until: Duration,
    /// Every write joins it: a group that is open.
    open: bool,
}

impl<S: SharedState> Step<S> {
    const fn closed(written: Vec<Written<S>>) -> Self {
        Self { written, until: Duration::ZERO, open: false }
    }
}

/// Steps, the last one on top.
struct Steps<S: SharedState> {
    steps: VecDeque<Step<S>>,
    /// How many updates they hold together.
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

    /// Lets the oldest go until the rest is within the limit. A single step beyond it cannot be taken back whole,
    /// and is not taken back in part.
    fn trim(&mut self, limit: usize) {
        while self.count > limit {
            self.count -= self.steps.pop_front().map_or(0, |step| step.written.len());
        }
    }
}

/// What can be undone and redone.
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

    /// Notes a write. What was folded into an earlier write is taken back with it, at the cost of one.
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

    /// A write was refused: there is nothing of it to take back.
    pub(super) fn refused(&mut self, id: WriteId) {
        self.undo.retain(|written| written.id != id);
        self.redo.retain(|written| written.id != id);
    }

    /// The room's history is another: nothing of this one is in it.
    pub(super) fn clear(&mut self) {
        (self.undo, self.redo) = (Steps::new(), Steps::new());
    }

    /// The next write begins a step of its own, however soon.
    fn seal(&mut self) {
        if let Some(step) = self.undo.steps.back_mut() {
            (step.until, step.open) = (Duration::ZERO, false);
        }
    }

    const fn steps(&mut self, kind: Kind) -> &mut Steps<S> {
        if matches!(kind, Kind::Redo) { &mut self.redo } else { &mut self.undo }
    }
}

impl<S: SharedState> Replica<S> {
    /// Takes back this user's last change, or the changes that were made together with it, as a new change. `None`:
    /// there is nothing to take back.
    ///
    /// A change that others have overwritten since, or that this client may no longer write, is let go of, and the one
    /// before it is taken back.
    ///
    /// # Errors
    /// As [`write`](Self::write); the history is as it was.
    pub fn undo(&mut self, now: Duration) -> Result<Option<WriteId>, WriteError> {
        self.undo_last(now, Kind::Undo)
    }

    /// Makes what was undone last again, as a new change. `None`: nothing was undone, or something was written since.
    ///
    /// # Errors
    /// As [`write`](Self::write); the history is as it was.
    pub fn redo(&mut self, now: Duration) -> Result<Option<WriteId>, WriteError> {
        self.undo_last(now, Kind::Redo)
    }

    /// Whether there is anything to undo. What others have overwritten counts until it is tried.
    #[must_use]
    pub fn can_undo(&self) -> bool {
        !self.history.undo.steps.is_empty()
    }

    /// Whether there is anything to redo. What others have overwritten counts until it is tried.
    #[must_use]
    pub fn can_redo(&self) -> bool {
        !self.history.redo.steps.is_empty()
    }

    /// What is written from now on is undone together, until [`end_group`](Self::end_group). Groups nest.
    pub fn begin_group(&mut self) {
        self.history.groups += 1;
        if self.history.groups == 1 {
            self.history.undo.push(Step { written: Vec::new(), until: Duration::ZERO, open: true });
        }
    }

    /// Ends what [`begin_group`](Self::begin_group) began.
    pub fn end_group(&mut self) {
        let history = &mut self.history;
        history.groups = history.groups.saturating_sub(1);
        if history.groups > 0 {
            return;
        }
        history.undo.steps.retain(|step| !step.written.is_empty());
        history.seal();
    }

    fn undo_last(&mut self, now: Duration, kind: Kind) -> Result<Option<WriteId>, WriteError> {
        while let Some(step) = self.history.steps(kind).pop() {
            self.history.seal();
            let updates = self.taken_back(&step);
            if updates.is_empty() {
                continue;
            }
            return match self.submit(now, updates, None, kind) {
                Ok(id) => Ok(Some(id)),
                Err(error) => {
                    self.history.steps(kind).push(step);
                    Err(error)
                }
            };
        }
        Ok(None)
    }

    /// The changes that are not in what the app sees: they wait for their refusal, and what they are about is gone.
    fn hidden(&self) -> Vec<WriteId> {
        let queued = self.queue.iter().filter(|change| !change.updates.iter().all(|update| update.applies));
        let held = self.held.iter().filter(|held| !held.update.applies);
        queued.map(|change| change.id).chain(held.map(|held| held.id)).collect()
    }

    /// The updates that take a step back, the last write first, each on what the one before leaves; those that make
    /// one are one.
    fn taken_back(&mut self, step: &Step<S>) -> Vec<S::Update> {
        let mut updates: Vec<S::Update> = Vec::new();
        let mut inverses = Vec::new();
        let hidden = self.hidden();
        for Written { update, inverse, .. } in
            step.written.iter().rev().filter(|one| !hidden.contains(&one.id))
        {
            let taken_back = text_scope::as_writer(self.config.writer, || self.view.undo(update, inverse));
            if let Some(update) = taken_back.filter(|update| self.may_write(update)) {
                inverses.push(self.view.apply(update.clone()));
                let last = updates.last_mut().filter(|last| S::field(last) == S::field(&update));
                if !last.is_some_and(|last| S::coalesce(last, &update)) {
                    updates.push(update);
                }
            }
        }
        for inverse in inverses.into_iter().rev() {
            self.view.apply(inverse);
        }
        updates
    }
}
