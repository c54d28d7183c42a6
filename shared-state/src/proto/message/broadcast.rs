//! `channel:broadcast`: a message for those who are in a channel now, which is not kept. `channel:reject`: it was refused.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::Violation;
use super::json::{object_frame, payload_frame};
use crate::core::Code;
use crate::proto::Frame;

/// A client's broadcast, as it is read.
#[derive(Deserialize)]
pub(super) struct BroadcastRequest<'a> {
    #[serde(borrow)]
    pub(super) value: &'a RawValue,
}

/// The server's broadcast, as it is read.
#[derive(Deserialize)]
pub(super) struct Broadcast<'a> {
    #[serde(borrow)]
    pub(super) from: Cow<'a, str>,
    pub(super) at: u64,
    #[serde(borrow)]
    pub(super) value: &'a RawValue,
}

/// A client's broadcast: `value` is JSON.
#[must_use]
pub fn request(channel: &str, value: &str) -> Frame {
    object_frame("channel:broadcast", Some(channel), value.len() + 16, |payload| {
        payload.json("value", value);
    })
}

/// The server's answer to a broadcast that it refused. The client stays in the channel.
#[must_use]
pub fn rejected(channel: &str, code: Code, message: &str) -> Frame {
    payload_frame("channel:reject", Some(channel), 128, &Violation::new(code, message))
}

/// The server's broadcast: `from` is the sender's public id, `at` is in milliseconds since 1970, `value` is JSON.
#[must_use]
pub fn broadcast(channel: &str, from: &str, at: u64, value: &str) -> Frame {
    object_frame("channel:broadcast", Some(channel), value.len() + 64, |payload| {
        payload.member("from", from).member("at", &at).json("value", value);
    })
}
