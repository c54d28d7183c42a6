//! The policy [`SetOf`]: members are inserted and removed one by one, and only that is sent.
//!
//! The rules, in the server's order:
//! * Members are independent of each other. Of an insertion and a removal of one member the later wins.
//! * Setting or clearing the whole set means the difference to the set that its author saw.

mod handle;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::hash::{BuildHasher, Hash};

#[cfg(feature = "indexmap")]
use indexmap::IndexSet;
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

use crate::core::{FieldPath, FieldPathBuf, PolicyInfo, UpdateError, Value};
use crate::core::{MergePolicy, Overlap, Versions, differences, no_parts};
use crate::merge::Key;

/// The policy of `#[shared(set)]`. An operation costs as much as the set's own operation. What is sent is the
/// member.
#[derive(Clone, Copy, Debug)]
pub struct SetOf;

/// An operation on a set `C` of members `T`.
#[derive(Clone, PartialEq)]
pub enum SetOp<C, T> {
    /// Replaces the whole set.
    Set(C),
    /// Inserts a member.
    Insert(T),
    /// Removes a member.
    Remove(T),
}

impl<C: fmt::Debug, T: fmt::Debug> fmt::Debug for SetOp<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(set) => f.debug_tuple("Set").field(set).finish(),
            Self::Insert(member) => f.debug_tuple("Insert").field(member).finish(),
            Self::Remove(member) => f.debug_tuple("Remove").field(member).finish(),
        }
    }
}

/// A collection of members: `BTreeSet`, `HashSet`, and with the feature `indexmap` also `IndexSet`, whose
/// order is each client's own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a `#[shared(set)]`",
    label = "not a set",
    note = "write `BTreeSet<T>` or `HashSet<T>` as the field's type; without `set`, a type of your own is set as a whole"
)]
pub trait Members: Value + Default {
    /// The type of the members.
    type Member: Value;

    /// Whether `member` is in the set.
    fn has(&self, member: &Self::Member) -> bool;

    /// Inserts a member. Returns whether it was absent.
    fn put(&mut self, member: Self::Member) -> bool;

    /// Removes a member. Returns whether it was present.
    fn take(&mut self, member: &Self::Member) -> bool;

    /// The members, in the set's order.
    fn members(&self) -> impl Iterator<Item = &Self::Member>;
}

macro_rules! members {
    ($set:ident, $remove:ident, $member:ident: $($bound:path),+ $(; $hasher:ident)?) => {
        impl<$member: Value $(+ $bound)+ $(, $hasher: BuildHasher + Default + Clone + Send + Sync + 'static)?> Members
            for $set<$member $(, $hasher)?>
        {
            type Member = $member;

            fn has(&self, member: &$member) -> bool {
                self.contains(member)
            }

            fn put(&mut self, member: $member) -> bool {
                self.insert(member)
            }

            fn take(&mut self, member: &$member) -> bool {
                self.$remove(member)
            }

            fn members(&self) -> impl Iterator<Item = &$member> {
                self.iter()
            }
        }
    };
}

members!(BTreeSet, remove, T: Ord);
members!(HashSet, remove, T: Hash, Eq; H);
#[cfg(feature = "indexmap")]
members!(IndexSet, shift_remove, T: Hash, Eq; H);

impl SetOf {
    /// The key of a member in [`Versions`] and in the reads of a transaction: the member as JSON.
    pub(crate) fn name<T: Value>(member: &T) -> Option<Key> {
        serde_json::to_string(member).ok().map(|text| Key::from(&*text))
    }
}

impl<C: Members> MergePolicy<C> for SetOf {
    type Op = SetOp<C, C::Member>;

    const NAME: &'static str = "set";

    const INFO: PolicyInfo = PolicyInfo::new("set").entries(&PolicyInfo::new("member"));

    fn start() -> Option<C> {
        Some(C::default())
    }

    fn set(value: C) -> Self::Op {
        SetOp::Set(value)
    }

    fn into_set(op: Self::Op) -> Result<C, Self::Op> {
        match op {
            SetOp::Set(value) => Ok(value),
            op => Err(op),
        }
    }

    fn apply(set: &mut C, op: Self::Op) -> Self::Op {
        match op {
            SetOp::Set(new) => SetOp::Set(std::mem::replace(set, new)),
            SetOp::Insert(member) => match set.put(member.clone()) {
                true => SetOp::Remove(member),
                false => SetOp::Insert(member),
            },
            SetOp::Remove(member) => match set.take(&member) {
                true => SetOp::Insert(member),
                false => SetOp::Remove(member),
            },
        }
    }

    fn diff(old: &C, new: &C, each: &mut dyn FnMut(Self::Op)) {
        for member in old.members().filter(|member| !new.has(member)) {
            each(SetOp::Remove(member.clone()));
        }
        for member in new.members().filter(|member| !old.has(member)) {
            each(SetOp::Insert(member.clone()));
        }
    }

    fn overlap(pending: &Self::Op, remote: &Self::Op) -> Overlap {
        match (pending, remote) {
            (SetOp::Set(_), _) => Overlap::Shadowed,
            (_, SetOp::Set(_)) => Overlap::Conflicts,
            (SetOp::Insert(a) | SetOp::Remove(a), SetOp::Insert(b) | SetOp::Remove(b)) if a == b => {
                Overlap::Shadowed
            }
            _ => Overlap::Commutes,
        }
    }

    fn coalesce(earlier: &mut Self::Op, later: &Self::Op) -> bool {
        match (&mut *earlier, later) {
            (SetOp::Insert(a) | SetOp::Remove(a), SetOp::Insert(b) | SetOp::Remove(b)) if a == b => {}
            (SetOp::Set(_), SetOp::Set(_)) => {}
            _ => return false,
        }
        earlier.clone_from(later);
        true
    }

    fn has_effect(set: &C, op: &Self::Op) -> bool {
        match op {
            SetOp::Set(new) => set != new,
            SetOp::Insert(member) => !set.has(member),
            SetOp::Remove(member) => set.has(member),
        }
    }

    fn undo(set: &C, op: &Self::Op, inverse: &Self::Op) -> Option<Self::Op> {
        match (op, inverse) {
            (SetOp::Set(to), _) => (set == to).then(|| inverse.clone()),
            (SetOp::Insert(member), SetOp::Remove(_)) => set.has(member).then(|| inverse.clone()),
            (SetOp::Remove(member), SetOp::Insert(_)) => (!set.has(member)).then(|| inverse.clone()),
            // The operation had no effect.
            _ => None,
        }
    }

    fn decompose(set: &C, op: &Self::Op) -> Option<Vec<Self::Op>> {
        let SetOp::Set(new) = op else { return None };
        Some(differences::<C, Self>(set, new))
    }

    fn record(versions: &mut Versions, touched: &Self::Op, version: u64) {
        match touched {
            SetOp::Set(_) => versions.set_whole(version),
            SetOp::Remove(member) | SetOp::Insert(member) => {
                if let Some(name) = Self::name(member) {
                    versions.entries_mut(version).edited(name.as_str(), version).set_whole(version);
                }
            }
        }
    }

    fn delta(set: &C, versions: &Versions, since: u64, each: &mut dyn FnMut(Self::Op)) {
        if versions.changed() <= since {
            return;
        }
        let entries = versions.entries().filter(|entries| versions.whole() <= since && entries.reach(since));
        let Some(entries) = entries else { return each(SetOp::Set(set.clone())) };
        for (name, _) in entries.changed_since(since) {
            let Ok(member) = serde_json::from_str::<C::Member>(name.as_str()) else { continue };
            each(if set.has(&member) { SetOp::Insert(member) } else { SetOp::Remove(member) });
        }
    }

    fn address(op: &Self::Op, _path: &mut FieldPathBuf) -> Option<&'static str> {
        match op {
            SetOp::Set(_) => None,
            SetOp::Insert(_) => Some("insert"),
            SetOp::Remove(_) => Some("remove"),
        }
    }

    fn encode<S: Serializer>(op: &Self::Op, serializer: S) -> Result<S::Ok, S::Error> {
        match op {
            SetOp::Set(set) => set.serialize(serializer),
            SetOp::Insert(member) | SetOp::Remove(member) => member.serialize(serializer),
        }
    }

    fn decode<'de, D: Deserializer<'de>>(
        path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<Self::Op, UpdateError> {
        if !path.is_end() {
            return Err(no_parts(<Self as MergePolicy<C>>::NAME, path));
        }
        let wrong = |error: D::Error| UpdateError::wrong_type(&error);
        match op {
            None => C::deserialize(value).map(SetOp::Set).map_err(wrong),
            Some("insert") => C::Member::deserialize(value).map(SetOp::Insert).map_err(wrong),
            Some("remove") => C::Member::deserialize(value).map(SetOp::Remove).map_err(wrong),
            Some(op) => Err(UpdateError::unknown_op(<Self as MergePolicy<C>>::NAME, op)),
        }
    }
}
