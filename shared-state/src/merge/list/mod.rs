//! The policy [`ListOf`]: items are inserted, moved, edited and removed by their key, and only that is sent.
//!
//! The rules, in the server's order:
//! * Editing or moving an item that does not exist is refused, and so is inserting an item whose key another
//!   item has. Removing what does not exist is not: it is as it was asked to be. Where such an operation is
//!   applied all the same (in what an app sees until the server has answered), it has no effect.
//! * A place is "after this item", "at the front" or "at the end". If the item of a place was removed, the
//!   place becomes that of its nearest left neighbour, at the time of its removal, that still exists, or else
//!   the front. The server looks it up and sends the resolved place to everyone.
//! * Of two moves of one item the later wins. Of two items inserted after the same item, the later is nearer
//!   to it, so the items that one client inserts one after another stay together.
//! * Moving an item to another list removes it here and inserts it there, as one change. The item is inserted as it
//!   is when the server applies the change, so edits that came before the move are kept; the server forwards edits
//!   that come after it.
//! * Setting the whole list means the difference to the list that its author saw.

mod container;
mod handle;
mod place;
mod sequence;
mod tree;

pub use container::{Iter as ListIter, List};
pub use place::Place;
pub use sequence::{KeyOf, Sequence};

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

use crate::core::reading::reads_as;
use crate::core::{A_KEY, MAX_KEY, check_key};
use crate::core::{Author, FieldPath, FieldPathBuf, Invalid, PolicyInfo, Timing, UpdateError};
use crate::core::{MergePolicy, Overlap, UndoGuard, Versions, differences, text_scope, transfer};
use crate::merge::list::place::{Inserted, Moved, Returned, longest_run};
use crate::merge::{Key, Lww};

/// The policy of `#[shared(list(key = ..))]`. `F` finds the key of an item, `P` is the items' own policy.
///
/// An operation costs O(log n) in a [`List`](crate::merge::List), and a search from the front in a `Vec`.
/// What is sent is the item, or the part of the item that changed.
pub struct ListOf<F, P = Lww>(PhantomData<fn() -> (F, P)>);

/// An operation on a list `C` of items `T`, whose policy has the operations `O`.
#[derive(Clone, PartialEq)]
pub enum ListOp<C, T, O> {
    /// Replaces the whole list.
    Set(C),
    /// Inserts an item.
    Insert(Place, T),
    /// Moves an item.
    Move(Key, Place),
    /// Changes an item by an operation of its own policy.
    In(Key, O),
    /// Removes an item.
    Delete(Key),
    /// Moves an item to the list at a path of the room's state. It is replaced by a `Take` and an `Insert`
    /// into the other list before it is applied.
    Transfer(Key, Box<str>, Place),
    /// Removes an item, which moves to the list at a path of the room's state.
    Take(Key, Box<str>),
    /// The inverse of a `Take`: the item, its place, and the path of the list that it has moved to.
    Return(Key, Place, T, Box<str>),
    /// The inverse of an operation that had no effect.
    Nothing,
}

type OpOf<C, P> = ListOp<C, <C as Sequence>::Item, <P as MergePolicy<<C as Sequence>::Item>>::Op>;

impl<C: fmt::Debug, T: fmt::Debug, O: fmt::Debug> fmt::Debug for ListOp<C, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(list) => f.debug_tuple("Set").field(list).finish(),
            Self::Insert(place, item) => f.debug_tuple("Insert").field(place).field(item).finish(),
            Self::Move(key, place) => f.debug_tuple("Move").field(key).field(place).finish(),
            Self::In(key, op) => f.debug_tuple("In").field(key).field(op).finish(),
            Self::Delete(key) => f.debug_tuple("Delete").field(key).finish(),
            Self::Transfer(key, to, place) => {
                f.debug_tuple("Transfer").field(key).field(to).field(place).finish()
            }
            Self::Take(key, to) => f.debug_tuple("Take").field(key).field(to).finish(),
            Self::Return(key, place, item, to) => {
                f.debug_tuple("Return").field(key).field(place).field(item).field(to).finish()
            }
            Self::Nothing => f.write_str("Nothing"),
        }
    }
}

impl<C, F, P> MergePolicy<C> for ListOf<F, P>
where
    C: Sequence,
    F: KeyOf<C::Item>,
    P: MergePolicy<C::Item>,
{
    type Op = OpOf<C, P>;

    const NAME: &'static str = "list";

    const INFO: PolicyInfo = PolicyInfo::new("list").key(F::NAME).key_name(F::name).entries(&P::INFO);

    fn start() -> Option<C> {
        Some(C::default())
    }

    fn set(value: C) -> Self::Op {
        ListOp::Set(value)
    }

    fn into_set(op: Self::Op) -> Result<C, Self::Op> {
        match op {
            ListOp::Set(value) => Ok(value),
            op => Err(op),
        }
    }

    fn apply(list: &mut C, op: Self::Op) -> Self::Op {
        match op {
            ListOp::Set(new) => ListOp::Set(std::mem::replace(list, new)),
            ListOp::Insert(place, item) | ListOp::Return(_, place, item, _) => match F::key(&item) {
                Some(key) if list.find::<F>(key.as_str()).is_none() => {
                    let position = place.position::<C, F>(list);
                    list.put::<F>(position, item);
                    ListOp::Delete(key)
                }
                _ => ListOp::Nothing,
            },
            ListOp::Move(key, place) => {
                if place.anchor() == Some(&key) {
                    return ListOp::Nothing;
                }
                let Some(from) = list.find::<F>(key.as_str()) else { return ListOp::Nothing };
                let before = Place::of::<C, F>(list, from);
                let Some(item) = list.take::<F>(from) else { return ListOp::Nothing };
                let to = place.position::<C, F>(list);
                list.put::<F>(to, item);
                ListOp::Move(key, before)
            }
            ListOp::In(key, op) => {
                let Some(at) = list.find::<F>(key.as_str()) else { return ListOp::Nothing };
                let changed = list.change(at, |item| {
                    let inverse = P::apply(item, op);
                    if F::is(item, key.as_str()) {
                        return Some(inverse);
                    }
                    // An item has to keep the key that it was found by.
                    P::apply(item, inverse);
                    None
                });
                changed.flatten().map_or(ListOp::Nothing, |inverse| ListOp::In(key, inverse))
            }
            ListOp::Delete(key) => {
                let Some(position) = list.find::<F>(key.as_str()) else { return ListOp::Nothing };
                let place = Place::of::<C, F>(list, position);
                match list.take::<F>(position) {
                    Some(item) => ListOp::Insert(place, item),
                    None => ListOp::Nothing,
                }
            }
            ListOp::Take(key, to) => match <Self as MergePolicy<C>>::apply(list, ListOp::Delete(key.clone()))
            {
                ListOp::Insert(place, item) => ListOp::Return(key, place, item, to),
                inverse => inverse,
            },
            ListOp::Transfer(..) | ListOp::Nothing => ListOp::Nothing,
        }
    }

    fn diff(old: &C, new: &C, each: &mut dyn FnMut(Self::Op)) {
        if old == new {
            return;
        }
        let was: HashMap<Key, (usize, &C::Item)> = keyed::<C, F>(old).collect();
        let is: HashMap<Key, usize> = keyed::<C, F>(new).map(|(key, (at, _))| (key, at)).collect();
        if was.len() < old.len() || is.len() < new.len() {
            // An item without a key of its own cannot be addressed.
            return each(ListOp::Set(new.clone()));
        }
        for (key, _) in keyed::<C, F>(old).filter(|(key, _)| !is.contains_key(key)) {
            each(ListOp::Delete(key));
        }
        let common: Vec<usize> = keyed::<C, F>(new).filter_map(|(key, _)| Some(was.get(&key)?.0)).collect();
        let after_common = keyed::<C, F>(new)
            .filter(|(key, _)| was.contains_key(key))
            .map(|(_, (at, _))| at + 1)
            .last()
            .unwrap_or(0);
        let mut stays = longest_run(&common).into_iter();
        let mut before = Place::Front;
        for (key, (at, item)) in keyed::<C, F>(new) {
            let place = if at >= after_common { Place::End } else { before };
            match was.get(&key) {
                None => each(ListOp::Insert(place, item.clone())),
                Some((_, was)) => {
                    if !stays.next().unwrap_or(true) {
                        each(ListOp::Move(key.clone(), place));
                    }
                    P::diff(was, item, &mut |op| each(ListOp::In(key.clone(), op)));
                }
            }
            before = Place::After(key);
        }
    }

    fn overlap(pending: &Self::Op, remote: &Self::Op) -> Overlap {
        use ListOp::{Delete, In, Insert, Move, Nothing, Return, Set, Take, Transfer};
        match (pending, remote) {
            (Set(_), _) => Overlap::Shadowed,
            (_, Set(_)) => Overlap::Conflicts,
            (Nothing, _) | (_, Nothing) => Overlap::Commutes,
            // Neither is sent.
            (Transfer(..) | Return(..), _) | (_, Transfer(..) | Return(..)) => Overlap::Conflicts,
            (In(a, op), In(b, remote)) if a == b => P::overlap(op, remote),
            // The item is removed in any case, so a remote operation on it is not visible.
            (Delete(a) | Take(a, _), In(b, _) | Delete(b) | Take(b, _) | Move(b, _)) if a == b => {
                Overlap::Shadowed
            }
            (Move(a, place), Move(b, _)) if a == b && place.anchor() != Some(a) => Overlap::Shadowed,
            (Insert(_, item), In(key, _) | Delete(key) | Take(key, _) | Move(key, _))
                if F::is(item, key.as_str()) =>
            {
                Overlap::Conflicts
            }
            (In(key, _) | Move(key, _) | Delete(key) | Take(key, _), Insert(_, item))
                if F::is(item, key.as_str()) =>
            {
                Overlap::Conflicts
            }
            (In(..), _) | (_, In(..)) | (Delete(_) | Take(..), Delete(_) | Take(..)) => Overlap::Commutes,
            (Delete(key) | Take(key, _), Insert(place, _) | Move(_, place))
            | (Insert(place, _) | Move(_, place), Delete(key) | Take(key, _)) => match place.anchor() {
                Some(anchor) if anchor == key => Overlap::Conflicts,
                _ => Overlap::Commutes,
            },
            (Insert(..) | Move(..), Insert(..) | Move(..)) => Overlap::Conflicts,
        }
    }

    fn coalesce(earlier: &mut Self::Op, later: &Self::Op) -> bool {
        match (earlier, later) {
            (ListOp::In(a, op), ListOp::In(b, later)) if a == b => P::coalesce(op, later),
            (ListOp::Move(a, place), ListOp::Move(b, later)) if a == b && later.anchor() != Some(b) => {
                place.clone_from(later);
                true
            }
            (earlier @ ListOp::Set(_), ListOp::Set(_)) => {
                earlier.clone_from(later);
                true
            }
            _ => false,
        }
    }

    fn undo_guard(op: &Self::Op) -> UndoGuard {
        match op {
            ListOp::Delete(_) | ListOp::Transfer(..) | ListOp::Take(..) | ListOp::Return(..) => {
                UndoGuard::Part
            }
            ListOp::In(_, op) => P::undo_guard(op),
            ListOp::Set(_) | ListOp::Insert(..) | ListOp::Move(..) | ListOp::Nothing => UndoGuard::Anything,
        }
    }

    fn has_effect(list: &C, op: &Self::Op) -> bool {
        match op {
            ListOp::Set(new) => list != new,
            ListOp::Insert(_, item) | ListOp::Return(_, _, item, _) => {
                F::key(item).is_some_and(|key| list.find::<F>(key.as_str()).is_none())
            }
            ListOp::Move(key, place) => {
                let Some(from) = list.find::<F>(key.as_str()) else { return false };
                // Between its left neighbour and itself, or between itself and its right neighbour.
                let to = place.position::<C, F>(list);
                place.anchor() != Some(key) && to != from && to != from + 1
            }
            ListOp::In(key, op) => {
                let item = list.find::<F>(key.as_str()).and_then(|at| list.item(at));
                item.is_some_and(|item| P::has_effect(item, op))
            }
            ListOp::Delete(key) | ListOp::Take(key, _) | ListOp::Transfer(key, ..) => {
                list.find::<F>(key.as_str()).is_some()
            }
            ListOp::Nothing => false,
        }
    }

    fn undo(list: &C, op: &Self::Op, inverse: &Self::Op) -> Option<Self::Op> {
        match (op, inverse) {
            (ListOp::Set(to), _) => reads_as::<C, Self>(list, to).then(|| inverse.clone()),
            // Wherever the item is now, and whatever it contains now.
            (ListOp::Insert(..), ListOp::Delete(key)) => {
                list.find::<F>(key.as_str()).map(|_| ListOp::Delete(key.clone()))
            }
            (ListOp::Delete(key), ListOp::Insert(..)) => {
                list.find::<F>(key.as_str()).is_none().then(|| inverse.clone())
            }
            // The other list had the same item, so that this is no move: there is nothing to take from there.
            (ListOp::Take(key, _), ListOp::Return(_, place, item, _)) => {
                let is_gone = list.find::<F>(key.as_str()).is_none();
                is_gone.then(|| ListOp::Insert(place.clone(), item.clone()))
            }
            // Whatever was inserted beside it since. Who moves the item itself keeps it from being undone.
            (ListOp::Move(key, _), ListOp::Move(..)) => list.find::<F>(key.as_str()).map(|_| inverse.clone()),
            (ListOp::In(key, op), ListOp::In(_, inverse)) => {
                let item = list.item(list.find::<F>(key.as_str())?)?;
                P::undo(item, op, inverse).map(|op| ListOp::In(key.clone(), op))
            }
            _ => None,
        }
    }

    fn decompose(list: &C, op: &Self::Op) -> Option<Vec<Self::Op>> {
        match op {
            ListOp::Set(new) => Some(differences::<C, Self>(list, new)),
            ListOp::In(key, op) => {
                let item = list.item(list.find::<F>(key.as_str())?)?;
                let ops = P::decompose(item, op)?;
                Some(ops.into_iter().map(|op| ListOp::In(key.clone(), op)).collect())
            }
            _ => None,
        }
    }

    fn resolve(list: &C, versions: &Versions, op: &Self::Op) -> Option<Self::Op> {
        match op {
            ListOp::Insert(place, item) => place
                .resolved::<C, F>(list, versions.entries())
                .map(|place| ListOp::Insert(place, item.clone())),
            ListOp::Move(key, place) if place.anchor() != Some(key) => {
                place.resolved::<C, F>(list, versions.entries()).map(|place| ListOp::Move(key.clone(), place))
            }
            ListOp::In(key, op) => {
                let item = list.item(list.find::<F>(key.as_str())?)?;
                let versions = versions.entry(key.as_str()).unwrap_or(Versions::NONE);
                P::resolve(item, versions, op).map(|op| ListOp::In(key.clone(), op))
            }
            _ => None,
        }
    }

    fn check_op(list: &C, op: &Self::Op) -> Result<(), Invalid> {
        match op {
            ListOp::Insert(_, item) | ListOp::Return(_, _, item, _) => {
                let key = key_of::<C, F>(item)?;
                match list.find::<F>(key.as_str()).and_then(|at| list.item(at)) {
                    Some(known) if known != item => Err(Invalid::exists().in_field(key.as_str())),
                    Some(_) => Ok(()),
                    None => P::check_keys(item).map_err(|invalid| invalid.in_field(key.as_str())),
                }
            }
            ListOp::In(key, op) => {
                if renames::<C, F, P>(key, op) {
                    let message = format!("the item `{}` keeps its key", key.as_str());
                    return Err(Invalid::new("key", message).in_field(key.as_str()));
                }
                let item = list.find::<F>(key.as_str()).and_then(|at| list.item(at));
                item.map_or_else(|| Err(Invalid::gone()), |item| P::check_op(item, op))
                    .map_err(|invalid| invalid.in_field(key.as_str()))
            }
            ListOp::Take(_, to) | ListOp::Transfer(_, to, _) if to.len() > 2 * MAX_KEY => {
                let message = format!("a path has at most {} bytes, found {}", 2 * MAX_KEY, to.len());
                Err(Invalid::new("key", message))
            }
            ListOp::Move(key, _) | ListOp::Take(key, _) | ListOp::Transfer(key, ..) => {
                match list.find::<F>(key.as_str()) {
                    Some(_) => Ok(()),
                    None => Err(Invalid::gone().in_field(key.as_str())),
                }
            }
            ListOp::Set(list) => Self::check_keys(list),
            ListOp::Delete(_) | ListOp::Nothing => Ok(()),
        }
    }

    fn check_keys(list: &C) -> Result<(), Invalid> {
        distinct::<C, F>(list)?;
        keyed::<C, F>(list).try_for_each(|(key, (_, item))| {
            P::check_keys(item).map_err(|invalid| invalid.in_field(key.as_str()))
        })
    }

    fn record(versions: &mut Versions, touched: &Self::Op, version: u64) {
        match touched {
            ListOp::Set(_) => versions.set_whole(version),
            ListOp::Delete(key) | ListOp::Take(key, _) | ListOp::Transfer(key, ..) => {
                versions.entries_mut(version).inserted(key.as_str(), version);
            }
            ListOp::Move(key, _) => versions.entries_mut(version).moved(key.as_str(), version),
            ListOp::In(key, op) => {
                P::record(versions.entries_mut(version).edited(key.as_str(), version), op, version);
            }
            ListOp::Insert(place, item) | ListOp::Return(_, place, item, _) => {
                if let Some(key) = F::key(item) {
                    let left = place.anchor().map(Key::as_str);
                    versions.entries_mut(version).removed(key.as_str(), version, left);
                }
            }
            ListOp::Nothing => {}
        }
    }

    fn delta(list: &C, versions: &Versions, since: u64, each: &mut dyn FnMut(Self::Op)) {
        if versions.changed() <= since {
            return;
        }
        let entries = versions.entries().filter(|entries| versions.whole() <= since && entries.reach(since));
        let Some(entries) = entries else { return each(ListOp::Set(list.clone())) };
        for key in entries.removed_since(since) {
            each(ListOp::Delete(key.clone()));
        }
        let mut placed = Vec::new();
        for (key, entry) in entries.changed_since(since) {
            let Some(position) = list.find::<F>(key.as_str()) else { continue };
            if entry.placed() > since {
                placed.push((position, key, entry.inserted() > since));
            }
        }
        // From left to right, each item right after the one that is now to its left. At that point, the items
        // that are still to be placed are further right, or have left.
        placed.sort_unstable_by_key(|(position, ..)| *position);
        for (position, key, inserted) in placed {
            let place = Place::of::<C, F>(list, position);
            match list.item(position) {
                Some(item) if inserted => each(ListOp::Insert(place, item.clone())),
                _ => each(ListOp::Move(key.clone(), place)),
            }
        }
        for (key, entry) in entries.changed_since(since).filter(|(_, entry)| entry.inserted() <= since) {
            let item = list.find::<F>(key.as_str()).and_then(|position| list.item(position));
            if let Some(item) = item {
                P::delta(item, entry.versions(), since, &mut |op| each(ListOp::In(key.clone(), op)));
            }
        }
    }

    fn check(list: &C, touched: &Self::Op) -> Result<(), Invalid> {
        let item = |key: &Key| list.find::<F>(key.as_str()).and_then(|position| list.item(position));
        match touched {
            ListOp::Set(_) => <Self as MergePolicy<C>>::validate(list),
            ListOp::Delete(key) => {
                item(key).map_or(Ok(()), P::validate).map_err(|e| e.in_field(key.as_str()))
            }
            ListOp::In(key, op) => item(key)
                .map_or(Ok(()), |item| P::check(item, op).and_then(|()| P::check_rule(item)))
                .map_err(|invalid| invalid.in_field(key.as_str())),
            _ => Ok(()),
        }
    }

    fn validate(list: &C) -> Result<(), Invalid> {
        distinct::<C, F>(list)?;
        list.items().try_for_each(|item| {
            P::validate(item).map_err(|invalid| match F::key(item) {
                Some(key) => invalid.in_field(key.as_str()),
                None => invalid,
            })
        })
    }

    fn check_change(before: &C, after: &C, author: &Author) -> Result<(), Invalid> {
        if !P::INFO.has_change_rule() {
            return Ok(());
        }
        // The rule about changes of an item does not decide whether the item may be added or removed. That is
        // for the struct around the list.
        let was: HashMap<Key, (usize, &C::Item)> = keyed::<C, F>(before).collect();
        keyed::<C, F>(after).try_for_each(|(key, (_, item))| match was.get(&key) {
            Some((_, before)) if *before != item => {
                P::check_change(before, item, author).map_err(|invalid| invalid.in_field(key.as_str()))
            }
            _ => Ok(()),
        })
    }

    fn timing(op: &Self::Op, field: Timing) -> Timing {
        match op {
            ListOp::In(_, op) => P::timing(op, field),
            _ => field,
        }
    }

    fn read_only(op: &Self::Op) -> bool {
        matches!(op, ListOp::In(_, op) if P::read_only(op))
    }

    fn address(op: &Self::Op, path: &mut FieldPathBuf) -> Option<&'static str> {
        match op {
            ListOp::Set(_) => None,
            ListOp::Insert(..) => Some("insert"),
            ListOp::Move(key, _) => {
                path.push(key.as_str());
                Some("move")
            }
            ListOp::In(key, op) => {
                path.push(key.as_str());
                P::address(op, path)
            }
            ListOp::Delete(key) => {
                path.push(key.as_str());
                Some("delete")
            }
            ListOp::Transfer(key, ..) => {
                path.push(key.as_str());
                Some(transfer::TRANSFER)
            }
            ListOp::Take(key, _) => {
                path.push(key.as_str());
                Some(transfer::TAKE)
            }
            ListOp::Return(key, ..) => {
                path.push(key.as_str());
                Some(transfer::RETURN)
            }
            ListOp::Nothing => Some("nothing"),
        }
    }

    fn encode<S: Serializer>(op: &Self::Op, serializer: S) -> Result<S::Ok, S::Error> {
        match op {
            ListOp::Set(list) => list.serialize(serializer),
            ListOp::Insert(place, item) => Inserted::new(place, item).serialize(serializer),
            ListOp::Move(_, place) => place.serialize(serializer),
            ListOp::In(_, op) => P::encode(op, serializer),
            ListOp::Transfer(_, to, place) => Moved::new(place, to).serialize(serializer),
            ListOp::Take(_, to) => transfer::Destination { to: (&**to).into() }.serialize(serializer),
            ListOp::Return(_, place, item, to) => Moved::with(place, to, item).serialize(serializer),
            ListOp::Delete(_) | ListOp::Nothing => serializer.serialize_unit(),
        }
    }

    fn decode<'de, D: Deserializer<'de>>(
        mut path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<Self::Op, UpdateError> {
        let wrong = |error: D::Error| UpdateError::wrong_type(&error);
        let Some(key) = path.next_segment() else {
            return match op {
                None => C::deserialize(value).map(ListOp::Set).map_err(wrong),
                Some("insert") => {
                    let (place, item) = Inserted::deserialize(value).map_err(wrong)?.into_parts();
                    Ok(ListOp::Insert(place, item))
                }
                Some(op) => Err(UpdateError::unknown_op("list", op)),
            };
        };
        let key = Key::from(&*key);
        match op {
            Some("move") if path.is_end() => {
                Place::deserialize(value).map(|place| ListOp::Move(key, place)).map_err(wrong)
            }
            Some("delete") if path.is_end() => {
                serde::de::IgnoredAny::deserialize(value).map_err(wrong)?;
                Ok(ListOp::Delete(key))
            }
            Some(transfer::TRANSFER) if path.is_end() => {
                let (place, to) = Moved::<()>::deserialize(value).map_err(wrong)?.into_parts();
                Ok(ListOp::Transfer(key, to, place))
            }
            Some(transfer::TAKE) if path.is_end() => {
                let (_, to) = Moved::<()>::deserialize(value).map_err(wrong)?.into_parts();
                Ok(ListOp::Take(key, to))
            }
            // It is never sent.
            Some(transfer::RETURN) if path.is_end() && text_scope::is_carrying() => {
                let (place, item, to) = Returned::deserialize(value).map_err(wrong)?.into_parts();
                Ok(ListOp::Return(key, place, item, to))
            }
            op => match P::decode(path, op, value) {
                Ok(op) => Ok(ListOp::In(key, op)),
                Err(error) => Err(error.in_field(key.as_str())),
            },
        }
    }
}

/// Checks that every item has a key, and no other item has the same.
fn distinct<C: Sequence, F: KeyOf<C::Item>>(list: &C) -> Result<(), Invalid> {
    let mut known = std::collections::HashSet::with_capacity(list.len());
    list.items().try_for_each(|item| match known.replace(key_of::<C, F>(item)?) {
        Some(key) => Err(Invalid::new("key", format!("two items have the key `{}`", key.as_str()))),
        None => Ok(()),
    })
}

/// The items by key, with their positions, in order.
fn keyed<C: Sequence, F: KeyOf<C::Item>>(list: &C) -> impl Iterator<Item = (Key, (usize, &C::Item))> {
    list.items().enumerate().filter_map(|(at, item)| Some((F::key(item)?, (at, item))))
}

/// The key of an item.
///
/// # Errors
/// The item has no key, or its key is too long.
fn key_of<C: Sequence, F: KeyOf<C::Item>>(item: &C::Item) -> Result<Key, Invalid> {
    let key = F::key(item).ok_or_else(|| Invalid::new("key", A_KEY))?;
    check_key(key.as_str())?;
    Ok(key)
}

/// Whether an operation changes the key of an item, as far as its path and its value show.
fn renames<C: Sequence, F: KeyOf<C::Item>, P: MergePolicy<C::Item>>(key: &Key, op: &P::Op) -> bool {
    let mut path = FieldPathBuf::new();
    match P::address(op, &mut path) {
        None if path.is_empty() => P::into_set(op.clone()).is_ok_and(|item| !F::is(&item, key.as_str())),
        _ => {
            let name = <ListOf<F, P> as MergePolicy<C>>::INFO.name_of_key();
            FieldPath::new(path.as_str()).next_segment().is_some_and(|first| name == Some(&*first))
        }
    }
}
