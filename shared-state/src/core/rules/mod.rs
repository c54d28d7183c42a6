//! The validation rules that `#[shared(validate(..))]` puts on a field or a struct.
//!
//! Generated code calls these functions, on the client before a write and on the server before a change is
//! accepted. A rule that finds `None` holds.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::{self, Display};
use std::sync::LazyLock;

mod dive;
mod function;
mod garde;
mod web;

pub use dive::{Dive, dive};
pub use function::{MigrationResult, RuleResult, change, custom, migrate, state};
pub use garde::{Garde, garde};
pub use regex_lite::Regex;
pub use web::{EmailFeature, UrlFeature, email, url};

/// The rule that an operation breaks if what it acts on does not exist.
pub(crate) const GONE: &str = "gone";

/// The rule that an operation breaks if what it inserts exists already.
pub(crate) const EXISTS: &str = "exists";

/// The rule that an addition breaks if the counter is at its bound, so that nothing can be added.
pub(crate) const AT_BOUND: &str = "at_bound";

/// A rule that does not hold: the field, the rule, and what was expected and found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", Prefix(.field))]
pub struct Invalid {
    /// The field's path; empty for a rule about the whole state.
    pub field: String,
    /// The rule: `length`, `range`, `pattern`, `custom`, `state`, ...
    pub rule: &'static str,
    /// A message for people: what was expected, and what was found.
    pub message: String,
}

struct Prefix<'a>(&'a str);

impl Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{}: ", self.0) }
    }
}

impl Invalid {
    /// A violation of `rule`, explained by `message`.
    #[must_use]
    pub fn new(rule: &'static str, message: impl Into<String>) -> Self {
        Self { field: String::new(), rule, message: message.into() }
    }

    /// What the operation acts on does not exist. A policy's `check_op` returns it to have the write refused
    /// with [`WriteError::Gone`](crate::core::WriteError::Gone), or [`Code::Gone`](crate::core::Code::Gone).
    #[must_use]
    pub fn gone() -> Self {
        Self::new(GONE, "there is nothing here, or not any more")
    }

    /// What the operation inserts exists already, with another value. A policy's `check_op` returns it to
    /// have the write refused with [`WriteError::Exists`](crate::core::WriteError::Exists), or
    /// [`Code::Exists`](crate::core::Code::Exists).
    #[must_use]
    pub fn exists() -> Self {
        Self::new(EXISTS, "there is another value here already")
    }

    /// The number is at the bound that the operation would lead it beyond, so nothing of the operation can be
    /// done. A policy's `check_op` returns it to have the server refuse the write with
    /// [`Code::AtBound`](crate::core::Code::AtBound). A client does not refuse the write itself: it writes
    /// nothing if the operation has no effect on the value that it knows. In a transaction it sends the operation all the
    /// same.
    #[must_use]
    pub fn at_bound() -> Self {
        Self::new(AT_BOUND, "the number is at its bound: nothing can be added or taken away")
    }

    /// Whether it is [`at_bound`](Self::at_bound).
    pub(crate) fn is_at_bound(&self) -> bool {
        self.rule == AT_BOUND
    }

    /// Prepends a path to the path, as seen from the value that the path begins at.
    pub(crate) fn at(mut self, path: &str) -> Self {
        self.field = match (path.is_empty(), self.field.is_empty()) {
            (true, _) => self.field,
            (false, true) => path.to_owned(),
            (false, false) => format!("{path}/{}", self.field),
        };
        self
    }

    /// Prepends `field` to the path, as seen from the struct that holds the field.
    #[must_use]
    pub fn in_field(mut self, field: &str) -> Self {
        self.field = match self.field.is_empty() {
            true => field.to_owned(),
            false => format!("{field}/{}", self.field),
        };
        self
    }
}

/// A value that `validate(length(..))` can measure: the characters of a string, or the items of a collection.
/// `None` has no length.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no length for `validate(length(..))` to check",
    note = "length works on strings (counted in characters), vectors, maps, sets and options of these"
)]
pub trait Length {
    /// The number of characters or items, or `None` if there is no value.
    fn length(&self) -> Option<usize>;
}

impl Length for str {
    fn length(&self) -> Option<usize> {
        Some(self.chars().count())
    }
}

impl Length for String {
    fn length(&self) -> Option<usize> {
        self.as_str().length()
    }
}

impl<T: Length> Length for Option<T> {
    fn length(&self) -> Option<usize> {
        self.as_ref().and_then(Length::length)
    }
}

macro_rules! length_is_len {
    ($($(#[$meta:meta])* [$($generics:tt)*] $type:ty;)*) => {$(
        impl<$($generics)*> Length for $type {
            fn length(&self) -> Option<usize> {
                Some(self.len())
            }
        }
    )*};
}

length_is_len! {
    [T] [T];
    [T] Vec<T>;
    [T, const N: usize] [T; N];
    [T] std::collections::VecDeque<T>;
    [K, V] BTreeMap<K, V>;
    [K, V, S] HashMap<K, V, S>;
    [T] BTreeSet<T>;
    [T, S] HashSet<T, S>;
}

#[cfg(feature = "indexmap")]
length_is_len! {
    [K, V, S] indexmap::IndexMap<K, V, S>;
    [T, S] indexmap::IndexSet<T, S>;
}

/// `validate(length(bytes, ..))` and `validate(length(chars, ..))`: the length of a string in the given unit.
///
/// # Errors
/// The length is outside the bounds.
pub fn text_length<T: Textual>(
    value: &T,
    bytes: bool,
    min: Option<usize>,
    max: Option<usize>,
) -> Result<(), Invalid> {
    match value.text() {
        Some(text) if bytes => within(text.len(), " bytes", min, max),
        Some(text) => within(text.chars().count(), " characters", min, max),
        None => Ok(()),
    }
}

/// A value that `validate(inner(..))` can look into: a collection, or an option.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no items for `validate(inner(..))` to check",
    label = "has no items",
    note = "write the rules without `inner(..)` if they are for the value itself; `inner` is for what is in vectors, \
            arrays, sets, options, and for the values of maps"
)]
pub trait Items {
    /// The type of the items, which the inner rules are about.
    type Item;

    /// Calls `check` with each item, or with each value of a map, and stops at the first error.
    ///
    /// # Errors
    /// The first error that `check` returns.
    fn each_item(&self, check: impl FnMut(&Self::Item) -> Result<(), Invalid>) -> Result<(), Invalid>;
}

macro_rules! items {
    ($([$($generics:tt)*] $type:ty, $item:ty, $iter:ident;)*) => {$(
        impl<$($generics)*> Items for $type {
            type Item = $item;
            fn each_item(&self, check: impl FnMut(&$item) -> Result<(), Invalid>) -> Result<(), Invalid> {
                self.$iter().try_for_each(check)
            }
        }
    )*};
}

items! {
    [T] Option<T>, T, iter;
    [T] Vec<T>, T, iter;
    [T, const N: usize] [T; N], T, iter;
    [T] std::collections::VecDeque<T>, T, iter;
    [T] BTreeSet<T>, T, iter;
    [T, S] HashSet<T, S>, T, iter;
    [K, V] BTreeMap<K, V>, V, values;
    [K, V, S] HashMap<K, V, S>, V, values;
}

#[cfg(feature = "indexmap")]
items! {
    [T, S] indexmap::IndexSet<T, S>, T, iter;
    [K, V, S] indexmap::IndexMap<K, V, S>, V, values;
}

/// `validate(inner(..))`: the rules hold for each item.
///
/// # Errors
/// The first rule that does not hold. Its message begins with the item's position, counted from 1.
pub fn inner<T: Items>(
    value: &T,
    mut check: impl FnMut(&T::Item) -> Result<(), Invalid>,
) -> Result<(), Invalid> {
    let mut place = 0_usize;
    value.each_item(|item| {
        place += 1;
        check(item).map_err(|mut invalid| {
            invalid.message = format!("item {place}: {}", invalid.message);
            invalid
        })
    })
}

/// A value that `validate(pattern(..))` can match: a string, or an option of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a text, and this rule is about texts",
    note = "`pattern(..)`, `email`, `url` and a `length(..)` in `chars` or `bytes` work on strings and options of strings; \
            write `inner(..)` for the items of a collection, whose length is counted in `items`"
)]
pub trait Textual {
    /// The string, or `None` if there is no value.
    fn text(&self) -> Option<&str>;
}

impl Textual for String {
    fn text(&self) -> Option<&str> {
        Some(self)
    }
}

impl<T: Textual> Textual for Option<T> {
    fn text(&self) -> Option<&str> {
        self.as_ref().and_then(Textual::text)
    }
}

/// A value that `validate(range(..))` can compare: a number, or an option of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a number that `validate(range(..))` can compare with its bounds",
    note = "range works on integers, floats and options of these; a bound has the field's own type"
)]
pub trait Ranged<B> {
    /// The number, or `None` if there is no value.
    fn number(&self) -> Option<&B>;
}

macro_rules! ranged {
    ($($number:ty)*) => {$(
        impl Ranged<$number> for $number {
            fn number(&self) -> Option<&$number> {
                Some(self)
            }
        }
        impl Ranged<$number> for Option<$number> {
            fn number(&self) -> Option<&$number> {
                self.as_ref()
            }
        }
    )*};
}

ranged!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64);

/// `validate(length(min = .., max = ..))`: characters of a string, items of a collection.
///
/// # Errors
/// The length is outside the bounds.
pub fn length<T: Length + ?Sized>(value: &T, min: Option<usize>, max: Option<usize>) -> Result<(), Invalid> {
    value.length().map_or(Ok(()), |found| within(found, "", min, max))
}

fn within(found: usize, unit: &str, min: Option<usize>, max: Option<usize>) -> Result<(), Invalid> {
    match (min, max) {
        (Some(min), _) if found < min => {
            Err(Invalid::new("length", format!("length is {found}{unit}, expected at least {min}")))
        }
        (_, Some(max)) if found > max => {
            Err(Invalid::new("length", format!("length is {found}{unit}, expected at most {max}")))
        }
        _ => Ok(()),
    }
}

/// `validate(range(min = .., max = ..))`. NaN is outside every range.
///
/// # Errors
/// The value is outside the bounds.
pub fn range<B, T>(value: &T, min: Option<B>, max: Option<B>) -> Result<(), Invalid>
where
    B: PartialOrd + Display,
    T: Ranged<B>,
{
    let Some(found) = value.number() else { return Ok(()) };
    if let Some(min) = min
        && !matches!(found.partial_cmp(&min), Some(Ordering::Equal | Ordering::Greater))
    {
        return Err(Invalid::new("range", format!("value is {found}, expected at least {min}")));
    }
    if let Some(max) = max
        && !matches!(found.partial_cmp(&max), Some(Ordering::Equal | Ordering::Less))
    {
        return Err(Invalid::new("range", format!("value is {found}, expected at most {max}")));
    }
    Ok(())
}

/// `validate(pattern("..."))`. The pattern has to match somewhere in the string; write `^...$` to match the
/// whole string.
///
/// # Errors
/// The string does not match.
pub fn pattern<T: Textual>(value: &T, pattern: &LazyLock<Regex>) -> Result<(), Invalid> {
    match value.text() {
        Some(text) if !pattern.is_match(text) => {
            Err(Invalid::new("pattern", format!("expected a text that matches `{}`", pattern.as_str())))
        }
        _ => Ok(()),
    }
}
