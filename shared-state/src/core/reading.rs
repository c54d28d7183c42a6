//! Whether two values read the same: for undo, which compares what is there with what was written.
//!
//! An undone write may leave something behind that nobody reads: an entry of a map with nothing in it, or the history of
//! a text. That is no difference here. The setting of the current thread reaches the values inside others, as those of
//! [`text_scope`](super::text_scope) do; the policies' `diff` reads it.

use std::cell::Cell;

use crate::core::MergePolicy;
use crate::core::restore::Restore;

thread_local! {
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a value reads the same as another one.
pub(crate) fn reads_as<T, P: MergePolicy<T>>(value: &T, other: &T) -> bool {
    reading(|| is_same::<T, P>(value, other))
}

/// Runs `work`, in which `diff` leaves out what nobody reads.
pub(crate) fn reading<R>(work: impl FnOnce() -> R) -> R {
    let _restore = Restore(&READING, READING.replace(true));
    work()
}

/// Whether `diff` leaves out what nobody reads.
pub(crate) fn is_reading() -> bool {
    READING.get()
}

/// Whether an entry reads as one that is absent: it is what an operation on an absent entry starts from.
pub(crate) fn is_blank<T, P: MergePolicy<T>>(entry: &T) -> bool {
    P::start().is_some_and(|start| reads_as::<T, P>(entry, &start))
}

fn is_same<T, P: MergePolicy<T>>(value: &T, other: &T) -> bool {
    let mut differs = false;
    P::diff(value, other, &mut |_| differs = true);
    !differs
}
