//! What a [`Text`](super::Text) shares between its clones: the document, the string, and the edit that was
//! checked last.
//!
//! # Bounds
//! An edit is checked against the bounds of work before it is applied, in [`Core::check`]. Whoever applies
//! edits of others (the server) checks each first. What is applied unchecked is bounded by what was checked
//! elsewhere.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::document::{Document, Effect};
use super::splice::Splice;
use super::yjs::{Clocks, Id, Update};
use super::{Edit, Side, compose};
use crate::core::text_scope;

/// The limit of parts in an edit, and in all edits of one change: runs that are inserted and ranges that are
/// deleted. Each costs one or two microseconds.
pub(super) const MAX_PARTS: usize = 8 << 10;

/// What an edit with several insertions costs besides, in parts, and for how many runs of the text it costs one
/// part more: its insertions may be beside each other, and so they are tried on a clone.
const TRIAL_PARTS: usize = 32;
const TRIAL_RUNS: usize = 256;

/// The limit of client ids under which an edit inserts.
pub(super) const MAX_CLIENTS: usize = 256;

/// How many runs that are passed count as one part: an edit passes them in search of its places, where others
/// have inserted at the same place.
const STEPS: usize = 4;

/// The limit of runs that the edits of one change pass.
const MAX_STEPS: usize = STEPS * MAX_PARTS;

/// The limit of runs in a text, deleted ones included, for an edit that inserts. A run costs about 100 bytes
/// of memory besides its text, and a deleted one about 10 bytes where it is stored.
pub(super) const MAX_RUNS: usize = 256 << 10;

/// The limit for an edit that only deletes: what cuts runs.
const MAX_RUNS_DELETING: usize = MAX_RUNS + MAX_RUNS / 4;

/// An edit that was checked: what it is once it is settled, and the document with it if it was tried on one.
struct Prepared {
    given: Edit,
    settled: Edit,
    done: Option<(Document, Effect)>,
}

/// Whether an edit has several insertions, so that one may be beside another.
fn is_several(update: &Update) -> bool {
    update.structs.values().map(Vec::len).sum::<usize>() > 1
}

pub(super) struct Core {
    document: Document,
    plain: OnceLock<String>,
    prepared: Mutex<Option<Prepared>>,
}

impl Core {
    pub(super) fn new(document: Document) -> Self {
        Self { document, plain: OnceLock::new(), prepared: Mutex::new(None) }
    }

    pub(super) const fn document(&self) -> &Document {
        &self.document
    }

    /// The document, to be changed.
    pub(super) fn change(&mut self) -> &mut Document {
        self.plain.take();
        *self.prepared.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        &mut self.document
    }

    pub(super) fn plain(&self) -> &str {
        self.plain
            .get_or_init(|| self.document.order().iter().filter_map(|run| run.text.as_deref()).collect())
    }

    /// The length in UTF-16 units.
    pub(super) const fn units(&self) -> usize {
        self.document.order().visible()
    }

    /// The number of characters of two UTF-16 units.
    pub(super) const fn wide(&self) -> usize {
        self.document.order().wide()
    }

    /// Checks that the document has everything that an edit refers to, and that the edit is within the bounds
    /// of work. It is settled at the same time, for [`settled`](Self::settled) and
    /// [`take_prepared`](Self::take_prepared).
    pub(super) fn check(&self, edit: &Edit) -> Result<(), String> {
        if self.prepared().as_ref().is_some_and(|prepared| prepared.given.is_same(edit)) {
            return Ok(());
        }
        self.check_size(edit.update())?;
        let fitted = self.document.fitted(edit.update());
        let update = fitted.as_ref().unwrap_or_else(|| edit.update());
        let order = self.document.check(update)?;
        let most = STEPS * MAX_PARTS.saturating_sub(text_scope::spent());
        let too_far = || {
            format!(
                "the edits of a change pass more than {MAX_STEPS} runs that others inserted at the same places"
            )
        };
        let mut left = most;
        let (done, neighbours) = if is_several(edit.update()) {
            let mut document = self.document.clone();
            let settled = document.settle(update, &order, &mut left);
            let (effect, neighbours) = settled.ok_or_else(too_far)?;
            (Some((document, effect)), neighbours)
        } else {
            (None, self.document.settle_one(update, &order, &mut left).ok_or_else(too_far)?)
        };
        text_scope::spend((most - left) / STEPS, MAX_PARTS);
        let settled = match (fitted, neighbours.is_empty()) {
            (None, true) => edit.clone(),
            (fitted, _) => {
                let mut update = fitted.unwrap_or_else(|| edit.update().clone());
                for (client, nth, left, right) in neighbours {
                    if let Some(new) = update.structs.get_mut(&client).and_then(|all| all.get_mut(nth)) {
                        (new.origin, new.right) = (left, right);
                    }
                }
                Edit::of(update)
            }
        };
        *self.prepared() = Some(Prepared { given: edit.clone(), settled, done });
        Ok(())
    }

    /// Checks an edit against the bounds of work.
    fn check_size(&self, update: &Update) -> Result<(), String> {
        let clients = update.structs.len();
        if clients > MAX_CLIENTS {
            return Err(format!("an edit inserts under at most {MAX_CLIENTS} client ids, found {clients}"));
        }
        let structs = update.structs.values().map(Vec::len).sum::<usize>();
        let parts = structs + update.deleted.ranges();
        let trial = TRIAL_PARTS + self.document.runs() / TRIAL_RUNS;
        let trial = if is_several(update) { trial } else { 0 };
        if parts > MAX_PARTS || !text_scope::spend(1 + trial + parts, 1 + trial + MAX_PARTS) {
            return Err(format!(
                "the edits of a change have at most {MAX_PARTS} parts (insertions and deleted ranges), found {parts} \
                 in one; send them in several changes"
            ));
        }
        let limit = if structs == 0 { MAX_RUNS_DELETING } else { MAX_RUNS };
        let runs = self.document.runs() + 2 * parts;
        if runs > limit && parts > 0 {
            return Err(format!(
                "a text has at most {limit} runs, deleted ones included; with this edit it may have {runs}"
            ));
        }
        Ok(())
    }

    /// What an edit is once it is settled. `None` if that is the edit itself, or it was not checked.
    pub(super) fn settled(&self, edit: &Edit) -> Option<Edit> {
        let prepared = self.prepared();
        let prepared = prepared.as_ref().filter(|prepared| prepared.given.is_same(edit))?;
        (!prepared.settled.is_same(edit)).then(|| prepared.settled.clone())
    }

    /// The document with a settled edit, and the edit's effect, if the edit was checked last.
    pub(super) fn take_prepared(&self, settled: &Edit) -> Option<(Document, Effect)> {
        let prepared = self.prepared().take_if(|prepared| prepared.settled.is_same(settled))?;
        prepared.done
    }

    fn prepared(&self) -> std::sync::MutexGuard<'_, Option<Prepared>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The splices as an edit by `client`. A position beyond the end is the end, and one inside a character
    /// is before it.
    pub(super) fn compose(&self, client: u64, splices: &[Splice]) -> Option<Update> {
        compose::compose(&self.document, client, splices)
    }

    /// The unit to the left or right of a position in UTF-16 units.
    pub(super) fn unit_at(&self, units: usize, side: Side) -> Option<Id> {
        let (left, right) = compose::around(self.document.order(), units);
        if side == Side::Left { left } else { right }
    }

    /// The position of a unit in UTF-16 units: right of the unit (`Side::Left`), left of it, or where it was.
    pub(super) fn position_of(&self, id: Id, side: Side) -> Option<usize> {
        let order = self.document.order();
        let place = order.find(id)?;
        let is_after = side == Side::Left && order.run(place).is_some_and(|run| !run.is_deleted());
        Some(order.position(place) + usize::from(is_after))
    }

    /// The number of units of each client.
    pub(super) fn clocks(&self) -> Clocks {
        self.document.clocks().collect()
    }
}

impl From<Document> for Arc<Core> {
    fn from(document: Document) -> Self {
        Self::new(Core::new(document))
    }
}
