//! A mutex under which closures of the app run.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::client::lock;

thread_local! {
    /// Its address is the number of the thread.
    static THREAD: u8 = const { 0 };
}

/// A mutex that panics if the thread that has locked it locks it again, where another one would wait for ever: a closure
/// of the app that is run under the lock has used a handle.
#[derive(Debug)]
pub(crate) struct CheckedMutex<T> {
    /// The number of the thread that has locked it; 0: no thread.
    holder: AtomicUsize,
    value: Mutex<T>,
}

impl<T> CheckedMutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { holder: AtomicUsize::new(0), value: Mutex::new(value) }
    }

    /// Locks it, also if a thread panicked while it had it locked.
    pub(crate) fn lock(&self) -> Locked<'_, T> {
        let thread = THREAD.with(|thread| std::ptr::from_ref(thread).addr());
        // No other thread stores this one's number, so what this one reads of it is what it has stored last.
        assert!(
            self.holder.load(Ordering::Relaxed) != thread,
            "a handle is used inside a closure that was called with the handle's value, as that of `update`, \
             `transact` or `read`: use what the closure is given"
        );
        let value = lock(&self.value);
        self.holder.store(thread, Ordering::Relaxed);
        Locked { holder: &self.holder, value }
    }
}

/// The value, until this is dropped.
pub(crate) struct Locked<'a, T> {
    holder: &'a AtomicUsize,
    value: MutexGuard<'a, T>,
}

impl<T> Drop for Locked<'_, T> {
    fn drop(&mut self) {
        self.holder.store(0, Ordering::Relaxed);
    }
}

impl<T> Deref for Locked<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Locked<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_thread_that_locks_it_twice_panics_and_others_wait() {
        let mutex = CheckedMutex::new(1);
        let guard = mutex.lock();
        assert!(catch_unwind(AssertUnwindSafe(|| *mutex.lock())).is_err());
        std::thread::scope(|scope| {
            let other = scope.spawn(|| *mutex.lock());
            drop(guard);
            assert_eq!(other.join().unwrap(), 1);
        });
        *mutex.lock() += 1;
        assert_eq!(*mutex.lock(), 2);
    }
}
