//! What a state machine says to texts while it works on them: whether they are taken for strings or with their history,
//! and who writes.
//!
//! A text may lie deep inside other values, which serde writes and other policies change; this reaches it there
//! without an argument through all of them. It is said by the thread that works, for as long as it works.

use std::cell::{Cell, RefCell};

thread_local! {
    static WITH_HISTORY: Cell<bool> = const { Cell::new(false) };
    static WRITER: Cell<u64> = const { Cell::new(0) };
    static CLAIMS: RefCell<Option<Vec<u64>>> = const { RefCell::new(None) };
}

/// Puts a cell back when it goes.
struct Restore<T: Copy + 'static>(&'static std::thread::LocalKey<Cell<T>>, T);

impl<T: Copy> Drop for Restore<T> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

/// Runs `work`; texts that it writes are written with what merging them needs, not as plain strings, and those that
/// it compares are equal if that is.
pub(crate) fn with_history<R>(work: impl FnOnce() -> R) -> R {
    let _restore = Restore(&WITH_HISTORY, WITH_HISTORY.replace(true));
    work()
}

/// Runs `work`; edits that it makes are made under the number `writer`.
pub(crate) fn as_writer<R>(writer: u64, work: impl FnOnce() -> R) -> R {
    let _restore = Restore(&WRITER, WRITER.replace(writer));
    work()
}

/// Runs `work`; gives the numbers under which the edits that it admits were made, each once.
pub(crate) fn claims<R>(work: impl FnOnce() -> R) -> (R, Vec<u64>) {
    let before = CLAIMS.replace(Some(Vec::new()));
    let result = work();
    let claims = CLAIMS.replace(before).unwrap_or_default();
    (result, claims)
}

/// Whether texts are to be written and compared with their history.
#[cfg(feature = "text")]
pub(crate) fn is_with_history() -> bool {
    WITH_HISTORY.get()
}

/// The number of whoever writes; 0 if it has none.
#[cfg(feature = "text")]
pub(crate) fn writer() -> u64 {
    WRITER.get()
}

/// An edit was made under this number.
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
