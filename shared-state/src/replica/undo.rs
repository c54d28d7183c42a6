//! Undo and redo: a user's own changes, taken back as new changes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::merge::scope;
use crate::replica::{Replica, WriteError, WriteId};
use crate::state::SharedState;

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

/// What can be undone and redone.
pub(super) struct History<S: SharedState> {
    undo: VecDeque<Step<S>>,
    redo: VecDeque<Step<S>>,
    groups: usize,
    limit: usize,
    pause: Duration,
}

impl<S: SharedState> History<S> {
    pub(super) const fn new(limit: usize, pause: Duration) -> Self {
        Self { undo: VecDeque::new(), redo: VecDeque::new(), groups: 0, limit, pause }
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
            Kind::Undo => self.redo.push_back(Step::closed(written.collect())),
            Kind::Redo => self.undo.push_back(Step::closed(written.collect())),
            Kind::Plain => {
                self.redo.clear();
                let until = now + self.pause;
                match self.undo.back_mut().filter(|step| step.open || now < step.until) {
                    Some(step) => {
                        for Written { id, update, inverse } in written {
                            let last = step.written.last_mut();
                            if !last.is_some_and(|last| last.fold(id, &update, &inverse)) {
                                step.written.push(Written { id, update, inverse });
                            }
                        }
                        step.until = until;
                    }
                    None => {
                        self.undo.push_back(Step { written: written.collect(), until, open: false });
                    }
                }
            }
        }
        for steps in [&mut self.undo, &mut self.redo] {
            let mut count: usize = steps.iter().map(|step| step.written.len()).sum();
            while count > self.limit && steps.len() > 1 {
                count -= steps.pop_front().map_or(0, |step| step.written.len());
            }
            if count > self.limit {
                // A single step beyond the limit cannot be taken back whole, and is not taken back in part.
                steps.clear();
            }
        }
    }

    /// A write was refused: there is nothing of it to take back.
    pub(super) fn refused(&mut self, id: WriteId) {
        for steps in [&mut self.undo, &mut self.redo] {
            steps.iter_mut().for_each(|step| step.written.retain(|written| written.id != id));
            steps.retain(|step| step.open || !step.written.is_empty());
        }
    }

    /// The room's history is another: nothing of this one is in it.
    pub(super) fn clear(&mut self) {
        self.undo.clear();
        self.redo.clear();
    }

    /// The next write begins a step of its own, however soon.
    fn seal(&mut self) {
        if let Some(step) = self.undo.back_mut() {
            (step.until, step.open) = (Duration::ZERO, false);
        }
    }

    const fn steps(&mut self, kind: Kind) -> &mut VecDeque<Step<S>> {
        if matches!(kind, Kind::Redo) { &mut self.redo } else { &mut self.undo }
    }
}

impl<S: SharedState> Replica<S> {
    /// Takes back this user's last change, or the changes that were made together with it, as a new change. `None`:
    /// there is nothing to take back.
    ///
    /// A change that others have overwritten since has nothing left to take back, and the one before it is.
    ///
    /// # Errors
    /// As [`write`](Self::write); the history is as it was.
    pub fn undo(&mut self, now: Duration) -> Result<Option<WriteId>, WriteError> {
        self.take_back(now, Kind::Undo)
    }

    /// Makes what was undone last again, as a new change. `None`: nothing was undone, or something was written since.
    ///
    /// # Errors
    /// As [`write`](Self::write); the history is as it was.
    pub fn redo(&mut self, now: Duration) -> Result<Option<WriteId>, WriteError> {
        self.take_back(now, Kind::Redo)
    }

    /// Whether there is anything to undo. What others have overwritten counts until it is tried.
    #[must_use]
    pub fn can_undo(&self) -> bool {
        !self.history.undo.is_empty()
    }

    /// Whether there is anything to redo. What others have overwritten counts until it is tried.
    #[must_use]
    pub fn can_redo(&self) -> bool {
        !self.history.redo.is_empty()
    }

    /// What is written from now on is undone together, until [`end_group`](Self::end_group). Groups nest.
    pub fn begin_group(&mut self) {
        self.history.groups += 1;
        if self.history.groups == 1 {
            self.history.undo.push_back(Step { written: Vec::new(), until: Duration::ZERO, open: true });
        }
    }

    /// Ends what [`begin_group`](Self::begin_group) began.
    pub fn end_group(&mut self) {
        let history = &mut self.history;
        history.groups = history.groups.saturating_sub(1);
        if history.groups > 0 {
            return;
        }
        history.undo.retain(|step| !step.written.is_empty());
        history.seal();
    }

    fn take_back(&mut self, now: Duration, kind: Kind) -> Result<Option<WriteId>, WriteError> {
        while let Some(step) = self.history.steps(kind).pop_back() {
            self.history.seal();
            let updates = self.taken_back(&step);
            if updates.is_empty() {
                continue;
            }
            return match self.submit(now, updates, None, kind) {
                Ok(id) => Ok(Some(id)),
                Err(error) => {
                    self.history.steps(kind).push_back(step);
                    Err(error)
                }
            };
        }
        Ok(None)
    }

    /// The updates that take a step back, the last write first, each on what the one before leaves; those that make
    /// one are one.
    fn taken_back(&mut self, step: &Step<S>) -> Vec<S::Update> {
        let mut updates: Vec<S::Update> = Vec::new();
        let mut inverses = Vec::new();
        for Written { update, inverse, .. } in step.written.iter().rev() {
            let taken_back = scope::as_writer(self.config.writer, || self.view.take_back(update, inverse));
            if let Some(update) = taken_back {
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
