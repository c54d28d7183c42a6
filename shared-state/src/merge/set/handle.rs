//! The operations of a set field as methods of its handle.

use crate::core::{Backend, FieldHandle, SharedState};
use crate::merge::{Members, SetOf, SetOp};

impl<L: Backend<S>, S: SharedState, C: Members> FieldHandle<L, S, C, SetOf> {
    /// The number of members. Costs a pass over the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read(|set| set.members().count())
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read(|set| set.members().next().is_none())
    }

    /// Whether `member` is in the set.
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

    /// Removes the members that the app sees now, as one change. Members that others insert at the same time
    /// stay, unless there are more than 4,096 to remove: the set is then set as a whole.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn clear(&self) -> Result<L::Receipt, L::Error> {
        self.write_with(|set| set.members().cloned().map(SetOp::Remove).collect())
    }
}
