//! The policy [`MapOf`]: entries are put, changed and removed by their key, and only that is sent.
//!
//! The rules, in the server's order:
//! * Entries are independent of each other. Of two writes to one entry the later wins, unless the entries'
//!   own policy combines them.
//! * Changing a part of an entry that does not exist is refused, unless the entries' policy has an initial
//!   value, as a counter has. Removing what does not exist is not: it is as it was asked to be.
//! * Setting or clearing the whole map means the difference to the map that its author saw.

mod handle;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;

#[cfg(feature = "indexmap")]
use indexmap::IndexMap;
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

use crate::core::reading::{self, reads_as};
use crate::core::{Author, FieldPath, FieldPathBuf, Invalid, PolicyInfo, Timing, UpdateError, Value};
use crate::core::{MergePolicy, Overlap, UndoGuard, Versions, differences, text_scope};
use crate::core::{check_key, with_key};
use crate::merge::{Key, Lww};

/// The policy of `#[shared(map)]`. `P` is the entries' own policy.
///
/// An operation costs as much as the map's own operation. What is sent is the entry, or the part of the entry
/// that changed.
pub struct MapOf<P = Lww>(PhantomData<fn() -> P>);

/// An operation on a map `M` from `K` to `V`, whose entries' policy has the operations `O`.
#[derive(Clone, PartialEq)]
pub enum MapOp<M, K, V, O> {
    /// Replaces the whole map.
    Set(M),
    /// Inserts or replaces an entry.
    Put(K, V),
    /// Changes an entry by an operation of its own policy.
    In(K, O),
    /// Removes an entry.
    Delete(K),
    /// The inverse of an operation that had no effect.
    Nothing,
}

impl<M: fmt::Debug, K: fmt::Debug, V: fmt::Debug, O: fmt::Debug> fmt::Debug for MapOp<M, K, V, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(map) => f.debug_tuple("Set").field(map).finish(),
            Self::Put(key, value) => f.debug_tuple("Put").field(key).field(value).finish(),
            Self::In(key, op) => f.debug_tuple("In").field(key).field(op).finish(),
            Self::Delete(key) => f.debug_tuple("Delete").field(key).finish(),
            Self::Nothing => f.write_str("Nothing"),
        }
    }
}

/// A collection of entries by key: `BTreeMap`, `HashMap`, and with the feature `indexmap` also `IndexMap`,
/// whose order is each client's own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a `#[shared(map)]`",
    label = "not a map",
    note = "write `BTreeMap<K, V>` or `HashMap<K, V>` as the field's type, or `list(key = ..)` for a `Vec`; without \
            `map`, a type of your own is set as a whole"
)]
pub trait Mapping: Value + Default {
    /// The type of the keys.
    type Key: Value + Eq;
    /// The type of the values.
    type Value: Value;

    /// The number of entries.
    fn len(&self) -> usize;

    /// Whether the map is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value with this key.
    fn get(&self, key: &Self::Key) -> Option<&Self::Value>;

    /// The value with this key, for changing it.
    fn get_mut(&mut self, key: &Self::Key) -> Option<&mut Self::Value>;

    /// Inserts an entry and returns the value that it replaces.
    fn put(&mut self, key: Self::Key, value: Self::Value) -> Option<Self::Value>;

    /// Removes an entry and returns its value.
    fn take(&mut self, key: &Self::Key) -> Option<Self::Value>;

    /// The entries, in the map's order.
    fn entries(&self) -> impl Iterator<Item = (&Self::Key, &Self::Value)>;
}

macro_rules! mapping {
    ($map:ident, $remove:ident, $key:ident: $($bound:path),+ $(; $hasher:ident)?) => {
        impl<$key: Value + Eq $(+ $bound)+, V: Value $(, $hasher: BuildHasher + Default + Clone + Send + Sync + 'static)?>
            Mapping for $map<$key, V $(, $hasher)?>
        {
            type Key = $key;
            type Value = V;

            fn len(&self) -> usize {
                self.len()
            }

            fn get(&self, key: &$key) -> Option<&V> {
                self.get(key)
            }

            fn get_mut(&mut self, key: &$key) -> Option<&mut V> {
                self.get_mut(key)
            }

            fn put(&mut self, key: $key, value: V) -> Option<V> {
                self.insert(key, value)
            }

            fn take(&mut self, key: &$key) -> Option<V> {
                self.$remove(key)
            }

            fn entries(&self) -> impl Iterator<Item = (&$key, &V)> {
                self.iter()
            }
        }
    };
}

mapping!(BTreeMap, remove, K: Ord);
mapping!(HashMap, remove, K: Hash; H);
#[cfg(feature = "indexmap")]
mapping!(IndexMap, shift_remove, K: Hash; H);

type OpOf<M, P> =
    MapOp<M, <M as Mapping>::Key, <M as Mapping>::Value, <P as MergePolicy<<M as Mapping>::Value>>::Op>;

impl<M, K, V, O> MapOp<M, K, V, O> {
    /// The operation `op` of the entries' policy `P` on an entry. One that sets the whole entry becomes a
    /// put.
    #[must_use]
    pub fn at<P: MergePolicy<V, Op = O>>(key: K, op: O) -> Self {
        match P::into_set(op) {
            Ok(value) => Self::Put(key, value),
            Err(op) => Self::In(key, op),
        }
    }
}

impl<M: Mapping, P: MergePolicy<M::Value>> MergePolicy<M> for MapOf<P> {
    type Op = OpOf<M, P>;

    const NAME: &'static str = "map";

    const INFO: PolicyInfo = PolicyInfo::new("map").entries(&P::INFO);

    fn start() -> Option<M> {
        Some(M::default())
    }

    fn set(value: M) -> Self::Op {
        MapOp::Set(value)
    }

    fn into_set(op: Self::Op) -> Result<M, Self::Op> {
        match op {
            MapOp::Set(value) => Ok(value),
            op => Err(op),
        }
    }

    fn apply(map: &mut M, op: Self::Op) -> Self::Op {
        match op {
            MapOp::Set(new) => MapOp::Set(std::mem::replace(map, new)),
            // The inverse of replacing an entry is `In` with a set. So `Put` as an inverse always stands for
            // an entry that was removed, which `record` relies on.
            MapOp::Put(key, value) => match map.put(key.clone(), value) {
                Some(before) => MapOp::In(key, P::set(before)),
                None => MapOp::Delete(key),
            },
            MapOp::In(key, op) => match map.get_mut(&key) {
                Some(value) => MapOp::In(key, P::apply(value, op)),
                None => create::<M, P>(map, key, op),
            },
            MapOp::Delete(key) => match map.take(&key) {
                Some(before) => MapOp::Put(key, before),
                None => MapOp::Nothing,
            },
            MapOp::Nothing => MapOp::Nothing,
        }
    }

    fn diff(old: &M, new: &M, each: &mut dyn FnMut(Self::Op)) {
        let is_read = |value: &M::Value| !reading::is_reading() || !reading::is_blank::<M::Value, P>(value);
        for (key, _) in old.entries().filter(|(key, value)| new.get(key).is_none() && is_read(value)) {
            each(MapOp::Delete(key.clone()));
        }
        for (key, value) in new.entries() {
            match old.get(key) {
                Some(before) => P::diff(before, value, &mut |op| each(MapOp::at::<P>(key.clone(), op))),
                None if is_read(value) => each(MapOp::Put(key.clone(), value.clone())),
                None => {}
            }
        }
    }

    fn overlap(pending: &Self::Op, remote: &Self::Op) -> Overlap {
        use MapOp::{Delete, In, Nothing, Put, Set};
        match (pending, remote) {
            (Set(_), _) => Overlap::Shadowed,
            (_, Set(_)) => Overlap::Conflicts,
            (Nothing, _) | (_, Nothing) => Overlap::Commutes,
            (In(a, op), In(b, remote)) if a == b => match P::overlap(op, remote) {
                // The pending operation hides the value, but not that the remote operation creates the entry.
                Overlap::Shadowed if P::start().is_some() && created::<M, P>(op.clone()).is_none() => {
                    Overlap::Conflicts
                }
                overlap => overlap,
            },
            (Put(a, _) | Delete(a), Put(b, _) | In(b, _) | Delete(b)) if a == b => Overlap::Shadowed,
            (In(a, _), Put(b, _) | Delete(b)) if a == b => Overlap::Conflicts,
            _ => Overlap::Commutes,
        }
    }

    fn coalesce(earlier: &mut Self::Op, later: &Self::Op) -> bool {
        use MapOp::{Delete, In, Put, Set};
        match (&mut *earlier, later) {
            (Put(a, _) | Delete(a), Put(b, _) | Delete(b)) if a == b => earlier.clone_from(later),
            (In(a, _), Put(b, _) | Delete(b)) if a == b => earlier.clone_from(later),
            (Put(a, value), In(b, op)) if a == b => drop(P::apply(value, op.clone())),
            (In(a, op), In(b, later)) if a == b => {
                let before = op.clone();
                let folded = P::coalesce(op, later);
                // The two operations in sequence may create an absent entry where the folded one would not.
                if folded
                    && created::<M, P>(op.clone()).is_none()
                    && created::<M, P>(before.clone()).is_some()
                {
                    *op = before;
                    return false;
                }
                return folded;
            }
            (Set(_), Set(_)) => earlier.clone_from(later),
            _ => return false,
        }
        true
    }

    fn undo_guard(op: &Self::Op) -> UndoGuard {
        match op {
            MapOp::In(_, op) => P::undo_guard(op),
            MapOp::Delete(_) => UndoGuard::Part,
            MapOp::Set(_) | MapOp::Put(..) | MapOp::Nothing => UndoGuard::Anything,
        }
    }

    fn has_effect(map: &M, op: &Self::Op) -> bool {
        match op {
            MapOp::Set(new) => map != new,
            MapOp::Put(key, value) => map.get(key) != Some(value),
            MapOp::In(key, op) => match map.get(key) {
                Some(value) => P::has_effect(value, op),
                // On an absent entry it has the effect that it has on the value that the entry would start from.
                None => P::start().is_some_and(|start| P::has_effect(&start, op)),
            },
            MapOp::Delete(key) => map.get(key).is_some(),
            MapOp::Nothing => false,
        }
    }

    fn undo(map: &M, op: &Self::Op, inverse: &Self::Op) -> Option<Self::Op> {
        match (op, inverse) {
            (MapOp::Set(to), _) => reads_as::<M, Self>(map, to).then(|| inverse.clone()),
            (MapOp::Put(key, to), MapOp::Delete(_)) => {
                reads_as::<M::Value, P>(map.get(key)?, to).then(|| MapOp::Delete(key.clone()))
            }
            (MapOp::Put(key, to), MapOp::In(_, before)) => reads_as::<M::Value, P>(map.get(key)?, to)
                .then(|| MapOp::at::<P>(key.clone(), before.clone())),
            // An addition that was undone may have begun the entry again.
            (MapOp::Delete(key), MapOp::Put(..)) => {
                map.get(key).is_none_or(reading::is_blank::<M::Value, P>).then(|| inverse.clone())
            }
            (MapOp::In(key, op), MapOp::In(_, inverse)) => {
                P::undo(map.get(key)?, op, inverse).map(|op| MapOp::at::<P>(key.clone(), op))
            }
            // The operation began the entry, which may contain what others have written since. It stays.
            (MapOp::In(key, op), MapOp::Delete(_)) => {
                let inverse = P::apply(&mut P::start()?, op.clone());
                P::undo(map.get(key)?, op, &inverse).map(|op| MapOp::at::<P>(key.clone(), op))
            }
            _ => None,
        }
    }

    fn decompose(map: &M, op: &Self::Op) -> Option<Vec<Self::Op>> {
        match op {
            MapOp::Set(new) => Some(differences::<M, Self>(map, new)),
            MapOp::Put(key, value) => {
                let ops = P::decompose(map.get(key)?, &P::set(value.clone()))?;
                Some(ops.into_iter().map(|op| MapOp::at::<P>(key.clone(), op)).collect())
            }
            MapOp::In(key, op) => {
                let ops = with_entry::<M, P, _>(map, key, |value| P::decompose(value, op))??;
                Some(ops.into_iter().map(|op| MapOp::at::<P>(key.clone(), op)).collect())
            }
            MapOp::Delete(_) | MapOp::Nothing => None,
        }
    }

    fn resolve(map: &M, versions: &Versions, op: &Self::Op) -> Option<Self::Op> {
        let MapOp::In(key, op) = op else { return None };
        let known = Key::of(key).ok();
        let versions = known.and_then(|key| versions.entry(key.as_str())).unwrap_or(Versions::NONE);
        let op = with_entry::<M, P, _>(map, key, |value| P::resolve(value, versions, op))??;
        Some(MapOp::at::<P>(key.clone(), op))
    }

    fn check_op(map: &M, op: &Self::Op) -> Result<(), Invalid> {
        match op {
            MapOp::Put(key, value) => check_entry::<M, P>(key, value),
            MapOp::In(key, op) => with_entry::<M, P, _>(map, key, |value| P::check_op(value, op))
                .unwrap_or_else(|| Err(Invalid::gone()))
                .map_err(|invalid| inside(key, invalid)),
            MapOp::Set(map) => Self::check_keys(map),
            MapOp::Delete(_) | MapOp::Nothing => Ok(()),
        }
    }

    fn check_keys(map: &M) -> Result<(), Invalid> {
        map.entries().try_for_each(|(key, value)| check_entry::<M, P>(key, value))
    }

    fn record(versions: &mut Versions, touched: &Self::Op, version: u64) {
        let key = match touched {
            MapOp::Set(_) => return versions.set_whole(version),
            MapOp::Nothing => return,
            MapOp::Put(key, _) | MapOp::In(key, _) | MapOp::Delete(key) => key,
        };
        // An operation that was applied has a valid key.
        let Ok(text) = Key::of(key) else { return };
        let (key, entries) = (text.as_str(), versions.entries_mut(version));
        match touched {
            MapOp::In(_, op) => P::record(entries.edited(key, version), op, version),
            MapOp::Put(..) => entries.removed(key, version, None),
            _ => entries.inserted(key, version),
        }
    }

    fn delta(map: &M, versions: &Versions, since: u64, each: &mut dyn FnMut(Self::Op)) {
        if versions.changed() <= since {
            return;
        }
        let entries = versions.entries().filter(|entries| versions.whole() <= since && entries.reach(since));
        let Some(entries) = entries else { return each(MapOp::Set(map.clone())) };
        for key in entries.removed_since(since) {
            if let Ok(key) = key.read::<M::Key>()
                && map.get(&key).is_none()
            {
                each(MapOp::Delete(key));
            }
        }
        for (key, entry) in entries.changed_since(since) {
            let Ok(key) = key.read::<M::Key>() else { continue };
            match map.get(&key) {
                Some(value) if entry.inserted() > since => each(MapOp::Put(key, value.clone())),
                Some(value) => {
                    P::delta(value, entry.versions(), since, &mut |op| each(MapOp::at::<P>(key.clone(), op)));
                }
                None => {}
            }
        }
    }

    fn check(map: &M, touched: &Self::Op) -> Result<(), Invalid> {
        match touched {
            MapOp::Set(_) => <Self as MergePolicy<M>>::validate(map),
            MapOp::Delete(key) => match map.get(key) {
                Some(value) => P::validate(value).map_err(|invalid| inside(key, invalid)),
                None => Ok(()),
            },
            MapOp::In(key, op) => match map.get(key) {
                Some(value) => P::check(value, op)
                    .and_then(|()| P::check_rule(value))
                    .map_err(|invalid| inside(key, invalid)),
                None => Ok(()),
            },
            MapOp::Put(..) | MapOp::Nothing => Ok(()),
        }
    }

    fn validate(map: &M) -> Result<(), Invalid> {
        map.entries().try_for_each(|(key, value)| {
            key_of(key)?;
            P::validate(value).map_err(|invalid| inside(key, invalid))
        })
    }

    fn check_change(before: &M, after: &M, author: &Author) -> Result<(), Invalid> {
        if !P::INFO.has_change_rule() {
            return Ok(());
        }
        // The rule about changes of an entry does not decide whether the entry may be added or removed. That
        // is for the struct around the map.
        after.entries().try_for_each(|(key, value)| match before.get(key) {
            Some(before) if before != value => {
                P::check_change(before, value, author).map_err(|invalid| inside(key, invalid))
            }
            _ => Ok(()),
        })
    }

    fn timing(op: &Self::Op, field: Timing) -> Timing {
        match op {
            MapOp::In(_, op) => P::timing(op, field),
            _ => field,
        }
    }

    fn read_only(op: &Self::Op) -> bool {
        matches!(op, MapOp::In(_, op) if P::read_only(op))
    }

    fn address(op: &Self::Op, path: &mut FieldPathBuf) -> Option<&'static str> {
        let mut push = |key: &M::Key| {
            // An invalid key writes nothing here. `check_op` refuses it.
            let _ = with_key(key, |text| path.push(text));
        };
        match op {
            MapOp::Set(_) => None,
            MapOp::Put(key, _) => {
                push(key);
                None
            }
            MapOp::In(key, op) => {
                push(key);
                P::address(op, path)
            }
            MapOp::Delete(key) => {
                push(key);
                Some("delete")
            }
            MapOp::Nothing => Some("nothing"),
        }
    }

    fn encode<S: Serializer>(op: &Self::Op, serializer: S) -> Result<S::Ok, S::Error> {
        // Without a key there is no path, and the operation would be read as one on the whole map.
        if let MapOp::Put(key, _) | MapOp::In(key, _) | MapOp::Delete(key) = op {
            with_key(key, |_| ()).map_err(|error| {
                serde::ser::Error::custom(format_args!("{key:?} cannot be a key of a map: {error}"))
            })?;
        }
        match op {
            MapOp::Set(map) => map.serialize(serializer),
            MapOp::Put(_, value) => value.serialize(serializer),
            MapOp::In(_, op) => P::encode(op, serializer),
            MapOp::Delete(_) | MapOp::Nothing => serializer.serialize_unit(),
        }
    }

    fn decode<'de, D: Deserializer<'de>>(
        mut path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<Self::Op, UpdateError> {
        let wrong = |error: D::Error| UpdateError::wrong_type(&error);
        let Some(text) = path.next_segment() else {
            return match op {
                None => M::deserialize(value).map(MapOp::Set).map_err(wrong),
                Some(op) => Err(UpdateError::unknown_op("map", op)),
            };
        };
        let key = Key::from(&*text).read::<M::Key>().map_err(|error| error.in_field(&text))?;
        if path.is_end() && op == Some("delete") {
            serde::de::IgnoredAny::deserialize(value).map_err(wrong)?;
            return Ok(MapOp::Delete(key));
        }
        match P::decode(path, op, value) {
            Ok(op) => Ok(MapOp::at::<P>(key, op)),
            Err(error) => Err(error.in_field(&text)),
        }
    }
}

/// Calls `look` with an entry or, if it does not exist, with the value that it would start from. `None` if
/// there is neither.
fn with_entry<M: Mapping, P: MergePolicy<M::Value>, R>(
    map: &M,
    key: &M::Key,
    look: impl FnOnce(&M::Value) -> R,
) -> Option<R> {
    match map.get(key) {
        Some(value) => Some(look(value)),
        None => P::start().map(|start| look(&start)),
    }
}

/// The entry that an operation on an absent entry creates. `None` if the operation has no effect.
fn created<M: Mapping, P: MergePolicy<M::Value>>(op: P::Op) -> Option<M::Value> {
    let mut value = P::start()?;
    P::apply(&mut value, op);
    // A text that reads like the initial value may have a history.
    text_scope::with_history(|| P::start().as_ref() != Some(&value)).then_some(value)
}

/// Applies an operation to an entry that does not exist.
fn create<M: Mapping, P: MergePolicy<M::Value>>(map: &mut M, key: M::Key, op: P::Op) -> OpOf<M, P> {
    let Some(value) = created::<M, P>(op) else { return MapOp::Nothing };
    map.put(key.clone(), value);
    MapOp::Delete(key)
}

/// The key's text.
///
/// # Errors
/// The value cannot be a key, or its key is too long.
fn key_of<K: Value>(key: &K) -> Result<Key, Invalid> {
    let text = Key::of(key).map_err(|error| Invalid::new("key", error.to_string()))?;
    check_key(text.as_str())?;
    Ok(text)
}

/// There is no entry with this key.
pub(crate) fn gone<K: Value>(key: &K) -> Invalid {
    inside(key, Invalid::gone())
}

/// Checks the key of an entry, and those in it.
fn check_entry<M: Mapping, P: MergePolicy<M::Value>>(key: &M::Key, value: &M::Value) -> Result<(), Invalid> {
    key_of(key)?;
    P::check_keys(value).map_err(|invalid| inside(key, invalid))
}

/// Prepends the entry's key to the path of a violation.
fn inside<K: Value>(key: &K, invalid: Invalid) -> Invalid {
    match Key::of(key) {
        Ok(text) => invalid.in_field(text.as_str()),
        Err(_) => invalid,
    }
}
