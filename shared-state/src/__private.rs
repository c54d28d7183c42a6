//! What generated code names. Not for anybody else: it changes without notice.

pub use regex_lite::Regex;
pub use serde;
pub use std::sync::LazyLock;

pub use crate::state::{deserialize_update, serialize_update};

/// A rule's pattern, which the derive has compiled before.
#[must_use]
pub fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the derive refuses a pattern that does not compile")
}

/// Reads a patch's field: present means given, even when it is `null`.
pub fn present<'de, T, D>(value: D) -> Result<Option<T>, D::Error>
where
    T: serde::Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    T::deserialize(value).map(Some)
}

/// A field index that the struct does not have.
pub fn no_field(state: &str, field: usize) -> ! {
    panic!("`{state}` has no field of index {field}: an index is valid for the struct it came from only")
}
