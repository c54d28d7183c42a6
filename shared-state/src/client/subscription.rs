//! The streams that a client returns.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use tokio::sync::{broadcast, watch};

use crate::replica::Event;

/// A stream of values, events or messages: a [`Stream`] that can be stored in a struct and awaited without
/// pinning.
///
/// Every stream is bounded; the method that returns it says what happens if it is read too slowly. Dropping
/// it has no cost.
#[must_use = "a stream does nothing unless it is read"]
pub struct Subscription<T> {
    items: BoxStream<'static, T>,
}

/// The events of one room's state.
pub type Events<S> = Subscription<Event<S>>;

impl<T> Subscription<T> {
    pub(super) fn new(items: impl Stream<Item = T> + Send + 'static) -> Self {
        // Fused, because a loop over several streams polls the ended ones again.
        Self { items: items.fuse().boxed() }
    }

    /// The next item; `None` after the end, however often it is called. Cancel safe: an item is taken
    /// only when the future is ready.
    pub async fn next(&mut self) -> Option<T> {
        self.items.next().await
    }
}

impl<T> Stream for Subscription<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.items.poll_next_unpin(context)
    }
}

impl<T> std::fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

/// The results of `read` on the current value and then after each change; on the latest one if there were
/// several. Ends after a value for which `last` is true, and when the sender is dropped.
pub(super) fn latest<V, T>(
    values: watch::Receiver<V>,
    read: fn(&V) -> Option<T>,
    last: fn(&V) -> bool,
) -> Subscription<T>
where
    V: Send + Sync + 'static,
    T: Send + 'static,
{
    let first = true;
    Subscription::new(futures_util::stream::unfold(Some((values, first)), move |state| async move {
        let (mut values, mut first) = state?;
        loop {
            if !first {
                values.changed().await.ok()?;
            }
            first = false;
            let value = values.borrow_and_update();
            let (found, ended) = (read(&value), last(&value));
            drop(value);
            match found {
                Some(found) => return Some((found, (!ended).then_some((values, first)))),
                None if ended => return None,
                None => {}
            }
        }
    }))
}

/// The items of a broadcast channel. `missed` makes an item of the number of dropped ones. `keep` lives as
/// long as the stream.
pub(super) fn broadcast<V, T, K>(
    receiver: broadcast::Receiver<V>,
    keep: K,
    item: fn(V) -> T,
    missed: fn(u64) -> T,
) -> Subscription<T>
where
    V: Clone + Send + 'static,
    T: Send + 'static,
    K: Send + 'static,
{
    Subscription::new(futures_util::stream::unfold(
        (receiver, keep),
        move |(mut receiver, keep)| async move {
            let next = match receiver.recv().await {
                Ok(value) => item(value),
                Err(broadcast::error::RecvError::Lagged(count)) => missed(count),
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            Some((next, (receiver, keep)))
        },
    ))
}
