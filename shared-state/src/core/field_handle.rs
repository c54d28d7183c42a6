//! The handle of a field whose value has entries or is edited in place: lists, maps, sets and texts.
//!
//! This module has what the handles of all policies share. The operations of each policy are methods in the
//! policy's own module.

use std::fmt;

use crate::core::field::Typed;
use crate::core::{Backend, Field, FieldPathBuf, Invalid, SharedState, Slot, Watch};
use crate::core::{MergePolicy, differences};

/// The handle of one field of a live state of type `S`, or of an entry of a list or map in it. The operations
/// of its policy `P` are its methods.
///
/// An entry that does not exist reads as the value that its policy starts from: an empty list, map, set or
/// text.
///
/// A method that decides what to write looks at the state as the app sees it at that moment, under the
/// backend's lock.
pub struct FieldHandle<L, S: SharedState, T, P: MergePolicy<T>> {
    backend: L,
    slot: Slot<S, T, P>,
}

/// [`FieldHandle<L, S, T, P>`](FieldHandle), in the form that the derive writes.
pub type FieldHandleOf<L, S, T, P> = FieldHandle<L, S, Typed<T, P>, P>;

impl<L: Backend<S>, S: SharedState, T, P: MergePolicy<T>> FieldHandle<L, S, T, P> {
    /// The handle of `field` in `backend`.
    #[must_use]
    pub fn new(backend: L, field: Field<S, T, P>) -> Self {
        Self::in_slot(backend, Slot::Field(field))
    }

    pub(crate) const fn in_slot(backend: L, slot: Slot<S, T, P>) -> Self {
        Self { backend, slot }
    }

    pub(crate) const fn backend(&self) -> &L {
        &self.backend
    }

    pub(crate) const fn slot(&self) -> &Slot<S, T, P> {
        &self.slot
    }

    /// The path of the value in the room's state.
    pub(crate) fn full_path(&self) -> FieldPathBuf {
        let mut path = FieldPathBuf::new();
        self.backend.add_path(&mut path);
        self.slot.add_path(&mut path);
        path
    }

    /// The path of the value, from the struct `S`.
    pub(crate) fn path(&self) -> FieldPathBuf {
        self.slot.path()
    }

    /// Calls `look` with the value, without copying it. `look` must not use a handle of the same state.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        self.backend.read(|state| self.slot.read(state, look))
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
        self.backend.write(self.slot.op(P::set(value)))
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
        self.backend.write(self.slot.op(op))
    }

    /// Calls `decide` with the value and writes the operations that it returns, as one change.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn write_with(&self, decide: impl FnOnce(&T) -> Vec<P::Op>) -> Result<L::Receipt, L::Error> {
        self.try_write_with(|value| Ok(decide(value)))
    }

    /// As [`write_with`](Self::write_with), for a `decide` that can refuse.
    pub(crate) fn try_write_with(
        &self,
        decide: impl FnOnce(&T) -> Result<Vec<P::Op>, Invalid>,
    ) -> Result<L::Receipt, L::Error> {
        self.backend.try_write_with(|state| {
            let ops = self.slot.read_to_write(state, decide)?;
            let ops = ops.map_err(|invalid| invalid.at(self.path().as_str()))?;
            Ok(ops.into_iter().map(|op| self.slot.op(op)).collect())
        })
    }
}

impl<L: Watch<S>, S: SharedState, T: Clone + Send + Sync + 'static, P: MergePolicy<T>>
    FieldHandle<L, S, T, P>
{
    /// A stream of the values: the current value, then each new one. While an entry does not exist, it has no
    /// values.
    pub fn watch(&self) -> L::Stream<T> {
        let (slot, mut last) = (self.slot.clone(), None);
        self.backend.watch(self.slot.field(), move |state| {
            let value = slot.get(state)?;
            let mut new = last.is_none();
            if let Some(last) = &last {
                P::diff(last, value, &mut |_| new = true);
            }
            new.then(|| last.insert(value.clone()).clone())
        })
    }
}

impl<L: Clone, S: SharedState, T, P: MergePolicy<T>> Clone for FieldHandle<L, S, T, P> {
    fn clone(&self) -> Self {
        Self { backend: self.backend.clone(), slot: self.slot.clone() }
    }
}

impl<L, S: SharedState, T, P: MergePolicy<T>> fmt::Debug for FieldHandle<L, S, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FieldHandle").field(&self.slot).finish()
    }
}
