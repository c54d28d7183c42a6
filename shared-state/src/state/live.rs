//! What a generated handle is written against: anything that shows a state and takes writes.

use std::fmt;

use crate::merge::{MergePolicy, Nested, NestedOp};
use crate::state::field::Typed;
use crate::state::{Field, FieldId, Invalid, PathBuf, SharedState};

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

/// A live state whose values can be followed.
pub trait Watch<S: SharedState>: Live<S> {
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
pub trait Allowed<S: SharedState>: Live<S> {
    /// Whether what lies at a path can be set, as far as is known. That only the server writes a field is not
    /// looked at.
    fn can_write(&self, path: &str) -> bool;
}

/// A live state with the server's rights: it may write read-only fields.
pub trait ServerLive<S: SharedState>: Live<S> {}

/// The nested part `N` of a live state of type `S`.
pub struct Within<L, S: SharedState, N: SharedState> {
    live: L,
    field: Field<S, N, Nested>,
}

/// The handle of the nested struct `N` of a live state of type `S`, with its own accessors.
pub type HandleOf<L, S, N> = <Typed<N, Nested> as SharedState>::Handle<Within<L, S, Typed<N, Nested>>>;

/// The patch of the nested struct `N`.
pub type PatchOf<N> = <Typed<N, Nested> as SharedState>::Patch;

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

impl<L: Watch<S>, S: SharedState, N: SharedState> Watch<N> for Within<L, S, N> {
    type Stream<T: Send + 'static> = L::Stream<T>;

    fn watch<T: Send + 'static>(
        &self,
        _field: FieldId,
        mut look: impl FnMut(&N) -> Option<T> + Send + 'static,
    ) -> L::Stream<T> {
        let nested = self.field;
        self.live.watch(nested.id(), move |state| look(nested.get(state)))
    }
}

impl<L: Allowed<S>, S: SharedState, N: SharedState> Within<L, S, N> {
    /// Whether a field of the nested value may be set as a whole, as far as the server has said.
    #[must_use]
    pub fn can_set<T, P: MergePolicy<T>>(&self, field: Field<N, T, P>) -> bool {
        !N::FIELDS[field.id()].read_only && self.can_write(PathBuf::of(field.name()).as_str())
    }
}

impl<L: Allowed<S>, S: SharedState, N: SharedState> Allowed<N> for Within<L, S, N> {
    fn can_write(&self, path: &str) -> bool {
        self.live.can_write(&format!("{}/{path}", PathBuf::of(self.field.name()).as_str()))
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
