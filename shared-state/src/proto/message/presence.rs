//! Presence: who is in a room and what they do.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{Object, Text, empty_frame, nullable, object_frame, payload_frame, push_string};
use crate::core::Code;
use crate::proto::{Envelope, Frame, Secret, Violation};

pub use super::legacy::{
    LegacyPresence, cursor as legacy_cursor, joined as legacy_joined, presence_join as legacy_join,
    presence_leave as legacy_leave, presence_update as legacy_update, user_joined as legacy_user_joined,
    user_left as legacy_user_left,
};

/// `presence:set`. An absent member keeps its value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PresenceSet<'a> {
    /// The user: any JSON.
    #[serde(borrow, deserialize_with = "nullable")]
    pub user: Option<&'a RawValue>,
    /// What the user does: any JSON.
    #[serde(borrow, deserialize_with = "nullable")]
    pub data: Option<&'a RawValue>,
    /// Whether this session is not shown to the others.
    pub hidden: Option<bool>,
    /// Whether the user has been without input for a time.
    pub away: Option<bool>,
    /// The room's password.
    pub password: Option<Secret>,
}

/// A client's message about its presence in a room.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PresenceRequest<'a> {
    /// Becomes present, or changes what the others are shown.
    Set(PresenceSet<'a>),
    /// Leaves the room's presence.
    Leave,
}

impl<'a> PresenceRequest<'a> {
    pub(crate) fn read(envelope: &Envelope<'a>) -> Result<Self, Violation> {
        Ok(match &*envelope.kind {
            "presence:set" => Self::Set(envelope.content()?),
            "presence:leave" => Self::Leave,
            _ => return Err(envelope.unknown()),
        })
    }
}

/// A session that is present.
#[derive(Clone, Debug, Deserialize)]
pub struct PeerEntry<'a> {
    /// The public id of the session's client.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The user.
    #[serde(borrow)]
    pub user: &'a RawValue,
    /// What the user does.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// Whether the user has been without input for a time.
    #[serde(default)]
    pub away: bool,
}

/// `presence:sync`, as it is read.
#[derive(Deserialize)]
struct Sync<'a> {
    #[serde(borrow)]
    peers: Vec<PeerEntry<'a>>,
}

/// `presence:changes`, as it is read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Changes<'a> {
    #[serde(borrow)]
    joined: Vec<PeerEntry<'a>>,
    #[serde(borrow)]
    updated: BTreeMap<Text<'a>, &'a RawValue>,
    #[serde(borrow)]
    left: Vec<Text<'a>>,
}

/// The server's message about presence in a room. Entries about the receiver itself may be in it; the receiver ignores
/// them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PresenceNews<'a> {
    /// Every session that is present.
    Sync(Vec<PeerEntry<'a>>),
    /// The differences to what was sent before.
    Changes {
        /// Sessions that are new, or of which more than the data has changed.
        joined: Vec<PeerEntry<'a>>,
        /// The new data of sessions, by the public ids of their clients.
        updated: Vec<(Cow<'a, str>, &'a RawValue)>,
        /// Sessions that have left.
        left: Vec<Cow<'a, str>>,
    },
    /// The client's `presence:set` was refused, or the client was removed.
    Rejected(Violation),
}

impl<'a> PresenceNews<'a> {
    /// Reads the message in an envelope; `None` if this version does not know its type.
    pub(crate) fn read(envelope: &Envelope<'a>) -> Result<Option<Self>, Violation> {
        Ok(Some(match &*envelope.kind {
            "presence:sync" => Self::Sync(envelope.content::<Sync<'_>>()?.peers),
            "presence:changes" => {
                let Changes { joined, updated, left } = envelope.content()?;
                Self::Changes {
                    joined,
                    updated: updated.into_iter().map(|(id, data)| (id.0, data)).collect(),
                    left: left.into_iter().map(|id| id.0).collect(),
                }
            }
            "presence:reject" => Self::Rejected(envelope.content()?),
            _ => return Ok(None),
        }))
    }
}

/// A client's `presence:set`. `user` and `data` are JSON; what is `None` keeps its value.
#[must_use]
pub fn set(
    room: &str,
    user: Option<&str>,
    data: Option<&str>,
    hidden: Option<bool>,
    away: Option<bool>,
    password: Option<&str>,
) -> Frame {
    let size = user.map_or(0, str::len) + data.map_or(0, str::len) + 48;
    object_frame("presence:set", Some(room), size, |payload| {
        payload
            .optional_json("user", user)
            .optional_json("data", data)
            .optional("hidden", hidden)
            .optional("away", away)
            .optional("password", password);
    })
}

/// A client's `presence:leave`.
#[must_use]
pub fn leave(room: &str) -> Frame {
    empty_frame("presence:leave", Some(room))
}

/// Appends an entry for [`sync`] or [`changes`], after a comma if it is not the first. `user` and `data` are JSON.
pub fn push_entry(out: &mut String, id: &str, user: &str, data: &str, away: bool) {
    separate(out);
    Object::push(out, |entry| {
        entry.member("id", id).json("user", user).json("data", data).optional("away", away.then_some(true));
    });
}

/// Appends a member of `updated` for [`changes`], after a comma if it is not the first. `data` is JSON.
pub fn push_update(out: &mut String, id: &str, data: &str) {
    push_left(out, id);
    out.push(':');
    out.push_str(data);
}

/// Appends an element of `left` for [`changes`], after a comma if it is not the first.
pub fn push_left(out: &mut String, id: &str) {
    separate(out);
    push_string(out, id);
}

fn separate(out: &mut String) {
    if !out.is_empty() {
        out.push(',');
    }
}

/// The server's `presence:sync`, of entries from [`push_entry`].
#[must_use]
pub fn sync(room: &str, peers: &str) -> Frame {
    object_frame("presence:sync", Some(room), peers.len() + 16, |payload| {
        payload.concat("peers", &["[", peers, "]"]);
    })
}

/// The server's `presence:changes`, of what [`push_entry`], [`push_update`] and [`push_left`] have appended.
#[must_use]
pub fn changes(room: &str, joined: &str, updated: &str, left: &str) -> Frame {
    let size = joined.len() + updated.len() + left.len() + 48;
    object_frame("presence:changes", Some(room), size, |payload| {
        for (name, list, brackets) in
            [("joined", joined, ["[", "]"]), ("updated", updated, ["{", "}"]), ("left", left, ["[", "]"])]
        {
            if !list.is_empty() {
                payload.concat(name, &[brackets[0], list, brackets[1]]);
            }
        }
    })
}

/// The server's `presence:reject`.
#[must_use]
pub fn reject(room: &str, code: Code, message: &str) -> Frame {
    payload_frame("presence:reject", Some(room), 128, &Violation::new(code, message))
}
