//! Settings for the texts that the current thread works on: whether a text is serialized and compared as a
//! string or with its history, and under which client id edits are made.
//!
//! A text may lie deep inside other values, which serde writes and other policies change. A thread-local
//! setting reaches it there without an argument through all of them. It holds while the closure runs. The
//! state machines set it; the policy `text` reads it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::Arc;

use crate::core::restore::Restore;

thread_local! {
    static WITH_HISTORY: Cell<bool> = const { Cell::new(false) };
    static WRITER: Cell<TextWriter> = const { Cell::new(TextWriter::new(0)) };
    static RETYPED: RefCell<Vec<Retyped>> = const { RefCell::new(Vec::new()) };
    static TRACED: RefCell<Option<Option<TextEdit>>> = const { RefCell::new(None) };
    static CARRIED: RefCell<Option<Vec<Carried>>> = const { RefCell::new(None) };
    static CLAIMS: RefCell<Option<Vec<u64>>> = const { RefCell::new(None) };
    static SPENT: Cell<usize> = const { Cell::new(0) };
}

/// Runs `work` with texts in their full form: they are serialized with the history that merging needs, and
/// are equal only if that history is.
pub(crate) fn with_history<R>(work: impl FnOnce() -> R) -> R {
    let _restore = Restore(&WITH_HISTORY, WITH_HISTORY.replace(true));
    work()
}

/// Who edits texts: a text client id, and the clocks that it has used, in whatever text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextWriter {
    id: u64,
    /// The next edit begins at this clock or later.
    first: u32,
    /// The clocks up to this one may have been used.
    used: u32,
}

impl TextWriter {
    pub(crate) const fn new(id: u64) -> Self {
        Self { id, first: 0, used: 0 }
    }

    /// Edits that were never sent have been removed, and may be made again as they were: until then, their clocks are
    /// not used for others.
    pub(crate) const fn keep_clocks(&mut self) {
        self.first = self.used;
    }

    /// The clock at which the next edit begins, or later.
    pub(crate) const fn first(&self) -> u32 {
        self.first
    }

    /// The same writer while edits are made anew that began at this clock or later. What was written after them refers
    /// to them, so they have the same clocks again.
    pub(crate) const fn again_from(self, first: u32) -> Self {
        Self { first, ..self }
    }

    /// The clocks that `other` has used count as used.
    pub(crate) fn join(&mut self, other: Self) {
        self.used = self.used.max(other.used);
    }
}

/// Runs `work` with `writer` as the author of the edits that it makes.
pub(crate) fn as_writer<R>(writer: &mut TextWriter, work: impl FnOnce() -> R) -> R {
    let before = WRITER.replace(*writer);
    let restore = Restore(&WRITER, before);
    let result = work();
    *writer = WRITER.get();
    drop(restore);
    result
}

/// Characters that an undo has inserted again: the units `of` of a text that were deleted are its units `by` now. Each
/// is the first of `units` units: their text client id and clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retyped {
    pub(crate) of: (u64, u32),
    pub(crate) by: (u64, u32),
    pub(crate) units: u32,
}

/// Runs `work`, which undoes an edit of a text as `writer`. `known`, the earliest first, is what was inserted again
/// since that edit. Returns with the result of `work` what it inserts again.
pub(crate) fn undoing<R>(
    writer: &mut TextWriter,
    known: impl Iterator<Item = Retyped>,
    work: impl FnOnce() -> R,
) -> (R, Vec<Retyped>) {
    let known: Vec<_> = known.collect();
    let count = known.len();
    let before = RETYPED.replace(known);
    let result = as_writer(writer, work);
    let mut retyped = RETYPED.replace(before);
    (result, retyped.split_off(count))
}

/// What was inserted again since the edit that is undone.
#[cfg(feature = "text")]
pub(crate) fn retyped() -> Vec<Retyped> {
    RETYPED.with_borrow(Clone::clone)
}

/// Notes what the undo of an edit inserts again.
#[cfg(feature = "text")]
pub(crate) fn retype(runs: Vec<Retyped>) {
    RETYPED.with_borrow_mut(|retyped| retyped.extend(runs));
}

/// What an edit of a text has done to its characters.
#[derive(Clone, Debug, Default)]
pub(crate) struct TextEdit {
    pub(crate) inserted: Vec<Characters>,
    pub(crate) deleted: Vec<Characters>,
}

impl TextEdit {
    pub(crate) fn is_empty(&self) -> bool {
        self.inserted.is_empty() && self.deleted.is_empty()
    }
}

/// Characters of a text, one after another.
#[derive(Clone, Debug)]
pub(crate) struct Characters {
    /// Their text client id.
    pub(crate) client: u64,
    /// Their clocks.
    pub(crate) clocks: Range<u32>,
    /// Empty if it is not known.
    pub(crate) text: String,
    /// If they were inserted: the unit to the right of them, if there is one.
    pub(crate) right: Option<(u64, u32)>,
}

/// What an edit has done to a text. `encode` encodes the edit, its inverse, or both. `None` if it encodes neither.
pub(crate) fn traced(encode: impl FnOnce()) -> Option<TextEdit> {
    let before = TRACED.replace(Some(None));
    encode();
    TRACED.replace(before).flatten()
}

/// Whether edits and their inverses are encoded for [`traced`].
#[cfg(feature = "text")]
pub(crate) fn is_tracing() -> bool {
    TRACED.with_borrow(Option::is_some)
}

/// Adds to what the edit has done that is encoded now.
#[cfg(feature = "text")]
pub(crate) fn trace(inserted: Vec<Characters>, deleted: Vec<Characters>) {
    TRACED.with_borrow_mut(|edit| {
        if let Some(edit) = edit {
            let edit = edit.get_or_insert_default();
            edit.inserted.extend(inserted);
            edit.deleted.extend(deleted);
        }
    });
}

/// What has no form on the wire, as the inverse of an edit of a text.
type Carried = Arc<dyn Any + Send + Sync>;

/// Runs `work`, which encodes an operation and decodes it again. What has no form on the wire is carried over.
pub(crate) fn carrying<R>(work: impl FnOnce() -> R) -> R {
    let before = CARRIED.replace(Some(Vec::new()));
    let result = work();
    CARRIED.set(before);
    result
}

/// Whether what has no form on the wire is carried over.
pub(crate) fn is_carrying() -> bool {
    CARRIED.with_borrow(Option::is_some)
}

/// Keeps a value, and returns the number under which [`carried`] finds it.
#[cfg(feature = "text")]
pub(crate) fn carry(value: Carried) -> Option<usize> {
    CARRIED.with_borrow_mut(|all| {
        let all = all.as_mut()?;
        all.push(value);
        Some(all.len() - 1)
    })
}

/// The value that was kept under this number.
#[cfg(feature = "text")]
pub(crate) fn carried(number: usize) -> Option<Carried> {
    CARRIED.with_borrow(|all| all.as_ref()?.get(number).cloned())
}

/// Runs `work`. Returns with its result the text client ids of all edits that `check_op` was asked about
/// during it, each once. The edits share a budget of work, see [`spend`].
pub(crate) fn claims<R>(work: impl FnOnce() -> R) -> (R, Vec<u64>) {
    let before = CLAIMS.replace(Some(Vec::new()));
    let _restore = Restore(&SPENT, SPENT.replace(0));
    let result = work();
    let claims = CLAIMS.replace(before).unwrap_or_default();
    (result, claims)
}

/// Whether texts are serialized and compared with their history.
#[cfg(feature = "text")]
pub(crate) fn is_with_history() -> bool {
    WITH_HISTORY.get()
}

/// The text client id of the edits that are made now; 0 if there is none.
#[cfg(feature = "text")]
pub(crate) fn writer() -> u64 {
    WRITER.get().id
}

/// The clock at which an edit by `client` begins if the text has its clocks up to `known`.
#[cfg(feature = "text")]
pub(crate) fn first_clock(client: u64, known: u32) -> u32 {
    let writer = WRITER.get();
    if writer.id == client { known.max(writer.first) } else { known }
}

/// Notes that an edit by `client` has used the clocks up to `end`.
#[cfg(feature = "text")]
pub(crate) fn use_clocks(client: u64, end: u32) {
    let writer = WRITER.get();
    if writer.id == client {
        WRITER.set(TextWriter { used: writer.used.max(end), ..writer });
    }
}

/// Takes from the budget of the change whose edits are checked. Returns whether no more than `limit` is spent.
/// Outside of [`claims`] the budget is not shared.
#[cfg(feature = "text")]
pub(crate) fn spend(work: usize, limit: usize) -> bool {
    let all = spent().saturating_add(work);
    SPENT.set(all);
    all <= limit
}

/// What the change whose edits are checked has taken from its budget; nothing outside of [`claims`].
#[cfg(feature = "text")]
pub(crate) fn spent() -> usize {
    if CLAIMS.with_borrow(Option::is_some) { SPENT.get() } else { 0 }
}

/// Notes that `check_op` was asked about an edit of this text client id.
#[cfg(feature = "text")]
pub(crate) fn claim(writer: u64) {
    CLAIMS.with_borrow_mut(|claims| {
        if let Some(claims) = claims
            && !claims.contains(&writer)
        {
            claims.push(writer);
        }
    });
}
