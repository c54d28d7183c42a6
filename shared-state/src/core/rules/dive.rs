//! `validate(dive)`: the items of a collection keep the rules of their own type.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::core::SharedState;
use crate::core::rules::{Invalid, inner};

/// What `validate(dive)` looks into: a struct that derives `SharedState`, and collections and options of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no rules of its own for `validate(dive)` to check",
    note = "dive works on structs that derive `SharedState`, and on vectors, arrays, options and the values of maps of \
            them; for items of another type write `validate(inner(custom = path))`"
)]
pub trait Dive {
    /// Checks every rule there is inside.
    ///
    /// # Errors
    /// The first rule that does not hold, and its place.
    fn dive(&self) -> Result<(), Invalid>;
}

impl<T: SharedState> Dive for T {
    fn dive(&self) -> Result<(), Invalid> {
        self.validate()
    }
}

macro_rules! each {
    ($([$($generics:tt)*] $type:ty;)*) => {$(
        impl<$($generics)*> Dive for $type {
            fn dive(&self) -> Result<(), Invalid> {
                // The place of the item comes before its own field.
                inner(self, |item| item.dive().map_err(|found| Invalid::new(found.rule, found.to_string())))
            }
        }
    )*};
}

each! {
    [T: Dive] Vec<T>;
    [T: Dive] VecDeque<T>;
    [T: Dive, const N: usize] [T; N];
    [K, V: Dive] BTreeMap<K, V>;
    [K, V: Dive, S] HashMap<K, V, S>;
}

#[cfg(feature = "indexmap")]
each! {
    [K, V: Dive, S] indexmap::IndexMap<K, V, S>;
}

impl<T: Dive> Dive for Option<T> {
    fn dive(&self) -> Result<(), Invalid> {
        self.as_ref().map_or(Ok(()), Dive::dive)
    }
}

/// `validate(dive)`: each item keeps the rules of its own type.
///
/// # Errors
/// The first rule that does not hold, and its place.
pub fn dive<T: Dive>(value: &T) -> Result<(), Invalid> {
    value.dive()
}
