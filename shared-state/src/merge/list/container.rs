//! [`List`], a container for `#[shared(list(key = ..))]` that stays fast when it is long.

use std::fmt;
use std::ops::Index;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::rules::Length;
use crate::core::{FieldValue, Value};
use crate::merge::list::tree::{Tree, TreeIter};
use crate::merge::{Key, KeyOf, Sequence};

/// The distance between the labels of neighbouring items, where there is room.
const STEP: u64 = 1 << 32;

/// A list whose items are found by position or by key, inserted, moved, changed and removed in O(log n). A
/// clone costs O(1): clones share the items that are equal.
///
/// A field with `#[shared(list(key = ..))]` can be a `Vec` as well. A `Vec` searches its items from the
/// front, and is the better choice up to some thousand items. Both have the same form on the wire.
///
/// ```
/// let mut list: shared_state::List<&str> = ["a", "c"].into_iter().collect();
/// list.insert(1, "b");
/// assert_eq!(list, ["a", "b", "c"]);
/// assert_eq!(list[1], "b");
/// ```
pub struct List<T> {
    /// The items in order. The key of each is a label, and labels leave room between them.
    items: Tree<u64, Arc<T>>,
    /// The label of each item's key. It is built when it is first needed, because only the field's policy
    /// knows the key of an item, and dropped when the list is changed by a method that does not know the key.
    index: OnceLock<Tree<Key, u64>>,
}

impl<T> List<T> {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { items: Tree::new(), index: OnceLock::new() }
    }

    /// The number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at a position. O(log n).
    #[must_use]
    pub fn get(&self, position: usize) -> Option<&T> {
        self.items.at(position).map(|(_, item)| &**item)
    }

    /// The first item.
    #[must_use]
    pub fn first(&self) -> Option<&T> {
        self.get(0)
    }

    /// The last item.
    #[must_use]
    pub fn last(&self) -> Option<&T> {
        self.get(self.len().checked_sub(1)?)
    }

    /// The items in order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, T> {
        self.iter_from(0)
    }

    /// The items in order, starting at a position. O(log n) for the first item.
    #[must_use]
    pub fn iter_from(&self, position: usize) -> Iter<'_, T> {
        Iter { inner: self.items.iter_from(position), left: self.len().saturating_sub(position) }
    }

    /// Inserts an item at the end.
    pub fn push(&mut self, item: T) {
        self.insert(self.len(), item);
    }

    /// Inserts an item at a position, or at the end if the position is beyond it. O(log n).
    pub fn insert(&mut self, position: usize, item: T) {
        self.index.take();
        self.put(position, Arc::new(item), |_| None);
    }

    /// Removes the item at a position and returns it. O(log n), and a clone of the item if a clone of the
    /// list shares it.
    pub fn remove(&mut self, position: usize) -> Option<T>
    where
        T: Clone,
    {
        self.index.take();
        let label = *self.items.at(position)?.0;
        self.items.remove(&label).map(Arc::unwrap_or_clone)
    }

    /// The item at a position, for changing it. O(log n), and a clone of the item if a clone of the list
    /// shares it.
    pub fn get_mut(&mut self, position: usize) -> Option<&mut T>
    where
        T: Clone,
    {
        self.index.take();
        let label = *self.items.at(position)?.0;
        self.items.get_mut(&label).map(Arc::make_mut)
    }

    /// Removes the items for which `keep` returns false. O(n).
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let kept: Vec<_> =
            self.items.iter_from(0).filter(|(_, item)| keep(item)).map(|(_, item)| item.clone()).collect();
        *self = Self::of(kept);
    }

    /// Removes all items.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    fn of(items: Vec<Arc<T>>) -> Self {
        let mut label = 0;
        let labelled = items.into_iter().map(|item| {
            label += STEP;
            (label, item)
        });
        Self { items: Tree::from_sorted(labelled), index: OnceLock::new() }
    }

    fn index<F: KeyOf<T>>(&self) -> &Tree<Key, u64> {
        self.index.get_or_init(|| {
            let mut keys: Vec<(Key, u64)> =
                self.items.iter_from(0).filter_map(|(label, item)| Some((F::key(item)?, *label))).collect();
            keys.sort_unstable();
            keys.dedup_by(|later, earlier| later.0 == earlier.0);
            Tree::from_sorted(keys.into_iter())
        })
    }

    /// Inserts an item at a position and returns its label. `key_of` is called for the items whose labels
    /// change, to keep the index up to date.
    fn put(&mut self, position: usize, item: Arc<T>, key_of: fn(&T) -> Option<Key>) -> u64 {
        let label = self.room_at(position, key_of);
        self.items.insert(label, item);
        label
    }

    /// A label between those of the items before and at a position.
    fn room_at(&mut self, position: usize, key_of: fn(&T) -> Option<Key>) -> u64 {
        loop {
            let before = position.min(self.len()).checked_sub(1).and_then(|at| self.items.at(at));
            let low = before.map_or(0, |(label, _)| *label);
            let high = self.items.at(position).map_or(u64::MAX, |(label, _)| *label);
            match high - low {
                0 | 1 => self.make_room(low, key_of),
                room if high == u64::MAX => return low + STEP.min(room / 2),
                room if low == 0 => return high - STEP.min(room / 2),
                room => return low + room / 2,
            }
        }
    }

    /// Spreads the labels around one that has no room next to it.
    ///
    /// The range of labels to spread is the smallest power of two around the label whose density is low
    /// enough. The limit falls as the range grows: list labelling as in Bender et al., "Two simplified
    /// algorithms for maintaining order in a list" (2002). An insertion changes O(log n) labels, amortised.
    fn make_room(&mut self, label: u64, key_of: fn(&T) -> Option<Key>) {
        let mut most = 1_usize;
        for bits in 1..64_u32 {
            // A range of 2^bits labels holds at most 1.5^bits items.
            most = most.saturating_add(most.div_ceil(2));
            let low = label >> bits << bits;
            let last = low + ((1_u64 << bits) - 1);
            let from = self.items.rank(&low);
            let to = last.checked_add(1).map_or(self.len(), |end| self.items.rank(&end));
            let count = to - from;
            let step = (last - low) / (count as u64 + 1);
            if count >= most || step < 2 {
                continue;
            }
            let crowded: Vec<u64> = self.items.iter_from(from).take(count).map(|(label, _)| *label).collect();
            let items: Vec<_> = crowded.iter().filter_map(|label| self.items.remove(label)).collect();
            for (item, place) in items.into_iter().zip(1_u64..) {
                let label = low + place * step;
                if let Some(index) = self.index.get_mut()
                    && let Some(key) = key_of(&item)
                {
                    index.insert(key, label);
                }
                self.items.insert(label, item);
            }
            return;
        }
    }
}

impl<T: Value> Sequence for List<T> {
    type Item = T;

    fn len(&self) -> usize {
        self.len()
    }

    fn item(&self, position: usize) -> Option<&T> {
        self.get(position)
    }

    fn items(&self) -> impl Iterator<Item = &T> {
        self.iter()
    }

    fn find<F: KeyOf<T>>(&self, key: &str) -> Option<usize> {
        let label = self.index::<F>().get(key)?;
        Some(self.items.rank(label))
    }

    fn put<F: KeyOf<T>>(&mut self, position: usize, item: T) {
        self.index::<F>();
        let key = F::key(&item);
        let label = self.put(position, Arc::new(item), F::key);
        if let (Some(index), Some(key)) = (self.index.get_mut(), key) {
            index.insert(key, label);
        }
    }

    fn take<F: KeyOf<T>>(&mut self, position: usize) -> Option<T> {
        let label = *self.items.at(position)?.0;
        let item = self.items.remove(&label)?;
        if let (Some(index), Some(key)) = (self.index.get_mut(), F::key(&item)) {
            index.remove(key.as_str());
            if index.len() != self.items.len() {
                // Another item has the same key. The rebuilt index will find that one.
                self.index.take();
            }
        }
        Some(Arc::unwrap_or_clone(item))
    }

    fn change<R>(&mut self, position: usize, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        let label = *self.items.at(position)?.0;
        self.items.get_mut(&label).map(|item| change(Arc::make_mut(item)))
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        Self { items: self.items.clone(), index: self.index.clone() }
    }
}

impl<T: PartialEq> PartialEq for List<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other)
    }
}

impl<T: Eq> Eq for List<T> {}

impl<T: PartialEq<U>, U, const N: usize> PartialEq<[U; N]> for List<T> {
    fn eq(&self, other: &[U; N]) -> bool {
        self.len() == N && self.iter().zip(other).all(|(a, b)| a == b)
    }
}

impl<T: fmt::Debug> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<T> Index<usize> for List<T> {
    type Output = T;

    fn index(&self, position: usize) -> &T {
        match self.get(position) {
            Some(item) => item,
            None => panic!("position {position} in a list of {}", self.len()),
        }
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::of(items.into_iter().map(Arc::new).collect())
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        items.into_iter().collect()
    }
}

impl<T> From<FieldValue<Self>> for List<T> {
    fn from(value: FieldValue<Self>) -> Self {
        value.into_inner()
    }
}

impl<T> Extend<T> for List<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.push(item));
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

/// An iterator over the items of a [`List`], in order.
pub struct Iter<'a, T> {
    inner: TreeIter<'a, u64, Arc<T>>,
    left: usize,
}

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), left: self.left }
    }
}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("left", &self.left).finish_non_exhaustive()
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        let (_, item) = self.inner.next()?;
        self.left -= 1;
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

impl<T> Length for List<T> {
    fn length(&self) -> Option<usize> {
        Some(self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Itself;

    impl KeyOf<u32> for Itself {
        const NAME: &'static str = "";

        fn with_key<R>(item: &u32, look: impl FnOnce(&str) -> R) -> Option<R> {
            Some(look(&item.to_string()))
        }
    }

    fn check(list: &List<u32>, model: &[u32]) {
        assert!(list.iter().eq(model), "{list:?} is not {model:?}");
        for (position, item) in model.iter().enumerate() {
            assert_eq!(list.find::<Itself>(&item.to_string()), Some(position));
        }
        assert_eq!(list.find::<Itself>("x"), None);
    }

    #[test]
    fn a_list_finds_its_items_by_key_whatever_happens_to_it() {
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut list, mut model) = (List::new(), Vec::new());
        for item in 0..6_000_u32 {
            match rng.u8(..10) {
                0..=5 => {
                    let position = rng.usize(..=model.len());
                    Sequence::put::<Itself>(&mut list, position, item);
                    model.insert(position, item);
                }
                6 => {
                    list.insert(0, item);
                    model.insert(0, item);
                }
                7 => {
                    list.push(item);
                    model.push(item);
                }
                _ if model.is_empty() => {}
                _ => {
                    let position = rng.usize(..model.len());
                    assert_eq!(list.take::<Itself>(position), Some(model.remove(position)));
                }
            }
            if item % 211 == 0 {
                check(&list, &model);
            }
        }
        check(&list, &model);
    }

    /// The labels between two neighbours run out repeatedly.
    #[test]
    fn a_list_takes_any_number_of_items_at_one_place() {
        for at_right in [true, false] {
            let mut list = List::from(vec![0, 1]);
            for item in 2..20_000 {
                let position = if at_right { list.len() - 1 } else { 1 };
                Sequence::put::<Itself>(&mut list, position, item);
            }
            let mut model: Vec<u32> = (2..20_000).collect();
            if !at_right {
                model.reverse();
            }
            model.insert(0, 0);
            model.push(1);
            assert!(list.iter().eq(&model));
            assert_eq!(list.find::<Itself>("1"), Some(model.len() - 1));
            assert_eq!(list.find::<Itself>("10000"), model.iter().position(|item| *item == 10_000));
        }
    }

    #[test]
    fn of_two_items_with_one_key_the_second_is_found_when_the_first_is_gone() {
        let mut list = List::from(vec![5, 7, 5]);
        for rest in [&[7, 5][..], &[7]] {
            let first = list.find::<Itself>("5").expect("one of them");
            list.take::<Itself>(first);
            assert!(list.iter().eq(rest), "{list:?}");
        }
        assert_eq!(list.find::<Itself>("5"), None);
    }

    #[test]
    fn a_clone_keeps_what_it_had() {
        let mut list = List::from(vec![1, 2, 3]);
        let kept = list.clone();
        Sequence::put::<Itself>(&mut list, 1, 9);
        list.change(0, |item| *item += 10);
        assert_eq!(kept, [1, 2, 3]);
        assert_eq!(list, [11, 9, 2, 3]);
    }
}
