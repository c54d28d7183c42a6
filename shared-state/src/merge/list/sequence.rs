//! What the list policy needs of a container and of its items.

use crate::core::work;
use crate::core::{Lookup, Member, Value, member_name};
use crate::merge::Key;

/// Finds the key of an item. `list(key = id)` makes one such type for the field.
pub trait KeyOf<T>: Sized + 'static {
    /// The name of the field of an item that is the key.
    const NAME: &'static str;

    /// The field, in an item or without one.
    #[doc(hidden)]
    fn member(item: Option<&T>) -> Member {
        let _ = item;
        Member::UNKNOWN
    }

    /// The name that the field has in the JSON of an item. Computed once for each type.
    fn name() -> &'static str
    where
        T: Value,
    {
        member_name::<Self, T>(&Lookup { spelled: Self::NAME, member: Self::member, is: Self::is })
    }

    /// Calls `look` with the text of the item's key. `None` if the field's value cannot be a key.
    fn with_key<R>(item: &T, look: impl FnOnce(&str) -> R) -> Option<R>;

    /// The item's key.
    fn key(item: &T) -> Option<Key> {
        Self::with_key(item, |text| Key::from(text))
    }

    /// Whether the item has this key.
    fn is(item: &T, key: &str) -> bool {
        Self::with_key(item, |text| text == key).unwrap_or(false)
    }
}

/// An ordered container of items: `Vec` and [`List`](crate::merge::List).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a `#[shared(list(..))]`",
    label = "not a list",
    note = "write `Vec<T>` as the field's type, or `shared_state::List<T>` if it is long, or `map` for a `BTreeMap` or \
            `HashMap`; without `list`, a type of your own is set as a whole"
)]
pub trait Sequence: Value + Default {
    /// The type of the items.
    type Item: Value;

    /// The number of items.
    fn len(&self) -> usize;

    /// Whether the container is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at a position.
    fn item(&self, position: usize) -> Option<&Self::Item>;

    /// The items in order.
    fn items(&self) -> impl Iterator<Item = &Self::Item>;

    /// The position of the item with this key.
    fn find<F: KeyOf<Self::Item>>(&self, key: &str) -> Option<usize>;

    /// Inserts an item at a position, or at the end if the position is beyond it.
    fn put<F: KeyOf<Self::Item>>(&mut self, position: usize, item: Self::Item);

    /// Removes the item at a position and returns it.
    fn take<F: KeyOf<Self::Item>>(&mut self, position: usize) -> Option<Self::Item>;

    /// Calls `change` with the item at a position. `change` must not change the item's key.
    fn change<R>(&mut self, position: usize, change: impl FnOnce(&mut Self::Item) -> R) -> Option<R>;
}

/// About how many items are shifted in a step of [work].
const SHIFTED: usize = 4;

/// Searches its items from the front. The O(n) comparisons of keys are fast up to some thousand items.
impl<T: Value> Sequence for Vec<T> {
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
        let at = self.iter().position(|item| F::is(item, key));
        work::spend(at.unwrap_or(self.len()));
        at
    }

    fn put<F: KeyOf<T>>(&mut self, position: usize, item: T) {
        let position = position.min(self.len());
        work::spend((self.len() - position) / SHIFTED);
        self.insert(position, item);
    }

    fn take<F: KeyOf<T>>(&mut self, position: usize) -> Option<T> {
        work::spend(self.len().saturating_sub(position) / SHIFTED);
        (position < self.len()).then(|| self.remove(position))
    }

    fn change<R>(&mut self, position: usize, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.get_mut(position).map(change)
    }
}
