//! What a generated handle is written against: anything that shows a state and takes writes.

use crate::core::{FieldId, Invalid, SharedState};

/// A live state of type `S`: a client's replica, the server's own room, or a nested part of either.
///
/// Generated handles (`SharedDocument`) are generic over it, which is why their accessors need no import.
pub trait Backend<S: SharedState>: Clone {
    /// What a write returns: resolves to the version or to the rejection.
    type Receipt;
    /// Why a write was not taken.
    type Error: std::error::Error + From<Invalid> + Send + Sync + 'static;

    /// Runs `look` on the state as the app sees it now. `look` must not call back into the same handle.
    fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R;

    /// Writes the updates that `decide` makes of the state as the app sees it now, as one change; nothing comes
    /// between. `decide` must not call back into the same handle.
    ///
    /// # Errors
    /// The write breaks a rule, a field is read-only here, or a queue is full; nothing was changed.
    fn write_with(&self, decide: impl FnOnce(&S) -> Vec<S::Update>) -> Result<Self::Receipt, Self::Error>;

    /// Writes one update.
    ///
    /// # Errors
    /// As [`write_with`](Self::write_with).
    fn write(&self, update: S::Update) -> Result<Self::Receipt, Self::Error> {
        self.write_with(|_| vec![update])
    }
}

/// A live state whose values can be followed.
pub trait Watch<S: SharedState>: Backend<S> {
    /// The values as they come to be.
    type Stream<T: Send + 'static>;

    /// What `look` makes of the state, now and after each change to `field`; `None` is left out. Who reads too slowly
    /// skips to the latest.
    fn watch<T: Send + 'static>(
        &self,
        field: FieldId,
        look: impl FnMut(&S) -> Option<T> + Send + 'static,
    ) -> Self::Stream<T>;
}

/// A live state that knows what may be written there.
pub trait WritePermissions<S: SharedState>: Backend<S> {
    /// Whether what lies at a path can be set, as far as is known. That only the server writes a field is not
    /// looked at.
    fn can_write(&self, path: &str) -> bool;
}

/// A live state with the server's rights: it may write read-only fields.
pub trait ServerBackend<S: SharedState>: Backend<S> {}
