//! Transactions of a client: changes that are applied only if nobody has changed what they read.

use crate::client::{Receipt, State};
use crate::core::Code;
use crate::core::SharedState;
use crate::core::{Rejected, WriteError};
use crate::replica::Transaction;

/// Why a transaction was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransactError<E> {
    /// The transaction's closure returned an error; nothing was changed.
    #[error("the transaction was aborted")]
    Aborted(#[source] E),
    /// The change could not be written; nothing was changed.
    #[error(transparent)]
    Write(WriteError),
    /// The change was refused and rolled back as a whole; with [`Code::Conflict`] if somebody else changed
    /// what it read.
    #[error(transparent)]
    Rejected(Rejected),
}

impl<E> From<WriteError> for TransactError<E> {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl<S: SharedState> State<S> {
    /// Runs `body` on the current state and writes its updates as one change, which the server applies only
    /// if nobody has changed what `body` read. If somebody has, the change is rolled back and `body` runs
    /// again on the newer state, at most [`reruns`](crate::client::ClientBuilder::reruns) times. Resolves to
    /// the version that contains the change.
    ///
    /// The first run is finished when this method returns, and its writes show at once. Dropping the future
    /// does not undo them; it only prevents further runs.
    ///
    /// # Panics
    /// If `body` uses a handle of the same state: it reads and writes what it is given.
    ///
    /// # Errors
    /// `body` returned an error, the change could not be written (see [`State::set`]), or it was refused.
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

    /// As [`transact`](Self::transact), but runs `body` once only: a conflict is an error.
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
