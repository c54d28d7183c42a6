//! `validate(dive)`: the items of a collection satisfy the rules of their own type.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::core::SharedState;
use crate::core::rules::{Invalid, inner};

/// A value that `validate(dive)` can look into: a struct that derives `SharedState`, or a collection or
/// option of such structs.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no rules of its own for `validate(dive)` to check",
    note = "dive works on structs that derive `SharedState`, and on vectors, arrays, options and the values of maps of \
            them; for items of another type write `validate(inner(custom = path))`"
)]
pub trait Dive {
    /// Checks every rule inside the value.
    ///
    /// # Errors
    /// The first rule that does not hold. Its message begins with the item's position.
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
                // The message has to name the item's position first and the field inside the item after it.
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

/// `validate(dive)`: each item satisfies the rules of its own type.
///
/// # Errors
/// The first rule that does not hold. Its message begins with the item's position.
pub fn dive<T: Dive>(value: &T) -> Result<(), Invalid> {
    value.dive()
}
