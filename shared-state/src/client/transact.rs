//! Transactions: a change that holds only if what it read is still so.

use crate::client::{Receipt, State};
use crate::core::Code;
use crate::core::SharedState;
use crate::core::{Rejected, WriteError};
use crate::replica::Transaction;

/// Why a transaction was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransactError<E> {
    /// The transaction's own code did not want to; nothing was changed.
    #[error("the transaction was aborted")]
    Aborted(#[source] E),
    /// It could not be written; nothing was changed.
    #[error(transparent)]
    Write(WriteError),
    /// It was refused, and rolled back as a whole: with [`Code::Conflict`], because somebody else was faster.
    #[error(transparent)]
    Rejected(Rejected),
}

impl<E> From<WriteError> for TransactError<E> {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl<S: SharedState> State<S> {
    /// Runs `body` on the state as it is now and writes what it writes, as one change that the server takes only if
    /// nobody changed what it read. If somebody did, the change is rolled back and `body` runs again on the newer
    /// state, as often as [`reruns`](crate::client::ClientBuilder::reruns) says. Resolves to the version it made.
    ///
    /// The first run is done when this returns, and its writes show at once. Dropping the future undoes nothing: what
    /// is written stays so, it is only not run again. `body` must not use a handle of the same state.
    pub fn transact<E, F>(
        &self,
        mut body: F,
    ) -> impl Future<Output = Result<u64, TransactError<E>>> + use<S, E, F>
    where
        F: FnMut(&mut Transaction<S>) -> Result<(), E>,
    {
        let state = self.clone();
        let mut receipt = state.run(&mut body);
        async move {
            let mut reruns = state.reruns();
            loop {
                match receipt?.await {
                    Ok(version) => return Ok(version),
                    Err(rejected) if rejected.code() == Code::Conflict && reruns > 0 => reruns -= 1,
                    Err(rejected) => return Err(TransactError::Rejected(rejected)),
                }
                receipt = state.run(&mut body);
            }
        }
    }

    /// [`transact`](Self::transact) without running again: if somebody was faster it is refused.
    pub fn try_transact<E, F>(
        &self,
        body: F,
    ) -> impl Future<Output = Result<u64, TransactError<E>>> + use<S, E, F>
    where
        F: FnOnce(&mut Transaction<S>) -> Result<(), E>,
    {
        let receipt = self.run(body);
        async move { receipt?.await.map_err(TransactError::Rejected) }
    }

    fn run<E>(
        &self,
        body: impl FnOnce(&mut Transaction<S>) -> Result<(), E>,
    ) -> Result<Receipt, TransactError<E>> {
        self.shared.write(|state| {
            let mut transaction = Transaction::new(state);
            body(&mut transaction).map_err(TransactError::Aborted)?;
            let (updates, reads) = transaction.into_parts();
            Ok((updates, Some(reads)))
        })
    }
}
