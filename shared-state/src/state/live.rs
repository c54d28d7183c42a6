//! What a generated handle is written against: anything that shows a state and takes writes.

use std::fmt;

use crate::merge::{Nested, NestedOp};
use crate::state::{Field, Invalid, SharedState};

/// A live state of type `S`: a client's replica, the server's own room, or a nested part of either.
///
/// Generated handles (`SharedDocument`) are generic over it, which is why their accessors need no import.
pub trait Live<S: SharedState>: Clone {
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

/// A live state with the server's rights: it may write read-only fields.
pub trait ServerLive<S: SharedState>: Live<S> {}

/// The nested part `N` of a live state of type `S`.
pub struct Within<L, S: SharedState, N: SharedState> {
    live: L,
    field: Field<S, N, Nested>,
}

impl<L: Live<S>, S: SharedState, N: SharedState> Within<L, S, N> {
    /// The part of `live` at `field`.
    #[must_use]
    pub fn new(live: L, field: Field<S, N, Nested>) -> Self {
        Self { live, field }
    }

    /// Sets the whole nested value.
    ///
    /// # Errors
    /// As [`Live::write`].
    pub fn replace(&self, value: N) -> Result<L::Receipt, L::Error> {
        self.live.write(self.field.set(value))
    }

    /// Sets the fields that `patch` has, as one change.
    ///
    /// # Errors
    /// As [`Live::write`].
    pub fn merge(&self, patch: N::Patch) -> Result<L::Receipt, L::Error> {
        self.write_with(|_| N::patch_updates(patch))
    }

    /// Changes a copy of the nested value and writes what is different, as one change. Costs the nested value.
    ///
    /// # Errors
    /// As [`Live::write`].
    pub fn update(&self, change: impl FnOnce(&mut N)) -> Result<L::Receipt, L::Error> {
        self.write_with(|old| {
            let mut new = old.clone();
            change(&mut new);
            N::diff(old, &new)
        })
    }

    /// A copy of the nested value.
    #[must_use]
    pub fn state(&self) -> N {
        self.read(N::clone)
    }
}

impl<L: Live<S>, S: SharedState, N: SharedState> Live<N> for Within<L, S, N> {
    type Receipt = L::Receipt;
    type Error = L::Error;

    fn read<R>(&self, look: impl FnOnce(&N) -> R) -> R {
        self.live.read(|state| look(self.field.get(state)))
    }

    fn write_with(&self, decide: impl FnOnce(&N) -> Vec<N::Update>) -> Result<Self::Receipt, Self::Error> {
        self.live.write_with(|state| {
            let updates = decide(self.field.get(state)).into_iter();
            updates.map(|update| self.field.op(NestedOp::In(Box::new(update)))).collect()
        })
    }
}

impl<L: ServerLive<S>, S: SharedState, N: SharedState> ServerLive<N> for Within<L, S, N> {}

impl<L: Clone, S: SharedState, N: SharedState> Clone for Within<L, S, N> {
    fn clone(&self) -> Self {
        Self { live: self.live.clone(), field: self.field }
    }
}

impl<L, S: SharedState, N: SharedState> fmt::Debug for Within<L, S, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Within").field(&self.field).finish()
    }
}
