//! The handle of a field whose value has entries: reads them, and writes them one by one.

use std::fmt;

use crate::core::field::Typed;
use crate::core::{Backend, Field, SharedState};
use crate::core::{MergePolicy, differences};

/// The field of a live state of type `S`, with the operations of its policy `P` as methods.
///
/// What a method writes it decides on the state as the app sees it at that moment, under the handle's lock.
pub struct FieldHandle<L, S: SharedState, T, P: MergePolicy<T>> {
    live: L,
    field: Field<S, T, P>,
}

/// The handle of a field with entries, [`FieldHandle<L, S, T, P>`](FieldHandle), as the derive spells it.
pub type FieldHandleOf<L, S, T, P> = FieldHandle<L, S, Typed<T, P>, P>;

impl<L: Backend<S>, S: SharedState, T, P: MergePolicy<T>> FieldHandle<L, S, T, P> {
    /// The field of `live`.
    #[must_use]
    pub fn new(live: L, field: Field<S, T, P>) -> Self {
        Self { live, field }
    }

    /// Looks at the value without copying it. `look` must not use a handle of the same state.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        self.live.read(|state| look(self.field.get(state)))
    }

    /// A copy of the value; [`read`](Self::read) does without.
    #[must_use]
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.read(T::clone)
    }

    /// Sets the whole value. What others put there meanwhile stays: only what is different to the value as it
    /// shows here is written.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn set(&self, value: T) -> Result<L::Receipt, L::Error> {
        self.live.write(self.field.set(value))
    }

    /// Changes a copy of the value and writes what is different, as one change. Costs the value.
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
        self.live.write(self.field.op(op))
    }

    /// Writes the operations that `decide` makes of the value, as one change.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn write_with(&self, decide: impl FnOnce(&T) -> Vec<P::Op>) -> Result<L::Receipt, L::Error> {
        self.live.write_with(|state| {
            decide(self.field.get(state)).into_iter().map(|op| self.field.op(op)).collect()
        })
    }
}

impl<L: Clone, S: SharedState, T, P: MergePolicy<T>> Clone for FieldHandle<L, S, T, P> {
    fn clone(&self) -> Self {
        Self { live: self.live.clone(), field: self.field }
    }
}

impl<L, S: SharedState, T, P: MergePolicy<T>> fmt::Debug for FieldHandle<L, S, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FieldHandle").field(&self.field).finish()
    }
}
