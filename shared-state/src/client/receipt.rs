//! What a write returns: a future of its answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use crate::client::block::block_on;
use crate::client::lock;
use crate::core::Rejected;

/// The answer to a write, once it arrives. The receipts of writes that were folded into one change share it.
#[derive(Debug, Default)]
pub(super) struct Answer {
    outcome: OnceLock<Result<u64, Rejected>>,
    /// The receipts that are being awaited, each at an index of its own.
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

/// The answer to a write: resolves to the version that contains the write, or to why it was refused and
/// rolled back.
///
/// A write that changes nothing makes no version, with [few exceptions](crate::guide::client#writes-that-change-nothing). It
/// is answered at once with the version that the client knows, which is 0 in a room that nobody has changed, and before the
/// room's state has come.
///
/// The write is made whether the receipt is kept, awaited or dropped. Cancel safe: awaiting it again
/// gives the same answer. Writes that were folded into one change before they were sent have the same answer.
/// If the client ends before the answer arrives, the receipt resolves to
/// [`Code::Closed`](crate::core::Code::Closed); whether the write was applied is unknown then.
#[derive(Debug)]
pub struct Receipt {
    answer: Arc<Answer>,
    slot: Option<usize>,
}

impl Receipt {
    pub(super) const fn new(answer: Arc<Answer>) -> Self {
        Self { answer, slot: None }
    }

    /// The answer, if it has arrived.
    #[must_use]
    pub fn try_result(&self) -> Option<Result<u64, Rejected>> {
        self.answer.outcome.get().cloned()
    }

    /// Blocks the thread until the answer arrives. Do not call it in async code; await the receipt there.
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
        let Self { answer, slot } = self.get_mut();
        let mut wakers = lock(&answer.wakers);
        // Checked with the lock held, so that an answer that arrives now finds the waker.
        if let Some(outcome) = answer.outcome.get() {
            return Poll::Ready(outcome.clone());
        }
        let at = *slot.get_or_insert_with(|| {
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
        if let Some(slot) = self.slot {
            let mut wakers = lock(&self.answer.wakers);
            if let Some(waker) = wakers.get_mut(slot) {
                *waker = None;
            }
            while matches!(wakers.last(), Some(None)) {
                wakers.pop();
            }
        }
    }
}
