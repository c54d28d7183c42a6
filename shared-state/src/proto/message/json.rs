//! Writing frames and their payloads as JSON, and what several families need to read them.
//!
//! Values of updates and states are JSON text already; they are copied into the frame as they are, without a pass
//! that parses them again.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::proto::{Frame, split_address};

/// Appends `value` as JSON. The values in this module have string keys and no failing `Serialize`.
pub(super) fn push<T: Serialize + ?Sized>(out: &mut String, value: &T) {
    let written = serde_json::to_writer(Writer(out), value);
    debug_assert!(written.is_ok(), "{written:?}");
}

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut String, text: &str) {
    push(out, text);
}

/// `serde_json` writes to bytes. Each piece that it writes is UTF-8.
struct Writer<'a>(&'a mut String);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push_str(std::str::from_utf8(bytes).map_err(io::Error::other)?);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A JSON object that is written member by member.
pub(super) struct Object<'a> {
    out: &'a mut String,
    is_empty: bool,
}

impl Object<'_> {
    /// Appends an object with these members.
    pub(super) fn push(out: &mut String, members: impl FnOnce(&mut Object<'_>)) {
        out.push('{');
        members(&mut Object { out, is_empty: true });
        out.push('}');
    }

    /// Appends a name, which needs no escapes, and the colon.
    fn name(&mut self, name: &str) -> &mut String {
        self.out.push_str(if self.is_empty { "\"" } else { ",\"" });
        self.out.push_str(name);
        self.out.push_str("\":");
        self.is_empty = false;
        self.out
    }

    /// Appends a member.
    pub(super) fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> &mut Self {
        push(self.name(name), value);
        self
    }

    /// Appends a member, if it has a value.
    pub(super) fn optional<T: Serialize>(&mut self, name: &str, value: Option<T>) -> &mut Self {
        if let Some(value) = value {
            self.member(name, &value);
        }
        self
    }

    /// Appends a member whose value is JSON text.
    pub(super) fn json(&mut self, name: &str, json: &str) -> &mut Self {
        self.name(name).push_str(json);
        self
    }

    /// Appends the name of a member whose value is to be inserted at the place that is returned.
    pub(super) fn space(&mut self, name: &str) -> usize {
        self.name(name).len()
    }

    /// Appends a member whose value is JSON text in several pieces.
    pub(super) fn concat(&mut self, name: &str, pieces: &[&str]) -> &mut Self {
        self.name(name).extend(pieces.iter().copied());
        self
    }

    /// Appends a member whose value is JSON text, if it has a value.
    pub(super) fn optional_json(&mut self, name: &str, json: Option<&str>) -> &mut Self {
        if let Some(json) = json {
            self.json(name, json);
        }
        self
    }

    /// Appends a member whose value is an array of elements that are JSON text.
    pub(super) fn array<'e>(&mut self, name: &str, elements: impl Iterator<Item = &'e str>) -> &mut Self {
        let out = self.name(name);
        out.push('[');
        for (index, element) in elements.enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(element);
        }
        out.push(']');
        self
    }
}

/// The text of a frame. `address` is a room's or a channel's, `payload` appends a JSON value of about `size` bytes.
fn text(kind: &str, address: Option<&str>, size: usize, payload: impl FnOnce(&mut String)) -> String {
    let mut out = String::with_capacity(size + 64 + address.map_or(0, str::len));
    Object::push(&mut out, |envelope| {
        envelope.member("type", kind);
        if let Some(address) = address {
            let (room, channel) = split_address(address);
            envelope.member("room", room);
            if let Some(channel) = channel {
                envelope.member("channel", channel);
            }
        }
        payload(envelope.name("payload"));
    });
    out
}

/// A frame. `address` is a room's or a channel's, `payload` appends a JSON value of about `size` bytes.
fn frame(kind: &str, address: Option<&str>, size: usize, payload: impl FnOnce(&mut String)) -> Frame {
    Frame::from(text(kind, address, size, payload))
}

/// A frame whose payload is an object with these members and `data`, which the frame shares with others. `members`
/// appends about `size` bytes and returns the [place](Object::space) of `data`.
pub(super) fn shared_frame(
    kind: &str,
    address: &str,
    size: usize,
    data: &Arc<String>,
    members: impl FnOnce(&mut Object<'_>) -> usize,
) -> Frame {
    let mut at = 0;
    let around = text(kind, Some(address), size, |out| Object::push(out, |payload| at = members(payload)));
    Frame::with_inside(around, at, data)
}

/// A frame whose payload is an object of about `size` bytes with these members.
pub(super) fn object_frame(
    kind: &str,
    address: Option<&str>,
    size: usize,
    members: impl FnOnce(&mut Object<'_>),
) -> Frame {
    frame(kind, address, size, |out| Object::push(out, members))
}

/// A frame with this payload, of about `size` bytes.
pub(super) fn payload_frame(
    kind: &str,
    address: Option<&str>,
    size: usize,
    payload: &impl Serialize,
) -> Frame {
    frame(kind, address, size, |out| push(out, payload))
}

/// A frame whose payload is JSON text.
pub(super) fn json_frame(kind: &str, address: Option<&str>, json: &str) -> Frame {
    frame(kind, address, json.len(), |out| out.push_str(json))
}

/// A frame whose payload is an empty object.
pub(super) fn empty_frame(kind: &str, address: Option<&str>) -> Frame {
    json_frame(kind, address, "{}")
}

/// A string that borrows from the frame if it has no escapes, also where it is an element of something.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Reads a member that may be `null`: `None` only if it is absent.
pub(super) fn nullable<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Whether a member is left out because it is 0.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
pub(super) const fn is_zero(number: &u64) -> bool {
    *number == 0
}
