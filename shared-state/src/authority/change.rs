//! A change: a list of updates that is parsed once and then passed on with its JSON text.
//!
//! The text goes into the log entry and into frames as its author wrote it. Code that needs the updates (audiences,
//! compact frames, legacy clients) reads their parts, which are stored as ranges of the text, without parsing it again.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::core::{Code, FieldPath, Reject, WireUpdate, transfer};
use crate::proto::push_string;

/// Parses a list of updates from a client, the program or the store.
///
/// # Errors
/// The text is not a JSON array of updates.
pub(crate) fn read_updates(updates: &str) -> Result<Vec<WireUpdate<'_>>, Reject> {
    serde_json::from_str(updates).map_err(|error| not_updates(&error))
}

fn not_updates(error: &serde_json::Error) -> Reject {
    Reject::new(Code::BadMessage, format!("expected an array of updates: {error}"))
}

/// The first segment of an update's path: the field.
pub(super) fn field_of(key: &str) -> Cow<'_, str> {
    FieldPath::new(key).next_segment().unwrap_or(Cow::Borrowed(key))
}

/// A parsed change that is not decided yet.
pub(super) struct Incoming<'a> {
    json: &'a RawValue,
    pub(super) updates: Vec<WireUpdate<'a>>,
}

impl<'a> Incoming<'a> {
    /// Parses a change whose updates are known to be JSON.
    ///
    /// # Errors
    /// The JSON is not an array of updates.
    pub(super) fn new(json: &'a RawValue) -> Result<Self, Reject> {
        Ok(Self { json, updates: read_updates(json.get())? })
    }

    /// Parses a change of the server's program or of a legacy client.
    ///
    /// # Errors
    /// The text is not a JSON array of updates.
    pub(super) fn parse(updates: &'a str) -> Result<Self, Reject> {
        Self::new(serde_json::from_str(updates).map_err(|error| not_updates(&error))?)
    }

    /// The parts of each update.
    pub(super) fn parts(&self) -> impl DoubleEndedIterator<Item = Update<'_>> + Clone {
        self.updates.iter().map(Update::from)
    }

    /// The owned change, which lives until it is durable and sent.
    pub(super) fn to_change(&self) -> Change {
        let text = self.json.get();
        let ranges: Box<[_]> = self.updates.iter().map(|update| Ranges::of(text, update)).collect();
        Change { json: self.json.to_owned(), updates: OnceCell::from(ranges) }
    }
}

/// The parts of one update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Update<'a> {
    /// The path.
    pub(super) key: &'a str,
    /// The operation; `None`: a plain set.
    pub(super) op: Option<&'a str>,
    /// The operation's value as JSON.
    pub(super) value: &'a str,
}

impl<'a> Update<'a> {
    /// The field that the update changes.
    pub(super) fn field(&self) -> Cow<'a, str> {
        field_of(self.key)
    }

    /// Appends the update as JSON.
    pub(super) fn write(&self, out: &mut String) {
        out.push_str("{\"key\":");
        push_string(out, self.key);
        if let Some(op) = self.op {
            out.push_str(",\"op\":");
            push_string(out, op);
        }
        out.push_str(",\"value\":");
        out.push_str(self.value);
        out.push('}');
    }

    /// The path of the list that the update moves an item to, if it takes one from a list.
    pub(super) fn destination(&self) -> Option<Cow<'a, str>> {
        (self.op == Some(transfer::TAKE)).then(|| transfer::destination(self.value)).flatten()
    }

    /// Whether the update sets a whole field.
    pub(super) fn is_whole_set(&self) -> bool {
        self.op.is_none() && !self.key.contains('/')
    }
}

impl<'a> From<&'a WireUpdate<'_>> for Update<'a> {
    fn from(WireUpdate { key, op, value }: &'a WireUpdate<'_>) -> Self {
        Self { key, op: op.as_deref(), value: value.get() }
    }
}

/// The fields that the updates change, without duplicates, in the order of their first updates.
pub(super) fn fields<'a>(updates: impl Iterator<Item = Update<'a>>) -> Vec<Arc<str>> {
    last_of_each(updates).into_iter().map(|(field, _)| field).collect()
}

/// The fields that the updates change, in the order of their first updates, each with its last update.
pub(super) fn last_of_each<'a>(updates: impl Iterator<Item = Update<'a>>) -> Vec<(Arc<str>, Update<'a>)> {
    let mut fields: Vec<(Arc<str>, Update<'a>)> = Vec::new();
    let mut known: HashMap<Cow<'a, str>, usize> = HashMap::new();
    for update in updates {
        match known.entry(update.field()) {
            Entry::Occupied(at) => fields[*at.get()].1 = update,
            Entry::Vacant(entry) => {
                fields.push((Arc::from(&**entry.key()), update));
                entry.insert(fields.len() - 1);
            }
        }
    }
    fields
}

/// A change with its JSON text. The positions of the updates' parts are computed at most once.
#[derive(Debug)]
pub(super) struct Change {
    /// A JSON array of updates.
    json: Box<RawValue>,
    /// Filled on the first call of [`updates`](Self::updates) for a change that the server wrote.
    updates: OnceCell<Box<[Ranges]>>,
}

impl Change {
    /// A change that the server wrote itself, as JSON. It is parsed on the first call of [`updates`](Self::updates).
    pub(super) fn written(updates: String) -> Self {
        let json = RawValue::from_string(updates).expect("a state writes the updates it applied as JSON");
        Self { json, updates: OnceCell::new() }
    }

    /// The updates as a JSON array.
    pub(super) const fn json(&self) -> &RawValue {
        &self.json
    }

    /// The text of the updates.
    pub(super) fn text(&self) -> &str {
        self.json.get()
    }

    /// The parts of each update.
    pub(super) fn updates(&self) -> impl DoubleEndedIterator<Item = Update<'_>> + ExactSizeIterator + Clone {
        let text = self.text();
        let ranges = self.updates.get_or_init(|| {
            let read = read_updates(text).expect("a state writes the updates it applied as updates");
            read.iter().map(|update| Ranges::of(text, update)).collect()
        });
        ranges.iter().map(move |ranges| ranges.update(text))
    }
}

/// The positions of one update's parts in the change's text.
#[derive(Debug)]
struct Ranges {
    key: Slice,
    op: Option<Slice>,
    value: Range<usize>,
}

impl Ranges {
    fn of(text: &str, update: &WireUpdate<'_>) -> Self {
        let WireUpdate { key, op, value } = update;
        Self {
            key: Slice::of(text, key),
            op: op.as_ref().map(|op| Slice::of(text, op)),
            value: range_in(text, value.get()),
        }
    }

    fn update<'a>(&'a self, text: &'a str) -> Update<'a> {
        Update {
            key: self.key.get(text),
            op: self.op.as_ref().map(|op| op.get(text)),
            value: &text[self.value.clone()],
        }
    }
}

/// A string of the change's text.
#[derive(Debug)]
enum Slice {
    In(Range<usize>),
    /// The text has the string with escapes, so that the unescaped string is stored.
    Owned(Box<str>),
}

impl Slice {
    // The `Cow` is needed: only a borrowed string is a part of the text.
    #[expect(clippy::ptr_arg)]
    fn of(text: &str, string: &Cow<'_, str>) -> Self {
        match string {
            Cow::Borrowed(string) => Self::In(range_in(text, string)),
            Cow::Owned(string) => Self::Owned(string.as_str().into()),
        }
    }

    fn get<'a>(&'a self, text: &'a str) -> &'a str {
        match self {
            Self::In(range) => &text[range.clone()],
            Self::Owned(string) => string,
        }
    }
}

/// The range of `part` in `text`. `part` must be borrowed from `text`.
fn range_in(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_change_are_those_of_its_text() {
        let text = r#" [ {"key":"a","value": [1, 2] }, {"value":"x","op":"in\u0073ert","key":"b~1\"/c"} ] "#;
        let incoming = Incoming::parse(text).expect("updates");
        let expected = [
            Update { key: "a", op: None, value: "[1, 2]" },
            Update { key: "b~1\"/c", op: Some("insert"), value: "\"x\"" },
        ];
        assert!(incoming.parts().eq(expected));
        let change = incoming.to_change();
        assert_eq!(change.text(), text.trim());
        assert!(change.updates().eq(expected));
        assert!(Change::written(text.to_owned()).updates().eq(expected));
        let fields = fields(change.updates().chain(change.updates()));
        assert_eq!(fields, ["a", "b/\""].map(Arc::from));
        assert!(Incoming::parse("{}").is_err() && Incoming::parse("[").is_err());
    }
}
