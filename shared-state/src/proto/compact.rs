//! Brief frames: what is sent most, without what its receiver was told before.
//!
//! A binary frame of the server: the room's number, then the number of what it is about, both unsigned LEB128, then a
//! value. 0 is the receiver's own next change, accepted; another number stands for who writes which field by which
//! operation, as a `state:change` said that had it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use data_encoding::BASE64_NOPAD;
use serde_json::value::RawValue;

use crate::core::Code;
use crate::core::WireUpdate;
use crate::proto::{Frame, RoomMessage, Violation};

/// The greatest number of a header in a room: they are used again, the oldest first.
pub const SUBJECTS: u8 = 127;

/// The operation whose value is bytes, as base64; in a brief frame it is the bytes.
const BYTES: &str = "edit";

/// What a brief frame is about, but for its value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Who writes.
    pub from: Arc<str>,
    /// The path.
    pub key: Box<str>,
    /// The operation.
    pub op: Option<Box<str>>,
}

impl Header {
    /// What the updates of this author are about, if it is one update.
    #[must_use]
    pub fn of(from: &str, updates: &[WireUpdate<'_>]) -> Option<Self> {
        let [update] = updates else { return None };
        Some(Self::new(from, &update.key, update.op.as_deref()))
    }

    /// What an update by this author is about.
    #[must_use]
    pub fn new(from: &str, key: &str, op: Option<&str>) -> Self {
        Self { from: from.into(), key: key.into(), op: op.map(Box::from) }
    }

    /// The value of an update of this header, `json`, as it is in a compact frame; `None`: it has none there.
    pub(crate) fn compact_value<'a>(&self, json: &'a str) -> Option<Cow<'a, [u8]>> {
        if self.op.as_deref() != Some(BYTES) {
            return Some(Cow::Borrowed(json.as_bytes()));
        }
        let text: &str = serde_json::from_str(json).ok()?;
        // Padded, it would not be the same text on the other side.
        BASE64_NOPAD.decode(text.as_bytes()).ok().map(Cow::Owned)
    }

    /// The value of a brief frame as JSON.
    ///
    /// # Errors
    /// The bytes are not JSON.
    pub(crate) fn value(&self, brief: &[u8]) -> Result<Box<RawValue>, Violation> {
        let json = match self.op.as_deref() {
            Some(BYTES) => RawValue::from_string(format!("\"{}\"", BASE64_NOPAD.encode(brief))),
            _ => serde_json::from_slice(brief),
        };
        json.map_err(|error| Violation::new(Code::BadMessage, format!("a brief value is not JSON: {error}")))
    }
}

/// A brief frame about header `number` of a room, or, with 0, the next answer.
pub(crate) fn frame(room: u64, number: u8, value: &[u8]) -> Frame {
    let mut out = Vec::with_capacity(value.len() + 4);
    let mut room = room;
    while room >= 0x80 {
        out.push(room as u8 | 0x80);
        room >>= 7;
    }
    out.push(room as u8);
    out.push(number);
    out.extend_from_slice(value);
    Frame::binary(out)
}

/// Reads a brief frame: the room's number and the message.
///
/// # Errors
/// It ends too early, or its numbers are too large.
pub fn read(bytes: &[u8]) -> Result<(u64, RoomMessage<'_>), Violation> {
    let wrong =
        || Violation::new(Code::BadMessage, "expected a room, a header and a value in a binary frame");
    let (mut room, mut left) = (0, bytes);
    for shift in (0..63).step_by(7) {
        let (byte, rest) = left.split_first().ok_or_else(wrong)?;
        left = rest;
        room |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            let (number, value) = left.split_first().ok_or_else(wrong)?;
            return match number {
                0 => Ok((room, RoomMessage::NextAccepted)),
                1..=SUBJECTS => Ok((room, RoomMessage::Brief { header: *number, value })),
                _ => Err(wrong()),
            };
        }
    }
    Err(wrong())
}

/// The numbers of the rooms on one connection, as their states said them.
#[derive(Debug, Default)]
pub struct Numbers(BTreeMap<u64, Arc<str>>);

impl Numbers {
    /// Nothing is known: there is a new connection.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Notes what a message about a room says of its number.
    pub fn note(&mut self, room: &str, message: &RoomMessage<'_>) {
        let (RoomMessage::Sync { brief: Some(number), .. } | RoomMessage::Delta { brief: Some(number), .. }) =
            message
        else {
            return;
        };
        if self.0.get(number).is_none_or(|known| **known != *room) {
            self.0.retain(|_, known| **known != *room);
            self.0.insert(*number, room.into());
        }
    }

    /// The room with this number.
    #[must_use]
    pub fn room(&self, number: u64) -> Option<&Arc<str>> {
        self.0.get(&number)
    }
}
