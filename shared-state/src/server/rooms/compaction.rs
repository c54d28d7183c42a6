//! A snapshot on its way to the store: requested under the room's lock, awaited without it.

use futures_util::FutureExt as _;

use crate::store::{CompactError, StoreFuture};

/// The store's answer to a snapshot. Failures are logged here.
pub(crate) struct Compaction(StoreFuture<(), CompactError>);

impl Compaction {
    pub(crate) fn new(future: StoreFuture<(), CompactError>) -> Self {
        Self(future)
    }

    /// The future that is left to await, unless the store has answered already.
    pub(crate) fn now_or_waiting(mut self) -> Option<impl Future<Output = ()> + Send + 'static> {
        match (&mut self.0).now_or_never() {
            Some(result) => {
                log(result);
                None
            }
            None => Some(self.wait()),
        }
    }

    /// Awaits the store's answer.
    pub(crate) async fn wait(self) {
        log(self.0.await);
    }
}

/// A snapshot that was not stored makes the next load slower; nothing is lost.
fn log(result: Result<(), CompactError>) {
    if let Err(error) = result {
        tracing::warn!("{}", described(&error));
    }
}

/// An error's text, followed by those of its sources.
pub(crate) fn described(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
