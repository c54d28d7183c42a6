//! Compact frames: a `state:change` with one update, or a `state:ack`, without what its receiver knows already.
//!
//! A compact frame is a binary frame of the server: the room's number as unsigned LEB128, the number of a header in one
//! byte, and a value. Header 0 acknowledges the receiver's first unanswered change; the value is the last byte of its
//! sequence number, so that a receiver that is out of step notices. Any other number stands for the
//! author, path and operation of the last `state:change` whose member `brief` was this number.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use data_encoding::BASE64_NOPAD;
use serde_json::value::RawValue;

use crate::core::{Code, WireUpdate};
use crate::proto::{Frame, RoomMessage, Violation};

/// The greatest number of a header in a room. After it the numbers are assigned again, the oldest first.
pub const MAX_HEADERS: u8 = 127;

/// The operation whose value is base64. A compact frame contains the bytes instead.
const BYTES: &str = "edit";

/// An update without its value, and its author.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The author's public id.
    pub from: Arc<str>,
    /// The path.
    pub key: Box<str>,
    /// The operation.
    pub op: Option<Box<str>>,
}

impl Header {
    /// The header of these updates by this author, if there is exactly one update.
    #[must_use]
    pub fn of(from: &str, updates: &[WireUpdate<'_>]) -> Option<Self> {
        let [update] = updates else { return None };
        Some(Self::new(from, &update.key, update.op.as_deref()))
    }

    /// The header of an update by this author.
    #[must_use]
    pub fn new(from: &str, key: &str, op: Option<&str>) -> Self {
        Self { from: from.into(), key: key.into(), op: op.map(Box::from) }
    }

    /// Converts the JSON value of an update with this header into its form in a compact frame; `None`: it has none.
    pub(crate) fn compact_value<'a>(&self, json: &'a str) -> Option<Cow<'a, [u8]>> {
        if self.op.as_deref() != Some(BYTES) {
            return Some(Cow::Borrowed(json.as_bytes()));
        }
        let text: &str = serde_json::from_str(json).ok()?;
        // The receiver encodes without padding, so padded base64 would not be the same text there.
        BASE64_NOPAD.decode(text.as_bytes()).ok().map(Cow::Owned)
    }

    /// Converts the value of a compact frame with this header into JSON.
    ///
    /// # Errors
    /// The bytes are not JSON.
    pub(crate) fn value(&self, compact: &[u8]) -> Result<Box<RawValue>, Violation> {
        let json = match self.op.as_deref() {
            Some(BYTES) => RawValue::from_string(format!("\"{}\"", BASE64_NOPAD.encode(compact))),
            _ => serde_json::from_slice(compact),
        };
        json.map_err(|error| {
            Violation::new(Code::BadMessage, format!("the value of a compact frame is not JSON: {error}"))
        })
    }
}

/// The compact acknowledgement of the receiver's first unanswered change, which has this sequence number.
pub(crate) fn ack(room: u64, seq: u64) -> Frame {
    frame(room, 0, &[check_byte(seq)])
}

/// The byte by which a compact acknowledgement names a change.
pub(crate) const fn check_byte(seq: u64) -> u8 {
    (seq & 0xff) as u8
}

/// A compact frame with the header `number`.
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

/// Reads a compact frame: the room's number and the message.
///
/// # Errors
/// The frame ends too early, or a number in it is too large.
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
                0 => match value {
                    [check] => Ok((room, RoomMessage::NextAccepted { check: *check })),
                    _ => Err(wrong()),
                },
                1..=MAX_HEADERS => Ok((room, RoomMessage::Compact { header: *number, value })),
                _ => Err(wrong()),
            };
        }
    }
    Err(wrong())
}

/// The numbers of the rooms on one connection, from their states and deltas.
#[derive(Debug, Default)]
pub struct Numbers(BTreeMap<u64, Arc<str>>);

impl Numbers {
    /// Forgets all numbers, for a new connection.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Remembers the room's number, if the message is a state or a delta that contains one.
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
