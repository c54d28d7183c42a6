//! The handle of a field whose value has entries or is edited in place: lists, maps, sets and texts.
//!
//! This module has what the handles of all policies share. The operations of each policy are methods in the
//! policy's own module.

use std::fmt;

use crate::core::field::Typed;
use crate::core::{Backend, Field, SharedState};
use crate::core::{MergePolicy, differences};

/// The handle of one field of a live state of type `S`. The operations of the field's policy `P` are its
/// methods.
///
/// A method that decides what to write looks at the state as the app sees it at that moment, under the
/// backend's lock.
pub struct FieldHandle<L, S: SharedState, T, P: MergePolicy<T>> {
    backend: L,
    field: Field<S, T, P>,
}

/// [`FieldHandle<L, S, T, P>`](FieldHandle), in the form that the derive writes.
pub type FieldHandleOf<L, S, T, P> = FieldHandle<L, S, Typed<T, P>, P>;

impl<L: Backend<S>, S: SharedState, T, P: MergePolicy<T>> FieldHandle<L, S, T, P> {
    /// The handle of `field` in `backend`.
    #[must_use]
    pub fn new(backend: L, field: Field<S, T, P>) -> Self {
        Self { backend, field }
    }

    /// Calls `look` with the value, without copying it. `look` must not use a handle of the same state.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        self.backend.read(|state| look(self.field.get(state)))
    }

    /// A copy of the value. [`read`](Self::read) looks at the value without a copy.
    #[must_use]
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.read(T::clone)
    }

    /// Sets the whole value. Only the difference between `value` and the value that the app sees is written,
    /// so concurrent edits by others are kept.
    pub fn set(&self, value: T) -> Result<L::Receipt, L::Error> {
        self.backend.write(self.field.set(value))
    }

    /// Calls `change` with a copy of the value and writes the difference, as one change. Costs a copy and a
    /// comparison of the whole value.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn update(&self, change: impl FnOnce(&mut T)) -> Result<L::Receipt, L::Error>
    where
        T: Clone,
    {
        self.write_with(|old| {
            let mut new = old.clone();
            change(&mut new);
            differences::<T, P>(old, &new)
        })
    }

    /// Writes one operation.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn write(&self, op: P::Op) -> Result<L::Receipt, L::Error> {
        self.backend.write(self.field.op(op))
    }

    /// Calls `decide` with the value and writes the operations that it returns, as one change.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn write_with(&self, decide: impl FnOnce(&T) -> Vec<P::Op>) -> Result<L::Receipt, L::Error> {
        self.backend.write_with(|state| {
            decide(self.field.get(state)).into_iter().map(|op| self.field.op(op)).collect()
        })
    }
}

impl<L: Clone, S: SharedState, T, P: MergePolicy<T>> Clone for FieldHandle<L, S, T, P> {
    fn clone(&self) -> Self {
        Self { backend: self.backend.clone(), field: self.field }
    }
}

impl<L, S: SharedState, T, P: MergePolicy<T>> fmt::Debug for FieldHandle<L, S, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FieldHandle").field(&self.field).finish()
    }
}
