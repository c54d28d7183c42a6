//! The calls that wait for the writer thread, in the order they were made. Bounded by their number and bytes. Pushed
//! by [`RedbStore`](super::RedbStore), taken by the writer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::store::{
    Append, AppendError, Cause, CompactError, DeleteError, ListError, LoadError, RoomInfo, Snapshot,
    StoredRoom,
};

/// Where the outcome of a call is sent. Its receiver may have been dropped.
pub(super) type Done<T, E> = oneshot::Sender<Result<T, E>>;

/// A call to the store.
#[derive(Debug)]
pub(super) enum Job {
    Append { append: Append, done: Done<(), AppendError> },
    Compact { room: Arc<str>, epoch: u64, snapshot: Snapshot, done: Done<(), CompactError> },
    Delete { room: Arc<str>, done: Done<(), DeleteError> },
    Load { room: Arc<str>, done: Done<Option<StoredRoom>, LoadError> },
    List { done: Done<Vec<RoomInfo>, ListError> },
}

impl Job {
    /// The room that the call concerns; `None`: all rooms.
    pub(super) fn room(&self) -> Option<&str> {
        match self {
            Self::Append { append: Append { room, .. }, .. }
            | Self::Compact { room, .. }
            | Self::Delete { room, .. }
            | Self::Load { room, .. } => Some(room),
            Self::List { .. } => None,
        }
    }
}

/// A call and its share of the queue's limits.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) job: Job,
    pub(super) ticket: Ticket,
}

impl Queued {
    /// The bytes that the call holds.
    pub(super) const fn bytes(&self) -> usize {
        self.ticket.bytes
    }
}

/// A share of the queue's limits, returned on drop.
#[derive(Debug)]
pub(super) struct Ticket {
    held: Arc<Held>,
    bytes: usize,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.held.calls.fetch_sub(1, Ordering::Relaxed);
        self.held.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What unfinished calls hold. Increased only under the queue's lock.
#[derive(Debug, Default)]
struct Held {
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

/// The most that unfinished calls may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) calls: usize,
    pub(super) bytes: usize,
}

/// Why a call was not queued.
#[derive(Debug)]
pub(super) enum Refused {
    Busy {
        limit: usize,
        unit: &'static str,
    },
    Closed,
    /// The writer cannot write: its file is being opened again, or it ended without being closed.
    Failed(Cause),
}

/// What the writer has to do next.
#[derive(Debug)]
pub(super) enum Taken {
    Calls,
    /// A reader found that the file has failed.
    Failed(Cause),
    /// The queue is closed and empty.
    Closed,
}

/// The writer thread ended without being closed: it panicked.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the store's writer stopped")]
pub(super) struct Stopped;

#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    held: Arc<Held>,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: Vec<Queued>,
    closing: bool,
    /// How often the file was opened again.
    reopened: u64,
    /// The error with which a reader found that the file has failed, until the writer suspends the queue.
    read_failed: Option<Cause>,
    /// Why calls are refused while the file is being opened again.
    outage: Option<Cause>,
    /// How the writer thread ended; `None` while it runs.
    ended: Option<Result<(), Cause>>,
    closers: Vec<oneshot::Sender<Result<(), Cause>>>,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, held: Arc::default(), state: Mutex::default(), arrived: Condvar::new() }
    }

    /// No code that can panic runs under the lock, so a poisoned lock is still usable.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a call that holds `bytes`. A call larger than the limit of bytes is accepted if no other call holds
    /// any.
    pub(super) fn push(&self, bytes: usize, job: impl FnOnce() -> Job) -> Result<(), Refused> {
        let mut state = self.state();
        if state.closing {
            return Err(Refused::Closed);
        }
        if state.ended.is_some() {
            return Err(Refused::Failed(Arc::new(Stopped)));
        }
        if let Some(cause) = &state.outage {
            return Err(Refused::Failed(cause.clone()));
        }
        let calls = self.held.calls.load(Ordering::Relaxed);
        if calls >= self.limits.calls {
            return Err(Refused::Busy { limit: self.limits.calls, unit: "calls" });
        }
        let held = self.held.bytes.load(Ordering::Relaxed);
        if held > 0 && held.saturating_add(bytes) > self.limits.bytes {
            return Err(Refused::Busy { limit: self.limits.bytes, unit: "bytes" });
        }
        self.held.calls.fetch_add(1, Ordering::Relaxed);
        self.held.bytes.fetch_add(bytes, Ordering::Relaxed);
        let ticket = Ticket { held: self.held.clone(), bytes };
        state.jobs.push(Queued { job: job(), ticket });
        if state.jobs.len() == 1 {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits for calls and moves all of them to `backlog`. If there are some already, does not wait.
    pub(super) fn take(&self, backlog: &mut Vec<Queued>) -> Taken {
        let mut state = self.state();
        loop {
            if let Some(cause) = &state.read_failed {
                return Taken::Failed(cause.clone());
            }
            backlog.append(&mut state.jobs);
            if !backlog.is_empty() {
                return Taken::Calls;
            }
            if state.closing {
                return Taken::Closed;
            }
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether calls are taken and, as far as is known, the file works.
    pub(super) fn is_available(&self) -> bool {
        let state = self.state();
        !state.closing && state.ended.is_none() && state.outage.is_none() && state.read_failed.is_none()
    }

    /// How often the file was opened again.
    pub(super) fn reopened(&self) -> u64 {
        self.state().reopened
    }

    /// Tells the writer that a read of the file, which had been opened again so often, has failed.
    pub(super) fn read_failed(&self, reopened: u64, cause: Cause) {
        let mut state = self.state();
        if state.reopened == reopened && state.outage.is_none() {
            state.read_failed.get_or_insert(cause);
            drop(state);
            self.arrived.notify_one();
        }
    }

    /// Refuses all calls with this error until [`resume`](Self::resume). Returns the calls that wait, to be answered.
    pub(super) fn suspend(&self, outage: Cause) -> Vec<Queued> {
        let mut state = self.state();
        state.outage = Some(outage);
        state.read_failed = None;
        std::mem::take(&mut state.jobs)
    }

    /// Takes calls again: the file was opened again.
    pub(super) fn resume(&self) {
        let mut state = self.state();
        state.outage = None;
        state.reopened += 1;
    }

    /// Why calls are refused, while the file is being opened again.
    pub(super) fn outage(&self) -> Option<Cause> {
        self.state().outage.clone()
    }

    /// Waits for `pause`, at most until the queue is closed. Returns whether it is still open.
    pub(super) fn wait_open(&self, pause: Duration) -> bool {
        let waited = self.arrived.wait_timeout_while(self.state(), pause, |state| !state.closing);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.closing
    }

    /// Refuses later calls. The receiver is sent how the writer ended.
    pub(super) fn close(&self) -> oneshot::Receiver<Result<(), Cause>> {
        let (sender, outcome) = oneshot::channel();
        let mut state = self.state();
        state.closing = true;
        match &state.ended {
            // The receiver is in scope, so sending cannot fail.
            Some(ended) => drop(sender.send(ended.clone())),
            None => state.closers.push(sender),
        }
        drop(state);
        self.arrived.notify_one();
        outcome
    }

    /// Records how the writer ended. Calls that are left are dropped, which wakes their futures with an error.
    pub(super) fn end(&self, how: Result<(), Cause>) {
        let (jobs, closers) = {
            let mut state = self.state();
            state.ended = Some(how.clone());
            (std::mem::take(&mut state.jobs), std::mem::take(&mut state.closers))
        };
        drop(jobs);
        for closer in closers {
            // The receiver may have been dropped.
            let _ = closer.send(how.clone());
        }
    }
}
