//! The operations of a map field as methods of its handle.

use crate::core::{Backend, FieldHandle, SharedState};
use crate::core::{MergePolicy, differences};
use crate::merge::map::gone;
use crate::merge::{MapOf, MapOp, Mapping};

impl<L, S, M, P> FieldHandle<L, S, M, MapOf<P>>
where
    L: Backend<S>,
    S: SharedState,
    M: Mapping,
    P: MergePolicy<M::Value>,
{
    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read(M::len)
    }

    /// Whether the map is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the entry with this key, if there is one.
    #[must_use]
    pub fn entry(&self, key: &M::Key) -> Option<M::Value> {
        self.read(|map| map.get(key).cloned())
    }

    /// Whether there is an entry with this key.
    #[must_use]
    pub fn contains_key(&self, key: &M::Key) -> bool {
        self.read(|map| map.get(key).is_some())
    }

    /// Inserts an entry, or replaces the entry with the same key.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn put(&self, key: M::Key, value: M::Value) -> Result<L::Receipt, L::Error> {
        self.write(MapOp::Put(key, value))
    }

    /// Calls `change` with a copy of an entry and writes the difference, as operations of the entries'
    /// policy. Refused if there is no such entry.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn edit(&self, key: &M::Key, change: impl FnOnce(&mut M::Value)) -> Result<L::Receipt, L::Error> {
        self.try_write_with(|map| {
            let old = map.get(key).ok_or_else(|| gone(key))?;
            let mut new = old.clone();
            change(&mut new);
            let ops = differences::<_, P>(old, &new).into_iter();
            Ok(ops.map(|op| MapOp::at::<P>(key.clone(), op)).collect())
        })
    }

    /// Writes one operation of the entries' policy to an entry. If there is no such entry, the operation
    /// starts from the policy's initial value (a counter starts from zero), or is refused if the policy has
    /// none.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn write_in(&self, key: M::Key, op: P::Op) -> Result<L::Receipt, L::Error> {
        self.write(MapOp::at::<P>(key, op))
    }

    /// Removes an entry. Accepted, without effect, if there is no such entry.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn remove(&self, key: &M::Key) -> Result<L::Receipt, L::Error> {
        self.write(MapOp::Delete(key.clone()))
    }

    /// Removes the entries for which `keep` returns false, as one change. Costs a pass over the map.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn retain(&self, mut keep: impl FnMut(&M::Key, &M::Value) -> bool) -> Result<L::Receipt, L::Error> {
        self.write_with(|map| {
            let removed = map.entries().filter(|(key, value)| !keep(key, value));
            removed.map(|(key, _)| MapOp::Delete(key.clone())).collect()
        })
    }

    /// Removes the entries that the app sees now, as one change. Entries that others put at the same time
    /// stay, unless there are more than 4,096 to remove: the map is then set as a whole.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn clear(&self) -> Result<L::Receipt, L::Error> {
        self.retain(|_, _| false)
    }
}

impl<L, S, M> FieldHandle<L, S, M, MapOf<crate::merge::Counter>>
where
    L: Backend<S>,
    S: SharedState,
    M: Mapping,
    M::Value: crate::merge::Number,
{
    /// Adds to an entry; concurrent additions all count. An entry that does not exist starts from zero.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn add(&self, key: M::Key, by: M::Value) -> Result<L::Receipt, L::Error> {
        self.write(MapOp::In(key, crate::merge::CounterOp::Add(by)))
    }

    /// Subtracts from an entry; concurrent subtractions all count. An entry that does not exist starts from
    /// zero.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn sub(&self, key: M::Key, by: M::Value) -> Result<L::Receipt, L::Error> {
        self.write(MapOp::In(key, crate::merge::CounterOp::Sub(by)))
    }
}
