//! The two states of a replica: the confirmed one, at a version of the room's history, and the view, which is
//! the confirmed one with everything pending on top. What is pending is passed in.

use std::collections::BTreeMap;

use crate::core::text_scope::TextWriter;
use crate::core::{
    Code, FieldId, Invalid, MAX_DIFFERENCES, Overlap, SharedState, WriteError, smaller_updates, take_back,
    text_scope, transfer, update_path, work,
};
use crate::proto::Violation;
use crate::replica::change::{Change, PendingUpdate, WriteId};
use crate::replica::pending::Pending;

/// Whether an update changes a state. A text that reads the same may have another history. An update that is not
/// valid there counts as one that does, so that it is refused and not left out.
fn has_effect<S: SharedState>(state: &S, update: &S::Update) -> bool {
    text_scope::with_history(|| state.has_effect(update)) || check_op(state, update).is_err()
}

/// Checks what an update requires of a state. Whether a counter is at its bound is for the server to say: what others
/// do meanwhile may leave room.
fn check_op<S: SharedState>(state: &S, update: &S::Update) -> Result<(), Invalid> {
    state.check_op(update).or_else(|invalid| if invalid.is_at_bound() { Ok(()) } else { Err(invalid) })
}

/// Replaces the updates of a change by their [parts](States::parts), each made on `state` and the ones before. The
/// state is as before when this returns.
pub(super) fn decompose_on<S: SharedState>(
    state: &mut S,
    writer: &mut TextWriter,
    updates: Vec<S::Update>,
) -> Vec<S::Update> {
    let mut decomposed = Vec::with_capacity(updates.len());
    let mut inverses = Vec::new();
    let fields: Vec<FieldId> = updates.iter().map(S::field).collect();
    for (at, update) in updates.into_iter().enumerate() {
        let parts = text_scope::as_writer(writer, || smaller_updates(state, &update));
        let parts = parts.unwrap_or_else(|| vec![update]);
        if fields[at + 1..].contains(&fields[at]) {
            // A later update of this change is made on top of this one.
            inverses.extend(parts.iter().map(|part| state.apply(part.clone())));
        }
        decomposed.extend(parts);
    }
    take_back(state, inverses);
    decomposed
}

pub(super) struct States<S: SharedState> {
    /// What is shown of fields that have no value in the room.
    pub(super) initial: S,
    /// The epoch of the confirmed state; `None` before the first state arrived.
    pub(super) epoch: Option<u64>,
    pub(super) version: u64,
    pub(super) confirmed: S,
    pub(super) view: S,
    /// As whom this client edits texts.
    pub(super) writer: TextWriter,
}

impl<S: SharedState> States<S> {
    pub(super) fn new(initial: S, writer: u64) -> Self {
        let (confirmed, view) = (initial.clone(), initial.clone());
        Self { initial, epoch: None, version: 0, confirmed, view, writer: TextWriter::new(writer) }
    }

    /// Checks that `version` is the one after the confirmed state.
    pub(super) fn expect_next(&self, version: u64) -> Result<(), Violation> {
        if version == self.version + 1 {
            return Ok(());
        }
        let message = format!("expected version {}, found {version}", self.version + 1);
        Err(Violation::new(Code::BadMessage, message))
    }

    /// The differences from the view that an update which sets a whole field makes, if the merge policy can
    /// tell them.
    pub(super) fn parts(&mut self, update: &S::Update) -> Option<Vec<S::Update>> {
        text_scope::as_writer(&mut self.writer, || smaller_updates(&self.view, update))
    }

    /// Replaces the updates of a change by their [parts](Self::parts), each made on top of the ones before.
    pub(super) fn decompose(&mut self, updates: Vec<S::Update>) -> Vec<S::Update> {
        decompose_on(&mut self.view, &mut self.writer, updates)
    }

    /// The updates of a change, where a list, map or set that has more than [`MAX_DIFFERENCES`] is set as a whole: the
    /// innermost one, so that what others write beside it stays. A change that moves items to other lists stays as it is,
    /// and so does one that cannot be made.
    pub(super) fn bounded(&mut self, updates: Vec<S::Update>) -> Vec<S::Update> {
        if updates.len() <= MAX_DIFFERENCES || transfer::moves_by::<S>(&updates).next().is_some() {
            return updates;
        }
        let paths: Vec<String> =
            updates.iter().map(|update| update_path::<S>(update).into_string()).collect();
        let crowded = crowded(&paths);
        if crowded.is_empty() {
            return updates;
        }
        let made = |this: &mut Self, updates: &[S::Update]| {
            let mut inverses = Vec::with_capacity(updates.len());
            let is_possible = updates.iter().all(|update| {
                let is_possible = check_op(&this.view, update).is_ok();
                inverses.push(this.view.apply(update.clone()));
                is_possible
            });
            (inverses, is_possible)
        };
        let (inverses, is_possible) = made(self, &updates);
        let whole = crowded.iter().map(|path| transfer::current_at(&mut self.view, path));
        let whole: Option<Vec<_>> = if is_possible { whole.collect() } else { None };
        take_back(&mut self.view, inverses);
        let Some(whole) = whole else { return updates };
        let is_beside =
            |path: &str| !crowded.iter().any(|around| transfer::rest_after(around, path).is_some());
        let beside = updates.iter().zip(&paths).filter(|(_, path)| is_beside(path));
        let bounded: Vec<_> = beside.map(|(update, _)| update.clone()).chain(whole).collect();
        let (inverses, is_possible) = made(self, &bounded);
        take_back(&mut self.view, inverses);
        if is_possible { bounded } else { updates }
    }

    /// Applies a change to the view; returns the inverses of its updates.
    ///
    /// # Errors
    /// The change violates a rule, or takes too much [work]. The view is unchanged then.
    pub(super) fn show(&mut self, updates: &[PendingUpdate<S>]) -> Result<Vec<S::Update>, WriteError> {
        let mut inverses = Vec::with_capacity(updates.len());
        let mut verdict: Result<(), WriteError> = updates.iter().try_for_each(|update| {
            work::check()?;
            check_op(&self.view, &update.typed)?;
            inverses.push(self.view.apply(update.typed.clone()));
            Ok(())
        });
        if verdict.is_ok() {
            verdict = inverses.iter().try_for_each(|touched| Ok(self.view.check(touched)?));
        }
        if S::HAS_RULE && verdict.is_ok() {
            verdict = self.view.check_rule().map_err(WriteError::from);
        }
        if let Err(error) = verdict {
            take_back(&mut self.view, inverses);
            return Err(error);
        }
        Ok(inverses)
    }

    /// Rebuilds a field of the view: the confirmed value with everything pending on top.
    pub(super) fn rebuild(&mut self, field: FieldId, pending: &mut Pending<S>) {
        self.view.copy_field(&self.confirmed, field);
        if pending.touches(field) {
            let here = pending.updates_mut().filter(|update| update.field() == field);
            here.for_each(|update| drop(update.put_on(&mut self.view)));
        }
    }

    /// [Rebuilds](Self::rebuild) a field of the view, and calls `each` before every pending update of the field,
    /// with the view as it is beneath, the update's change and its index there.
    pub(super) fn replay(
        &mut self,
        field: FieldId,
        pending: &mut Pending<S>,
        mut each: impl FnMut(&mut S, WriteId, usize),
    ) {
        self.view.copy_field(&self.confirmed, field);
        for (id, updates) in pending.changes_mut() {
            let here = updates.iter_mut().enumerate().filter(|(_, update)| update.field() == field);
            for (index, update) in here {
                each(&mut self.view, id, index);
                update.put_on(&mut self.view);
            }
        }
    }

    /// Which of the updates of a change have an effect on what the app sees, each on top of the ones before.
    pub(super) fn effects(&mut self, updates: &[PendingUpdate<S>]) -> Vec<bool> {
        if let [one] = updates {
            return vec![has_effect(&self.view, &one.typed)];
        }
        let mut inverses = Vec::with_capacity(updates.len());
        let effects = updates.iter().map(|update| {
            let has_effect = has_effect(&self.view, &update.typed);
            inverses.push(self.view.apply(update.typed.clone()));
            has_effect
        });
        let effects = effects.collect();
        take_back(&mut self.view, inverses);
        effects
    }

    /// Applies an update to the view; returns it if it has an effect there.
    pub(super) fn shown(&mut self, update: S::Update) -> Option<S::Update> {
        let shown = has_effect(&self.view, &update).then(|| update.clone());
        self.view.apply(update);
        shown
    }

    /// Rebuilds a field of the view; returns its new value as an update if it is different.
    pub(super) fn rebuilt(&mut self, field: FieldId, pending: &mut Pending<S>) -> Option<S::Update> {
        let before = self.view.current(field);
        self.rebuild(field, pending);
        let now = self.view.current(field);
        text_scope::with_history(|| now != before).then_some(now)
    }

    /// Rebuilds the whole view; returns what is different.
    pub(super) fn rebuild_all(&mut self, pending: &mut Pending<S>) -> Vec<S::Update> {
        let mut view = self.confirmed.clone();
        pending.updates_mut().for_each(|update| drop(update.put_on(&mut view)));
        let shown = text_scope::with_history(|| S::diff(&self.view, &view));
        self.view = view;
        shown
    }

    /// Shows a remote update, which the confirmed state contains already, underneath the pending ones. Returns
    /// what it changes in the view.
    pub(super) fn show_remote(&mut self, update: S::Update, pending: &mut Pending<S>) -> Option<S::Update> {
        match pending.overlap(&update) {
            Overlap::Commutes => self.shown(update),
            Overlap::Shadowed => None,
            Overlap::Conflicts => self.rebuilt(S::field(&update), pending),
        }
    }

    /// The confirmed values that some fields would have after changes.
    pub(super) fn confirmed_after<'c>(
        &mut self,
        changes: impl Iterator<Item = &'c Change<S>>,
        fields: &[FieldId],
    ) -> Vec<S::Update> {
        if fields.is_empty() {
            return Vec::new();
        }
        let updates = changes.flat_map(|change| &change.updates).map(|update| update.shown().clone());
        let inverses: Vec<_> = updates.map(|update| self.confirmed.apply(update)).collect();
        let values = fields.iter().map(|field| self.confirmed.current(*field)).collect();
        take_back(&mut self.confirmed, inverses);
        values
    }
}

/// The innermost paths at or in which there are more than [`MAX_DIFFERENCES`] of these.
fn crowded(paths: &[String]) -> Vec<&str> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for path in paths {
        transfer::ends(path).for_each(|end| *counts.entry(&path[..end]).or_default() += 1);
    }
    let crowded: Vec<_> =
        counts.into_iter().filter(|(_, count)| *count > MAX_DIFFERENCES).map(|(path, _)| path).collect();
    let is_innermost = |path: &&str| {
        let mut inside = crowded.iter().filter_map(|other| transfer::rest_after(path, other));
        !inside.any(|rest| !rest.is_empty())
    };
    crowded.iter().copied().filter(is_innermost).collect()
}
