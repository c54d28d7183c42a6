//! Settings for the texts that the current thread works on: whether a text is serialized and compared as a
//! string or with its history, and under which client id edits are made.
//!
//! A text may lie deep inside other values, which serde writes and other policies change. A thread-local
//! setting reaches it there without an argument through all of them. It holds while the closure runs. The
//! state machines set it; the policy `text` reads it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::core::restore::Restore;

thread_local! {
    static WITH_HISTORY: Cell<bool> = const { Cell::new(false) };
    static WRITER: Cell<u64> = const { Cell::new(0) };
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

/// Runs `work` with `writer` as the text client id of the edits that it makes.
pub(crate) fn as_writer<R>(writer: u64, work: impl FnOnce() -> R) -> R {
    let _restore = Restore(&WRITER, WRITER.replace(writer));
    work()
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
#[cfg(feature = "text")]
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
    WRITER.get()
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
