//! The handle of a nested struct, which is a backend of the struct itself.

use std::fmt;

use crate::core::{
    Backend, Field, FieldId, FieldPathBuf, MergePolicy, ServerBackend, SharedState, Typed, Watch,
    WritePermissions,
};
use crate::merge::{Nested, NestedOp};

/// The nested struct `N` in one field of a live state of type `S`.
pub struct NestedHandle<L, S: SharedState, N: SharedState> {
    backend: L,
    field: Field<S, N, Nested>,
}

/// The generated handle of the nested struct `N` in a live state of type `S`.
pub type HandleOf<L, S, N> = <Typed<N, Nested> as SharedState>::Handle<NestedHandle<L, S, Typed<N, Nested>>>;

/// The patch of the nested struct `N`.
pub type PatchOf<N> = <Typed<N, Nested> as SharedState>::Patch;

impl<L: Backend<S>, S: SharedState, N: SharedState> NestedHandle<L, S, N> {
    /// The nested struct in the field `field` of `backend`.
    #[must_use]
    pub fn new(backend: L, field: Field<S, N, Nested>) -> Self {
        Self { backend, field }
    }

    /// Sets the whole nested value.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn replace(&self, value: N) -> Result<L::Receipt, L::Error> {
        self.backend.write(self.field.set(value))
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
        self.backend.read(|state| look(self.field.get(state)))
    }

    fn write_with(&self, decide: impl FnOnce(&N) -> Vec<N::Update>) -> Result<Self::Receipt, Self::Error> {
        self.backend.write_with(|state| {
            let updates = decide(self.field.get(state)).into_iter();
            updates.map(|update| self.field.op(NestedOp::In(Box::new(update)))).collect()
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
        let nested = self.field;
        self.backend.watch(nested.id(), move |state| look(nested.get(state)))
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
        self.backend.can_write(&format!("{}/{path}", FieldPathBuf::of(self.field.name()).as_str()))
    }
}

impl<L: ServerBackend<S>, S: SharedState, N: SharedState> ServerBackend<N> for NestedHandle<L, S, N> {}

impl<L: Clone, S: SharedState, N: SharedState> Clone for NestedHandle<L, S, N> {
    fn clone(&self) -> Self {
        Self { backend: self.backend.clone(), field: self.field }
    }
}

impl<L, S: SharedState, N: SharedState> fmt::Debug for NestedHandle<L, S, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NestedHandle").field(&self.field).finish()
    }
}
