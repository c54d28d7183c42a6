//! The appends of a room's changes to the store that the store has not answered yet, in the order of the versions.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use crate::server::rooms::in_flight::Permit;
use crate::server::rooms::room::Durable;
use crate::store::{Append, AppendError, RoomStore, StoreFuture};

/// How long to wait before an append is passed to a busy store again, for the first time and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

/// An append, or what has become of it.
pub(crate) enum Progress {
    /// The store was busy and has stored nothing.
    Waiting(Append),
    /// The store has it and has not answered.
    Passed(StoreFuture<(), AppendError>),
    Answered(Result<(), AppendError>),
}

impl Progress {
    /// Passes an append to the store.
    pub(crate) fn pass(store: &dyn RoomStore, append: Append) -> Self {
        let mut future = store.append(append.clone());
        match (&mut future).now_or_never() {
            None => Self::Passed(future),
            Some(Err(AppendError::Busy { .. })) => Self::Waiting(append),
            Some(answer) => Self::Answered(answer),
        }
    }

    /// The answer, if the store has given it.
    fn now(&mut self) -> Option<Result<(), AppendError>> {
        match self {
            Self::Waiting(_) => None,
            Self::Passed(future) => future.now_or_never(),
            Self::Answered(answer) => Some(std::mem::replace(answer, Ok(()))),
        }
    }

    /// Waits for the answer; `None` if the append was not passed.
    async fn answer(self) -> Option<Result<(), AppendError>> {
        match self {
            Self::Waiting(_) => None,
            Self::Passed(future) => Some(future.await),
            Self::Answered(answer) => Some(answer),
        }
    }
}

/// An accepted change that is not durable yet.
pub(crate) struct Pending {
    pub(crate) version: u64,
    pub(crate) progress: Progress,
    pub(crate) since: Instant,
    pub(crate) durable: Option<Durable>,
    pub(crate) permit: Permit,
}

/// What a room has to append, as its changes are accepted.
#[derive(Default)]
pub(crate) struct Appends {
    pending: VecDeque<Pending>,
    /// Whether the task that awaits the pending appends is running.
    running: bool,
    /// Some append waits for a busy store, so that the later ones wait behind it.
    waiting: bool,
}

impl Appends {
    /// Whether everything is answered.
    pub(crate) fn is_empty(&self) -> bool {
        !self.running && self.pending.is_empty()
    }

    /// Passes an append to the store, unless an earlier one still has to be passed.
    pub(crate) fn pass(&mut self, store: &dyn RoomStore, append: Append) -> Progress {
        let progress = if self.waiting { Progress::Waiting(append) } else { Progress::pass(store, append) };
        self.waiting |= matches!(progress, Progress::Waiting(_));
        progress
    }

    /// Adds a change. Returns whether the task has to be started.
    pub(crate) fn push(&mut self, pending: Pending) -> bool {
        self.pending.push_back(pending);
        !std::mem::replace(&mut self.running, true)
    }

    /// What was added since the last call. If that is nothing, the task ends.
    pub(crate) fn take(&mut self) -> VecDeque<Pending> {
        self.running = !self.pending.is_empty();
        self.waiting &= self.running;
        std::mem::take(&mut self.pending)
    }

    /// Forgets everything: the room has ended.
    pub(crate) fn clear(&mut self) {
        self.pending.clear();
    }
}

/// The appends that the task awaits.
#[derive(Default)]
pub(crate) struct Batch {
    appends: VecDeque<Pending>,
    pause: Duration,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.appends.is_empty()
    }

    pub(crate) fn add(&mut self, more: VecDeque<Pending>) {
        self.appends.extend(more);
    }

    /// Passes what waits to the store, in order, as far as the store takes it. Returns how long to wait before the next
    /// attempt if it has not taken the first one.
    pub(crate) fn pass(&mut self, store: &dyn RoomStore) -> Option<Duration> {
        for pending in &mut self.appends {
            if let Progress::Waiting(append) = &pending.progress {
                pending.progress = Progress::pass(store, append.clone());
                if matches!(pending.progress, Progress::Waiting(_)) {
                    break;
                }
            }
        }
        let is_waiting =
            self.appends.front().is_some_and(|first| matches!(first.progress, Progress::Waiting(_)));
        let (first, most) = PAUSE;
        self.pause = if is_waiting { (self.pause * 2).clamp(first, most) } else { Duration::ZERO };
        // Rooms that wait for the same store do not come at the same time.
        is_waiting.then(|| self.pause.mul_f64(0.5 + fastrand::f64() / 2.0))
    }

    /// Waits for the answer to the first append, which was passed. Returns the changes that are durable now, the last one
    /// last, and the error of the one after them, if the store has answered with one.
    pub(crate) async fn answered(&mut self, slow: impl FnOnce(u64, Duration)) -> Answered {
        let mut answered = Answered::default();
        let Some(first) = self.appends.pop_front() else { return answered };
        let Pending { version, progress, since, durable, permit } = first;
        let Some(mut answer) = progress.answer().await else { return answered };
        slow(version, since.elapsed());
        let mut next = (version, durable, permit);
        loop {
            match answer {
                Ok(()) => answered.durable.push(next),
                Err(error) => {
                    answered.error = Some(error);
                    return answered;
                }
            }
            let Some(now) = self.appends.front_mut().and_then(|pending| pending.progress.now()) else {
                return answered;
            };
            let Some(Pending { version, durable, permit, .. }) = self.appends.pop_front() else {
                return answered;
            };
            (answer, next) = (now, (version, durable, permit));
        }
    }
}

/// What the store has answered.
#[derive(Default)]
pub(crate) struct Answered {
    /// The versions that are durable now, whom to tell, and their permits.
    pub(crate) durable: Vec<(u64, Option<Durable>, Permit)>,
    pub(crate) error: Option<AppendError>,
}
