//! A change: a list of updates, parsed once and then passed on with its text.
//!
//! The text goes into the log entry and into frames as its author wrote it. Whoever needs to know what a change is
//! about (audiences, compact frames, legacy clients) reads the parts of its updates, which are ranges of that text, and
//! does not parse it again.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::core::{Code, FieldPath, Reject, WireUpdate};
use crate::proto::push_string;

/// Parses a list of updates that comes from a client, the program or the store.
///
/// # Errors
/// It is not a JSON array of updates.
pub(super) fn read_updates(updates: &str) -> Result<Vec<WireUpdate<'_>>, Reject> {
    serde_json::from_str(updates).map_err(|error| not_updates(&error))
}

fn not_updates(error: &serde_json::Error) -> Reject {
    Reject::new(Code::BadMessage, format!("expected an array of updates: {error}"))
}

/// The first segment of an update's path: the field.
pub(super) fn field_of(key: &str) -> Cow<'_, str> {
    FieldPath::new(key).next_segment().unwrap_or(Cow::Borrowed(key))
}

/// A change as it arrived, parsed.
pub(super) struct Incoming<'a> {
    json: &'a RawValue,
    pub(super) updates: Vec<WireUpdate<'a>>,
}

impl<'a> Incoming<'a> {
    /// Parses a change whose updates are known to be JSON.
    ///
    /// # Errors
    /// It is not an array of updates.
    pub(super) fn new(json: &'a RawValue) -> Result<Self, Reject> {
        Ok(Self { json, updates: read_updates(json.get())? })
    }

    /// Parses a change of the server's program or of a legacy client.
    ///
    /// # Errors
    /// It is not a JSON array of updates.
    pub(super) fn parse(updates: &'a str) -> Result<Self, Reject> {
        Self::new(serde_json::from_str(updates).map_err(|error| not_updates(&error))?)
    }

    /// The parts of each update.
    pub(super) fn parts(&self) -> impl DoubleEndedIterator<Item = Update<'_>> + Clone {
        self.updates.iter().map(Update::from)
    }

    /// The change as it is kept until it is durable and sent.
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
    /// The field that it changes.
    pub(super) fn field(&self) -> Cow<'a, str> {
        field_of(self.key)
    }

    /// Appends it as JSON.
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

    /// Whether it sets a whole field.
    pub(super) fn is_whole_set(&self) -> bool {
        self.op.is_none() && !self.key.contains('/')
    }
}

impl<'a> From<&'a WireUpdate<'_>> for Update<'a> {
    fn from(WireUpdate { key, op, value }: &'a WireUpdate<'_>) -> Self {
        Self { key, op: op.as_deref(), value: value.get() }
    }
}

/// The fields that some updates change, each once.
pub(super) fn fields<'a>(updates: impl Iterator<Item = Update<'a>>) -> Vec<Arc<str>> {
    let mut fields: Vec<Arc<str>> = Vec::new();
    for update in updates {
        let field = update.field();
        if !fields.iter().any(|known| **known == *field) {
            fields.push(field.into());
        }
    }
    fields
}

/// A change with its text. It is cheap to look into more than once.
#[derive(Debug)]
pub(super) struct Change {
    /// A JSON array of updates.
    json: Box<RawValue>,
    /// Empty for a change that the server wrote, until somebody looks into it.
    updates: OnceCell<Box<[Ranges]>>,
}

impl Change {
    /// A change that the server wrote itself, as JSON. It is parsed when somebody first looks into it.
    pub(super) fn written(updates: String) -> Self {
        let json = RawValue::from_string(updates).expect("a state writes the updates it applied as JSON");
        Self { json, updates: OnceCell::new() }
    }

    /// The updates as a JSON array.
    pub(super) const fn json(&self) -> &RawValue {
        &self.json
    }

    /// The updates' text.
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

/// Where the parts of one update are in the change's text.
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

/// A string of the text.
#[derive(Debug)]
enum Slice {
    In(Range<usize>),
    /// It is written with escapes.
    Owned(Box<str>),
}

impl Slice {
    // Only a borrowed string is in the text.
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

/// Where a part that was borrowed from `text` begins and ends in it.
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
