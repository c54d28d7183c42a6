//! The traits that generated handles are written against.
//!
//! The client's replicas and the server's own rooms implement them.

use crate::core::{FieldId, FieldPathBuf, Invalid, SharedState};

/// A place where a live state of type `S` is read and written: a client's replica, the server's own room, or
/// a nested struct inside either.
///
/// Generated handles (`SharedDocument`) are generic over this trait, so their accessors need no import.
pub trait Backend<S: SharedState>: Clone {
    /// What a write returns. It resolves to the version of the change, or to the reason why the change was
    /// refused.
    type Receipt;
    /// The error of a write that was not accepted.
    type Error: std::error::Error + From<Invalid> + Send + Sync + 'static;

    /// Calls `look` with the state as the app sees it now, pending changes included. `look` must not use the
    /// same handle.
    fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R;

    /// Calls `decide` with the state as the app sees it now, and writes the updates that it returns as one
    /// change. No other write happens in between. `decide` must not use the same handle.
    ///
    /// # Errors
    /// The write breaks a rule, acts on what does not exist or inserts what exists, a field is read-only here, a value has
    /// no JSON form, the change exceeds a limit, or a queue is full. Nothing was changed then.
    fn write_with(&self, decide: impl FnOnce(&S) -> Vec<S::Update>) -> Result<Self::Receipt, Self::Error>;

    /// As [`write_with`](Self::write_with), for a `decide` that can refuse.
    ///
    /// # Errors
    /// As [`write_with`](Self::write_with), and what `decide` returns.
    fn try_write_with(
        &self,
        decide: impl FnOnce(&S) -> Result<Vec<S::Update>, Invalid>,
    ) -> Result<Self::Receipt, Self::Error> {
        let mut refused = None;
        let receipt = self.write_with(|state| {
            decide(state).unwrap_or_else(|invalid| {
                refused = Some(invalid);
                Vec::new()
            })
        })?;
        refused.map_or(Ok(receipt), |invalid| Err(invalid.into()))
    }

    /// Appends the path of this state in the room's: nothing, unless this is a nested struct.
    #[doc(hidden)]
    fn add_path(&self, path: &mut FieldPathBuf) {
        let _ = path;
    }

    /// Writes one update.
    ///
    /// # Errors
    /// As [`write_with`](Self::write_with).
    fn write(&self, update: S::Update) -> Result<Self::Receipt, Self::Error> {
        self.write_with(|_| vec![update])
    }
}

/// A backend whose values can be watched.
pub trait Watch<S: SharedState>: Backend<S> {
    /// A stream of values.
    type Stream<T: Send + 'static>;

    /// A stream of what `look` returns for the state: for the state as it is now, and again after each change
    /// to `field`. `None` is left out of the stream. A reader that falls behind skips to the latest value.
    fn watch<T: Send + 'static>(
        &self,
        field: FieldId,
        look: impl FnMut(&S) -> Option<T> + Send + 'static,
    ) -> Self::Stream<T>;
}

/// A backend that knows what the client may write.
pub trait WritePermissions<S: SharedState>: Backend<S> {
    /// Whether the client may set what lies at `path`, as far as the server has told it. Ignores `read_only`:
    /// only the field's [`FieldInfo`](crate::core::FieldInfo) tells whether a field is reserved for the
    /// server.
    fn can_write(&self, path: &str) -> bool;
}

/// A backend with the server's rights: it may write read-only fields too.
#[diagnostic::on_unimplemented(
    message = "only the server writes this field, which is `read_only`",
    label = "a client's handle cannot write it",
    note = "write it in the server's program, through the handle of `Server::room`; or remove `read_only` from the field"
)]
pub trait ServerBackend<S: SharedState>: Backend<S> {}
