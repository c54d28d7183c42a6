//! The handle of a nested struct, which is a backend of the struct itself.

use std::fmt;

use crate::core::{
    Backend, Field, FieldId, FieldPathBuf, Invalid, MergePolicy, ServerBackend, SharedState, Slot, Typed,
    Watch, WritePermissions,
};
use crate::merge::{Nested, NestedOp};

/// The nested struct `N` in one field of a live state of type `S`, or in an entry of a list or map in it.
///
/// A write in an entry that does not exist is refused with
/// [`WriteError::Gone`](crate::core::WriteError::Gone). Such an entry reads as an empty value of its type,
/// with the key that was asked for: numbers are zero, texts and collections empty.
/// [`exists`](Self::exists) and [`try_read`](Self::try_read) tell the two apart.
///
/// # Panics
/// Reading an entry panics if it has not existed since the handle was made and its type accepts no empty
/// value, as one with a `NonZeroU32` or a date does not. `try_read` does not panic.
pub struct NestedHandle<L, S: SharedState, N: SharedState> {
    backend: L,
    slot: Slot<S, N, Nested>,
}

/// The generated handle of the nested struct `N` in a live state of type `S`.
pub type HandleOf<L, S, N> = <Typed<N, Nested> as SharedState>::Handle<NestedHandle<L, S, Typed<N, Nested>>>;

/// The patch of the nested struct `N`.
pub type PatchOf<N> = <Typed<N, Nested> as SharedState>::Patch;

impl<L: Backend<S>, S: SharedState, N: SharedState> NestedHandle<L, S, N> {
    /// The nested struct in the field `field` of `backend`.
    #[must_use]
    pub fn new(backend: L, field: Field<S, N, Nested>) -> Self {
        Self::in_slot(backend, Slot::Field(field))
    }

    pub(crate) const fn in_slot(backend: L, slot: Slot<S, N, Nested>) -> Self {
        Self { backend, slot }
    }

    /// Whether the struct is there. It always is, unless it is in an entry of a list or map.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.try_read(|_| ()).is_some()
    }

    /// Calls `look` with the struct, if it is there.
    pub fn try_read<R>(&self, look: impl FnOnce(&N) -> R) -> Option<R> {
        self.backend.read(|state| self.slot.get(state).map(look))
    }

    /// Sets the whole nested value. An entry of a map that does not exist is put.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn replace(&self, value: N) -> Result<L::Receipt, L::Error> {
        self.backend.write(self.slot.op(NestedOp::Set(value)))
    }

    /// Sets the fields that `patch` has a value for, as one change.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn merge(&self, patch: N::Patch) -> Result<L::Receipt, L::Error> {
        self.write_with(|_| N::patch_updates(patch))
    }

    /// Calls `change` with a copy of the nested value and writes the difference, as one change. Costs a copy
    /// and a comparison of the nested value.
    ///
    /// # Errors
    /// As [`Backend::write`].
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

impl<L: Backend<S>, S: SharedState, N: SharedState> Backend<N> for NestedHandle<L, S, N> {
    type Receipt = L::Receipt;
    type Error = L::Error;

    fn read<R>(&self, look: impl FnOnce(&N) -> R) -> R {
        self.backend.read(|state| self.slot.read(state, look))
    }

    fn write_with(&self, decide: impl FnOnce(&N) -> Vec<N::Update>) -> Result<Self::Receipt, Self::Error> {
        self.try_write_with(|value| Ok(decide(value)))
    }

    fn add_path(&self, path: &mut FieldPathBuf) {
        self.backend.add_path(path);
        self.slot.add_path(path);
    }

    fn try_write_with(
        &self,
        decide: impl FnOnce(&N) -> Result<Vec<N::Update>, Invalid>,
    ) -> Result<Self::Receipt, Self::Error> {
        self.backend.try_write_with(|state| {
            let updates = self.slot.read_to_write(state, decide)?;
            let updates = updates.map_err(|invalid| invalid.at(self.slot.path().as_str()))?;
            Ok(updates.into_iter().map(|update| self.slot.op(NestedOp::In(Box::new(update)))).collect())
        })
    }
}

impl<L: Watch<S>, S: SharedState, N: SharedState> Watch<N> for NestedHandle<L, S, N> {
    type Stream<T: Send + 'static> = L::Stream<T>;

    fn watch<T: Send + 'static>(
        &self,
        _field: FieldId,
        mut look: impl FnMut(&N) -> Option<T> + Send + 'static,
    ) -> L::Stream<T> {
        let slot = self.slot.clone();
        self.backend.watch(slot.field(), move |state| look(slot.get(state)?))
    }
}

impl<L: WritePermissions<S>, S: SharedState, N: SharedState> NestedHandle<L, S, N> {
    /// Whether the client may set a field of the nested value as a whole, as far as the server has told it.
    #[must_use]
    pub fn can_set<T, P: MergePolicy<T>>(&self, field: Field<N, T, P>) -> bool {
        !N::FIELDS[field.id()].read_only && self.can_write(FieldPathBuf::of(field.name()).as_str())
    }
}

impl<L: WritePermissions<S>, S: SharedState, N: SharedState> WritePermissions<N> for NestedHandle<L, S, N> {
    fn can_write(&self, path: &str) -> bool {
        self.backend.can_write(&format!("{}/{path}", self.slot.path().as_str()))
    }
}

impl<L: ServerBackend<S>, S: SharedState, N: SharedState> ServerBackend<N> for NestedHandle<L, S, N> {}

impl<L: Clone, S: SharedState, N: SharedState> Clone for NestedHandle<L, S, N> {
    fn clone(&self) -> Self {
        Self { backend: self.backend.clone(), slot: self.slot.clone() }
    }
}

impl<L, S: SharedState, N: SharedState> fmt::Debug for NestedHandle<L, S, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NestedHandle").field(&self.slot).finish()
    }
}
