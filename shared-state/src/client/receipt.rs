//! What a write returns: a future of its answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use crate::client::block::block_on;
use crate::client::lock;
use crate::core::Rejected;

/// The answer to a write, when it comes; all receipts of writes that were folded into one share it.
#[derive(Debug, Default)]
pub(super) struct Answer {
    outcome: OnceLock<Result<u64, Rejected>>,
    /// Who waits. A receipt keeps its place.
    wakers: Mutex<Vec<Option<Waker>>>,
}

impl Answer {
    pub(super) fn resolve(&self, outcome: Result<u64, Rejected>) {
        // A write is answered once.
        let _ = self.outcome.set(outcome);
        let wakers = std::mem::take(&mut *lock(&self.wakers));
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

/// A write that was taken: resolves to the version it made, or to why it was rolled back.
///
/// The write is done whether the receipt is kept, awaited or dropped. Cancellation safe: awaiting it again gives the
/// same answer. Writes that were folded into one before they were sent have the same answer. If the client ends
/// before the answer comes, that is [`Code::Closed`](crate::core::Code::Closed).
#[derive(Debug)]
pub struct Receipt {
    answer: Arc<Answer>,
    place: Option<usize>,
}

impl Receipt {
    pub(super) const fn new(answer: Arc<Answer>) -> Self {
        Self { answer, place: None }
    }

    /// The answer, if it has come.
    #[must_use]
    pub fn try_result(&self) -> Option<Result<u64, Rejected>> {
        self.answer.outcome.get().cloned()
    }

    /// Blocks the thread until the answer comes. Not for async code: there, await the receipt.
    ///
    /// # Errors
    /// The write was refused, and rolled back as a whole.
    pub fn wait(self) -> Result<u64, Rejected> {
        block_on(self)
    }
}

impl Future for Receipt {
    type Output = Result<u64, Rejected>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { answer, place } = self.get_mut();
        let mut wakers = lock(&answer.wakers);
        // Under the lock: an answer that comes now finds the waker.
        if let Some(outcome) = answer.outcome.get() {
            return Poll::Ready(outcome.clone());
        }
        let at = *place.get_or_insert_with(|| {
            wakers.push(None);
            wakers.len() - 1
        });
        if let Some(waker) = wakers.get_mut(at) {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let mut wakers = lock(&self.answer.wakers);
            if let Some(waker) = wakers.get_mut(place) {
                *waker = None;
            }
            while matches!(wakers.last(), Some(None)) {
                wakers.pop();
            }
        }
    }
}
