//! The value of a plain field that is a collection or a text, as its accessor returns it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;

use serde::{Serialize, Serializer};

/// A copy of a collection or a text that is a plain field, to be read.
///
/// It dereferences to the collection, so all of its reading methods are there, and it can be compared, printed,
/// iterated over and serialized like the collection. It cannot be changed, because that would change the copy and
/// nothing else: a list method like `push` is there only with `#[shared(list(key = ..))]` on the field. `clone()`
/// returns the collection itself, and so does [`into_inner`](Self::into_inner) without another copy.
///
/// The accessors of plain fields of type `Vec`, `VecDeque`, `List`, `BTreeMap`, `HashMap`, `BTreeSet`, `HashSet`,
/// `IndexMap`, `IndexSet` and `Text` return it. All other plain fields are read as their own type.
pub struct FieldValue<T>(T);

impl<T> FieldValue<T> {
    /// Used by the derive.
    #[doc(hidden)]
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The collection.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for FieldValue<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> AsRef<T> for FieldValue<T> {
    fn as_ref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for FieldValue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for FieldValue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Serialize> Serialize for FieldValue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<T: PartialEq<U>, U> PartialEq<U> for FieldValue<T> {
    fn eq(&self, other: &U) -> bool {
        self.0 == *other
    }
}

impl<T: IntoIterator> IntoIterator for FieldValue<T> {
    type Item = T::Item;
    type IntoIter = T::IntoIter;

    fn into_iter(self) -> T::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a FieldValue<T>
where
    &'a T: IntoIterator,
{
    type Item = <&'a T as IntoIterator>::Item;
    type IntoIter = <&'a T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

macro_rules! collections {
    ($([$($params:tt)*] $collection:ty;)*) => {$(
        impl<$($params)*> From<FieldValue<$collection>> for $collection {
            fn from(value: FieldValue<$collection>) -> Self {
                value.0
            }
        }

        impl<$($params)*> PartialEq<FieldValue<$collection>> for $collection
        where
            $collection: PartialEq,
        {
            fn eq(&self, other: &FieldValue<$collection>) -> bool {
                *self == other.0
            }
        }
    )*};
}

collections! {
    [T] Vec<T>;
    [T] VecDeque<T>;
    [K, V] BTreeMap<K, V>;
    [K: Eq + Hash, V, H: BuildHasher] HashMap<K, V, H>;
    [T] BTreeSet<T>;
    [T: Eq + Hash, H: BuildHasher] HashSet<T, H>;
}

/// Implemented by nothing. The bound of the methods that would change a copy, so that the compiler says what to write.
#[diagnostic::on_unimplemented(
    message = "this is a copy of the field, and changing it would change nothing else",
    label = "cannot change the field",
    note = "write a policy above the field, for methods that change parts of it: `#[shared(list(key = ..))]` for a \
            `Vec` or `List`, `#[shared(map)]` for a map, `#[shared(set)]` for a set, `#[shared(text)]` for a `Text`",
    note = "or change the field as a whole with `update_..(|value| ..)` or `set_..(..)` of the handle"
)]
pub trait ChangesField {}

/// Implemented by nothing. The bound of the methods that only the handle of a field has.
#[diagnostic::on_unimplemented(
    message = "this is a copy of the field, which is set as a whole and has no handle",
    label = "a method of the handle of a field",
    note = "write a policy above the field, for a handle: `#[shared(list(key = ..))]` for a `Vec` or `List`, `#[shared(map)]` \
            for a map, `#[shared(set)]` for a set, `#[shared(text)]` for a `Text`; with `list(key = .., nested)` and \
            `map(nested)` each entry has a handle too, `at(&key)`"
)]
pub trait HasHandle {
    /// What the methods return. The compiler says nothing about it where the trait is not implemented.
    type Outcome;
}

macro_rules! refused {
    ($bound:ident, $outcome:ty; $($method:ident($($argument:ident),*);)*) => {
        #[doc(hidden)]
        #[allow(clippy::needless_pass_by_value, clippy::must_use_candidate, clippy::missing_const_for_fn, unused)]
        impl<T> FieldValue<T> {
            $(
                pub fn $method(&self, $($argument: impl Sized),*) -> $outcome
                where
                    Self: $bound,
                {
                    unreachable!("nothing implements the bound")
                }
            )*
        }
    };
}

// Methods that change a collection. They come before the collection's own.
refused! {
    ChangesField, ();
    push(item);
    push_back(item);
    push_front(item);
    pop();
    pop_back();
    pop_front();
    pop_first();
    pop_last();
    insert(at, item);
    remove(key);
    swap_remove(at);
    shift_remove(key);
    clear();
    truncate(len);
    extend(items);
    append(items);
    retain(keep);
    drain(range);
    sort();
    sort_by(compare);
    sort_by_key(key);
    sort_unstable();
    sort_unstable_by(compare);
    sort_unstable_by_key(key);
    reverse();
    dedup();
    swap(a, b);
    rotate_left(by);
    rotate_right(by);
    entry(key);
    get_mut(key);
    iter_mut();
    values_mut();
    first_mut();
    last_mut();
    put(key, value);
    edit(key, change);
    move_to(key, to);
    delete(at, count);
    apply_diff(new);
}

// Methods that only field handles have. Because of what they return, the compiler looks for a method of the collection
// before it reports the bound: so a method that reads, of a `Text` or of a trait of the program's, may have such a name.
refused! {
    HasHandle, <Self as HasHandle>::Outcome;
    delete_utf16(at, count);
    delete_bytes(at, count);
    insert_utf16(at, text);
    insert_bytes(at, text);
    at(key);
    item(key);
    position(key);
    insert_at(at, item);
    insert_after(key, item);
    move_after(key, other);
    move_between(key, to, at);
    write_in(key, op);
    write_with(decide);
    set(value);
    update(change);
    watch();
}
