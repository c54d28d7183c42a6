//! Wakes the tasks of many connections a few at a time.
//!
//! A runtime polls its tasks in the order in which they were woken. If a change in a room of a thousand connections woke
//! them all at once, a connection of another room would wait for all of them.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use tokio::runtime::Handle;
use tokio::task::yield_now;

/// How many tasks are woken at once. Then other tasks have their turn.
const PORTION: usize = 32;

thread_local! {
    /// Whether wakers are gathered on this thread.
    static GATHERING: Cell<bool> = const { Cell::new(false) };

    static GATHERED: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// While this exists, connections that get frames from this thread are not woken. When it is dropped, they are.
pub(crate) struct Wakes<'a> {
    runtime: &'a Handle,
    /// Whether another one exists, which wakes them.
    is_inner: bool,
}

impl<'a> Wakes<'a> {
    /// `runtime` is that of the connections.
    pub(crate) fn gather(runtime: &'a Handle) -> Self {
        Self { runtime, is_inner: GATHERING.replace(true) }
    }
}

impl Drop for Wakes<'_> {
    fn drop(&mut self) {
        if self.is_inner {
            return;
        }
        GATHERING.set(false);
        let later = GATHERED.with_borrow_mut(|gathered| {
            let later = gathered.split_off(gathered.len().min(PORTION));
            gathered.drain(..).for_each(Waker::wake);
            later
        });
        if !later.is_empty() {
            self.runtime.spawn(wake_in_portions(later));
        }
    }
}

/// Wakes a task now, or when the [`Wakes`] of this thread is dropped.
pub(super) fn wake(waker: Waker) {
    if GATHERING.get() {
        GATHERED.with_borrow_mut(|gathered| gathered.push(waker));
    } else {
        waker.wake();
    }
}

async fn wake_in_portions(mut wakers: Vec<Waker>) {
    while !wakers.is_empty() {
        yield_now().await;
        wakers.drain(..wakers.len().min(PORTION)).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn many_tasks_are_woken_a_few_at_a_time() {
        let count = Arc::new(Count::default());
        let woken = || count.0.load(Ordering::Relaxed);
        let runtime = Handle::current();
        let outer = Wakes::gather(&runtime);
        let inner = Wakes::gather(&runtime);
        (0..2 * PORTION + 1).for_each(|_| wake(count.clone().into()));
        drop(inner);
        assert_eq!(woken(), 0);
        drop(outer);
        assert_eq!(woken(), PORTION);
        let mut seen = Vec::new();
        while woken() < 2 * PORTION + 1 {
            yield_now().await;
            seen.push(woken());
        }
        seen.dedup();
        seen.retain(|woken| *woken > PORTION);
        assert_eq!(seen, [2 * PORTION, 2 * PORTION + 1], "other tasks have their turn in between");
        wake(count.clone().into());
        assert_eq!(woken(), 2 * PORTION + 2, "nothing is gathered any more");
    }
}
