//! The handle of a set.

use crate::core::{Backend, FieldHandle, SharedState};
use crate::merge::{Members, SetOf, SetOp};

impl<L: Backend<S>, S: SharedState, C: Members> FieldHandle<L, S, C, SetOf> {
    /// How many members there are. Costs the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read(|set| set.members().count())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read(|set| set.members().next().is_none())
    }

    /// Whether it is a member.
    #[must_use]
    pub fn contains(&self, member: &C::Member) -> bool {
        self.read(|set| set.has(member))
    }

    /// Inserts a member.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn insert(&self, member: C::Member) -> Result<L::Receipt, L::Error> {
        self.write(SetOp::Insert(member))
    }

    /// Removes a member.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn remove(&self, member: &C::Member) -> Result<L::Receipt, L::Error> {
        self.write(SetOp::Remove(member.clone()))
    }

    /// Removes the members that show here, as one change. What others insert meanwhile stays.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn clear(&self) -> Result<L::Receipt, L::Error> {
        self.write_with(|set| set.members().cloned().map(SetOp::Remove).collect())
    }
}
