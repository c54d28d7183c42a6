//! A setting of the current thread that holds for a while.

use std::cell::Cell;
use std::thread::LocalKey;

/// Restores a cell's old value when it is dropped, even by a panic.
pub(super) struct Restore<T: Copy + 'static>(pub(super) &'static LocalKey<Cell<T>>, pub(super) T);

impl<T: Copy> Drop for Restore<T> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}
