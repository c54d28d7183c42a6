//! The values of the fields that a change writes, before the change is applied. A value is read at most once and
//! written at most once for all operations of the change.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use crate::authority::state::exact_json::Json;
use crate::core::{Code, Reject};

/// The longest value, in bytes of JSON, in which a client's operation can change a part. It is read and written as a
/// whole for that. A longer one can be set as a whole.
pub(super) const MAX_OPERATED: usize = 1 << 20;

/// A new value.
pub(super) enum Staged<'a> {
    /// As it was received, or is in the state.
    Text(Cow<'a, RawValue>),
    /// While operations change it.
    Tree(Json),
}

impl Staged<'_> {
    /// The value, to change it.
    ///
    /// # Errors
    /// It is longer than `limit` bytes, or has a number that no program can represent.
    pub(super) fn tree(&mut self, limit: usize) -> Result<&mut Json, Reject> {
        if let Self::Text(text) = self {
            let text = text.get();
            if text.len() > limit {
                let message = format!(
                    "a part of a value of {} bytes cannot be changed, {limit} at most: set it as a whole",
                    text.len()
                );
                return Err(Reject::new(Code::StateTooLarge, message));
            }
            let tree = Json::read(text).map_err(|error| Reject::new(Code::WrongType, error.to_string()))?;
            *self = Self::Tree(tree);
        }
        match self {
            Self::Tree(tree) => Ok(tree),
            Self::Text(_) => unreachable!("it was just read"),
        }
    }

    /// The value as it is, as JSON.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text.get()),
            Self::Tree(tree) => Cow::Owned(tree.to_string()),
        }
    }

    /// The value as JSON.
    pub(super) fn into_text(self) -> Result<Box<RawValue>, Reject> {
        let bad = |error: serde_json::Error| Reject::new(Code::WrongType, error.to_string());
        match self {
            Self::Text(text) => match unrepresentable(text.get()) {
                Some(error) => Err(bad(error)),
                None => Ok(text.into_owned()),
            },
            Self::Tree(tree) => to_raw_value(&tree).map_err(bad),
        }
    }
}

/// Changes the value of a field. `known` is its value in the state, and `change` is told whether it has none. If it
/// fails, a field without a value still has none, and another may be partly changed.
///
/// # Errors
/// Those of [`Staged::tree`] and of `change`.
pub(super) fn change<'a, K: Ord + Clone, R>(
    staged: &mut BTreeMap<K, Staged<'a>>,
    field: K,
    known: Option<&'a RawValue>,
    limit: usize,
    change: impl FnOnce(&mut Json, bool) -> Result<R, Reject>,
) -> Result<R, Reject> {
    let is_new = known.is_none() && !staged.contains_key(&field);
    let known = known.unwrap_or(RawValue::NULL);
    let value = staged.entry(field.clone()).or_insert(Staged::Text(Cow::Borrowed(known)));
    let changed = value.tree(limit).and_then(|tree| change(tree, is_new));
    if changed.is_err() && is_new {
        staged.remove(&field);
    }
    changed
}

/// The values as JSON, each with its field.
///
/// # Errors
/// One has a number that JSON can write but no program can represent, such as `1e999`.
pub(super) fn into_texts<K: AsRef<str> + Ord>(
    staged: BTreeMap<K, Staged<'_>>,
) -> Result<BTreeMap<K, Box<RawValue>>, Reject> {
    let text = |(field, value): (K, Staged<'_>)| match value.into_text() {
        Ok(text) => Ok((field, text)),
        Err(reject) => Err(reject.in_field(field.as_ref())),
    };
    staged.into_iter().map(text).collect()
}

/// Why no program can represent a value that is JSON. Only a number with an exponent or with hundreds of digits can be
/// too large, and most values have none.
fn unrepresentable(json: &str) -> Option<serde_json::Error> {
    let mut digits = 0;
    let may_be_large = json.bytes().any(|byte| {
        let has_exponent = digits > 0 && matches!(byte, b'e' | b'E');
        digits = if byte.is_ascii_digit() || digits > 0 && byte == b'.' { digits + 1 } else { 0 };
        has_exponent || digits > 300
    });
    if may_be_large { serde_json::from_str::<serde_json::Value>(json).err() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_too_large_is_refused_and_read_once() {
        let digits = format!("[{}]", "9".repeat(400));
        for bad in ["1e999", "[1.0E+400]", r#"{"a":[-2e308]}"#, &digits] {
            assert!(unrepresentable(bad).is_some(), "{bad}");
        }
        for good in ["1e99", "[1.5,-2]", r#"{"a1e999":"1e999"}"#, "0", "12345678901234567890123"] {
            assert!(unrepresentable(good).is_none(), "{good}");
        }
        let text: Box<RawValue> = serde_json::from_str("[1]").expect("JSON");
        let mut staged = Staged::Text(Cow::Owned(text));
        assert!(staged.tree(2).is_err());
        *staged.tree(3).expect("it fits") = Json::Null;
        assert_eq!(staged.into_text().map(|text| text.get().to_owned()), Ok("null".to_owned()));
    }
}
