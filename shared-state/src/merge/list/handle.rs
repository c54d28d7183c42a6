//! The operations of a list field as methods of its handle.

use std::cmp::Ordering;

use serde::Serialize;

use crate::core::{Backend, FieldHandle, Invalid, SharedState, key_of};
use crate::core::{MergePolicy, differences};
use crate::merge::list::place::longest_run;
use crate::merge::{KeyOf, ListOf, ListOp, Place, Sequence};

impl<L, S, C, F, P> FieldHandle<L, S, C, ListOf<F, P>>
where
    L: Backend<S>,
    S: SharedState,
    C: Sequence,
    F: KeyOf<C::Item>,
    P: MergePolicy<C::Item>,
{
    /// The number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read(C::len)
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the item with this key, if there is one.
    #[must_use]
    pub fn item<Q: Serialize + ?Sized>(&self, id: &Q) -> Option<C::Item> {
        let id = key_of(id).ok()?;
        self.read(|list| list.item(list.find::<F>(id.as_str())?).cloned())
    }

    /// The position of the item with this key, if there is one.
    #[must_use]
    pub fn position<Q: Serialize + ?Sized>(&self, id: &Q) -> Option<usize> {
        let id = key_of(id).ok()?;
        self.read(|list| list.find::<F>(id.as_str()))
    }

    /// Whether there is an item with this key.
    #[must_use]
    pub fn contains<Q: Serialize + ?Sized>(&self, id: &Q) -> bool {
        self.position(id).is_some()
    }

    /// Inserts an item at the end, after everything that others have inserted there before the server
    /// receives it. Refused if there is another item with the same key.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn push(&self, item: C::Item) -> Result<L::Receipt, L::Error> {
        self.write(ListOp::Insert(Place::End, item))
    }

    /// Inserts an item at a position, which means right after the item that is now to the left of it. A
    /// position beyond the last item is the end. Refused if there is another item with the same key.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn insert_at(&self, position: usize, item: C::Item) -> Result<L::Receipt, L::Error> {
        self.write_with(|list| {
            let place = if position >= list.len() { Place::End } else { Place::of::<C, F>(list, position) };
            vec![ListOp::Insert(place, item)]
        })
    }

    /// Inserts an item right after the item with the key `id`. Refused if there is another item with
    /// the same key.
    ///
    /// # Errors
    /// `id` cannot be a key, or as [`Backend::write`].
    pub fn insert_after<Q: Serialize + ?Sized>(&self, id: &Q, item: C::Item) -> Result<L::Receipt, L::Error> {
        self.write(ListOp::Insert(Place::After(key_of(id)?), item))
    }

    /// Moves an item to `position`, which means right after the item that is then to the left of it. A
    /// position beyond the last item, such as `usize::MAX`, is the end. Refused if there is no such
    /// item.
    ///
    /// # Errors
    /// `id` cannot be a key, or as [`Backend::write`].
    pub fn move_to<Q: Serialize + ?Sized>(&self, id: &Q, position: usize) -> Result<L::Receipt, L::Error> {
        let id = key_of(id)?;
        self.try_write_with(|list| {
            let from = list.find::<F>(id.as_str()).ok_or_else(|| Invalid::gone().in_field(id.as_str()))?;
            let place = match position {
                to if to == from => return Ok(Vec::new()),
                to if to >= list.len() => Place::End,
                // The item itself does not count among those to the left of its new position.
                to => Place::of::<C, F>(list, if to > from { to + 1 } else { to }),
            };
            Ok(vec![ListOp::Move(id, place)])
        })
    }

    /// Moves an item right after the item with the key `other`. Refused if there is no such item.
    ///
    /// # Errors
    /// `id` or `other` cannot be a key, or as [`Backend::write`].
    pub fn move_after<Q, O>(&self, id: &Q, other: &O) -> Result<L::Receipt, L::Error>
    where
        Q: Serialize + ?Sized,
        O: Serialize + ?Sized,
    {
        self.write(ListOp::Move(key_of(id)?, Place::After(key_of(other)?)))
    }

    /// Moves an item to `position` in another list, or to its end if the position is beyond it, as one change.
    /// The other list may be in another field, item or entry of the state; its items have the same type.
    ///
    /// Of two moves of one item at the same time the later wins, and there is one item in the end. What others
    /// change in the item at the same time is kept.
    ///
    /// # Errors
    /// `id` cannot be a key, there is no such item or no such list, the other list has another item with the
    /// same key, or as [`Backend::write`].
    pub fn move_between<Q, M, R, D, G, O>(
        &self,
        id: &Q,
        to: &FieldHandle<M, R, D, ListOf<G, O>>,
        position: usize,
    ) -> Result<L::Receipt, L::Error>
    where
        Q: Serialize + ?Sized,
        M: Backend<R>,
        R: SharedState,
        D: Sequence<Item = C::Item>,
        G: KeyOf<D::Item>,
        O: MergePolicy<D::Item>,
    {
        let path = to.full_path();
        if path == self.full_path() {
            return self.move_to(id, position);
        }
        let key = key_of(id)?;
        let place = to.read(|list| match position >= list.len() {
            true => Place::End,
            false => Place::of::<D, G>(list, position),
        });
        self.try_write_with(|list| match list.find::<F>(key.as_str()) {
            Some(_) => Ok(vec![ListOp::Transfer(key, path.as_str().into(), place)]),
            None => Err(Invalid::gone().in_field(key.as_str())),
        })
    }

    /// Calls `change` with a copy of an item and writes the difference, as operations of the items' policy.
    /// Refused if there is no such item.
    ///
    /// # Errors
    /// `id` cannot be a key, the change gives the item another key, or as [`Backend::write`].
    pub fn edit<Q: Serialize + ?Sized>(
        &self,
        id: &Q,
        change: impl FnOnce(&mut C::Item),
    ) -> Result<L::Receipt, L::Error> {
        let id = key_of(id)?;
        self.try_write_with(|list| {
            let old = list.find::<F>(id.as_str()).and_then(|at| list.item(at));
            let old = old.ok_or_else(|| Invalid::gone().in_field(id.as_str()))?;
            let mut new = old.clone();
            change(&mut new);
            Ok(differences::<_, P>(old, &new).into_iter().map(|op| ListOp::In(id.clone(), op)).collect())
        })
    }

    /// Writes one operation of the items' policy to an item.
    ///
    /// # Errors
    /// `id` cannot be a key, or as [`Backend::write`].
    pub fn write_in<Q: Serialize + ?Sized>(&self, id: &Q, op: P::Op) -> Result<L::Receipt, L::Error> {
        self.write(ListOp::In(key_of(id)?, op))
    }

    /// Removes an item. Accepted, without effect, if there is no such item.
    ///
    /// # Errors
    /// `id` cannot be a key, or as [`Backend::write`].
    pub fn remove<Q: Serialize + ?Sized>(&self, id: &Q) -> Result<L::Receipt, L::Error> {
        self.write(ListOp::Delete(key_of(id)?))
    }

    /// Removes the items for which `keep` returns false, as one change. Costs a pass over the list.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn retain(&self, mut keep: impl FnMut(&C::Item) -> bool) -> Result<L::Receipt, L::Error> {
        self.write_with(|list| {
            let removed = list.items().filter(|item| !keep(item));
            removed.filter_map(F::key).map(ListOp::Delete).collect()
        })
    }

    /// Removes the items that the app sees now, as one change. Items that others insert at the same time
    /// stay, unless there are more than 4,096 to remove: the list is then set as a whole.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn clear(&self) -> Result<L::Receipt, L::Error> {
        self.retain(|_| false)
    }

    /// Sorts the list, as one change that moves as few items as possible. The sort is stable. Costs a pass
    /// over the list and the sort. A list of which more than 4,096 items move is set as a whole.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn sort_by(
        &self,
        mut compare: impl FnMut(&C::Item, &C::Item) -> Ordering,
    ) -> Result<L::Receipt, L::Error> {
        self.write_with(|list| {
            let mut sorted: Vec<(usize, &C::Item)> = list.items().enumerate().collect();
            sorted.sort_by(|(_, a), (_, b)| compare(a, b));
            let positions: Vec<usize> = sorted.iter().map(|(position, _)| *position).collect();
            let stays = longest_run(&positions);
            let mut place = Place::Front;
            let mut moves = Vec::new();
            for ((_, item), stays) in sorted.into_iter().zip(stays) {
                let Some(key) = F::key(item) else { continue };
                let before = std::mem::replace(&mut place, Place::After(key.clone()));
                if !stays {
                    moves.push(ListOp::Move(key, before));
                }
            }
            moves
        })
    }
}
