//! Changes: a client's request, the server's answer to it, and the change as everybody else receives it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::code;
use super::json::{object_frame, payload_frame};
use crate::core::{Code, Reject, WireUpdate};
use crate::proto::Frame;

/// A client's `state:change`.
#[derive(Clone, Debug, Deserialize)]
pub struct ChangeRequest<'a> {
    /// The client's number for the change: rises with each new change, stays when the change is sent again.
    pub seq: u64,
    /// The version of the client's confirmed state when it first sent the change.
    pub base: u64,
    /// Whether the client may have sent the change before.
    #[serde(default)]
    pub again: bool,
    /// A JSON array of updates, not parsed yet.
    #[serde(borrow)]
    pub updates: &'a RawValue,
    /// The paths that a transaction read; they must not have changed since `base`.
    #[serde(borrow, default)]
    pub reads: Option<Vec<Cow<'a, str>>>,
}

/// The server's `state:change`, as it is read.
#[derive(Deserialize)]
pub(super) struct Change<'a> {
    pub(super) version: u64,
    #[serde(borrow)]
    pub(super) from: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) updates: Vec<WireUpdate<'a>>,
    #[serde(default)]
    pub(super) brief: Option<u8>,
}

/// `state:ack`, as it is read.
#[derive(Deserialize)]
pub(super) struct Ack<'a> {
    pub(super) seq: u64,
    pub(super) version: u64,
    #[serde(borrow)]
    pub(super) updates: Option<Vec<WireUpdate<'a>>>,
}

/// `state:reject`.
#[derive(Serialize, Deserialize)]
pub(super) struct Rejection<'a> {
    seq: u64,
    #[serde(with = "code")]
    code: Code,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    field: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Cow<'a, str>,
}

impl<'a> Rejection<'a> {
    pub(super) fn new(seq: u64, Reject { code, field, message }: &'a Reject) -> Self {
        Self { seq, code: *code, field: field.as_deref().map(Cow::Borrowed), message: message.into() }
    }
}

impl From<Rejection<'_>> for (u64, Reject) {
    fn from(Rejection { seq, code, field, message }: Rejection<'_>) -> Self {
        (seq, Reject { code, field: field.map(Cow::into_owned), message: message.into_owned() })
    }
}

/// A client's change. `updates` are JSON; `reads` are the paths that a transaction read; `again` says that the change
/// may have been sent before.
#[must_use]
pub fn request<'a>(
    room: &str,
    seq: u64,
    base: u64,
    again: bool,
    updates: impl Iterator<Item = &'a str> + Clone,
    reads: Option<&[&str]>,
) -> Frame {
    let size = updates.clone().map(|update| update.len() + 1).sum::<usize>() + 64;
    object_frame("state:change", Some(room), size, |payload| {
        payload.member("seq", &seq).member("base", &base);
        if again {
            payload.member("again", &true);
        }
        payload.array("updates", updates);
        if let Some(reads) = reads {
            payload.member("reads", reads);
        }
    })
}

/// Another client's accepted change. `from` is its author's public id, `updates` a JSON array of updates, `brief` the
/// number that its header has in [compact](crate::proto::compact) frames from now on.
#[must_use]
pub fn change(room: &str, version: u64, from: &str, updates: &str, brief: Option<u8>) -> Frame {
    object_frame("state:change", Some(room), updates.len() + 96, |payload| {
        payload.member("version", &version).member("from", from).json("updates", updates);
        payload.optional("brief", brief);
    })
}

/// The receiver's own change was accepted as it was sent.
#[must_use]
pub fn ack(room: &str, seq: u64, version: u64) -> Frame {
    accepted(room, seq, version, None)
}

/// The receiver's own change was accepted as these updates, a JSON array, and not as it was sent.
#[must_use]
pub fn acked_as(room: &str, seq: u64, version: u64, updates: &str) -> Frame {
    accepted(room, seq, version, Some(updates))
}

fn accepted(room: &str, seq: u64, version: u64, updates: Option<&str>) -> Frame {
    object_frame("state:ack", Some(room), updates.map_or(48, |updates| updates.len() + 64), |payload| {
        payload.member("seq", &seq).member("version", &version).optional_json("updates", updates);
    })
}

/// The receiver's own change was refused.
#[must_use]
pub fn reject(room: &str, seq: u64, reject: &Reject) -> Frame {
    payload_frame("state:reject", Some(room), 128, &Rejection::new(seq, reject))
}
