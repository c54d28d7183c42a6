//! The messages of presence, in both dialects.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::encode::{frame, push_string};
use crate::core::Code;
use crate::proto::{Envelope, Frame, RoomDetails, Secret, Violation};

/// A member that is `null` is there; only one that is absent is not.
fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// `presence:set`: what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PresenceSet<'a> {
    /// Who it is: any JSON.
    #[serde(borrow, deserialize_with = "there")]
    pub user: Option<&'a RawValue>,
    /// What the user does: any JSON.
    #[serde(borrow, deserialize_with = "there")]
    pub data: Option<&'a RawValue>,
    /// Whether others are not shown this session.
    pub hidden: Option<bool>,
    /// Whether the user has been without input for a time.
    pub away: Option<bool>,
    /// The room's password, as the client knows it.
    pub password: Option<Secret>,
}

/// What a client of the v1 protocol says about its presence in a room.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PresenceRequest<'a> {
    /// Is there, or has something new to show.
    Set(PresenceSet<'a>),
    /// Is no longer there.
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

/// One who is present.
#[derive(Clone, Debug, Deserialize)]
pub struct PeerEntry<'a> {
    /// The public name of the session's client.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Who it is.
    #[serde(borrow)]
    pub user: &'a RawValue,
    /// What the user does.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// Whether the user has been without input for a time.
    #[serde(default)]
    pub away: bool,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct WireSync<'a> {
    #[serde(borrow)]
    peers: Vec<PeerEntry<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireChanges<'a> {
    #[serde(borrow)]
    joined: Vec<PeerEntry<'a>>,
    #[serde(borrow)]
    updated: BTreeMap<Name<'a>, &'a RawValue>,
    #[serde(borrow)]
    left: Vec<Name<'a>>,
}

#[derive(Deserialize)]
struct WireReject<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    message: String,
}

/// What a client is told about presence in a room. Its own entry may be among them and is to be ignored.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PresenceNews<'a> {
    /// Everybody who is there.
    Sync(Vec<PeerEntry<'a>>),
    /// What has changed.
    Changes {
        /// Those who are new, and those of whom more than the data has changed.
        joined: Vec<PeerEntry<'a>>,
        /// The new data of others.
        updated: Vec<(Cow<'a, str>, &'a RawValue)>,
        /// Those who are gone.
        left: Vec<Cow<'a, str>>,
    },
    /// What the client said was refused.
    Rejected(Violation),
}

impl<'a> PresenceNews<'a> {
    /// Reads the message in an envelope; `None` if this version does not know it.
    pub(crate) fn read(envelope: &Envelope<'a>) -> Result<Option<Self>, Violation> {
        Ok(Some(match &*envelope.kind {
            "presence:sync" => Self::Sync(envelope.content::<WireSync<'_>>()?.peers),
            "presence:changes" => {
                let WireChanges { joined, updated, left } = envelope.content()?;
                Self::Changes {
                    joined,
                    updated: updated.into_iter().map(|(name, data)| (name.0, data)).collect(),
                    left: left.into_iter().map(|name| name.0).collect(),
                }
            }
            "presence:reject" => {
                let WireReject { code, message } = envelope.content()?;
                Self::Rejected(Violation { code: Code::from_text(&code), message })
            }
            _ => return Ok(None),
        }))
    }
}

/// What a client of the hook's dialect says about its presence in a room.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LegacyPresence<'a> {
    /// `presence:join`, `presence:update`: is there, and what it does.
    Update {
        /// Who it is; has a member `id`.
        user: &'a RawValue,
        /// What the user does.
        data: Option<&'a RawValue>,
    },
    /// `presence:leave`: the payload is the user's id.
    Leave(&'a RawValue),
    /// `cursor:move`.
    Cursor {
        /// Who it is.
        user: &'a RawValue,
        /// From the left.
        x: f64,
        /// From the top.
        y: f64,
    },
}

#[derive(Deserialize)]
struct WireLegacyUpdate<'a> {
    #[serde(borrow)]
    user: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "there")]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireCursor<'a> {
    #[serde(borrow)]
    user: &'a RawValue,
    x: f64,
    y: f64,
}

impl<'a> LegacyPresence<'a> {
    pub(crate) fn read(envelope: &Envelope<'a>) -> Result<Self, Violation> {
        Ok(match &*envelope.kind {
            "presence:join" | "presence:update" => {
                let WireLegacyUpdate { user, data } = envelope.content()?;
                Self::Update { user, data }
            }
            "presence:leave" => Self::Leave(envelope.content()?),
            "cursor:move" => {
                let WireCursor { user, x, y } = envelope.content()?;
                Self::Cursor { user, x, y }
            }
            _ => return Err(envelope.unknown()),
        })
    }
}

/// A client's `presence:set`: JSON, or `None` for what stays as it is.
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
    frame("presence:set", Some(room), size, |out| {
        let before = out.len();
        for (name, json) in [("user", user), ("data", data)] {
            if let Some(json) = json {
                put!(out, ",\"{name}\":{json}");
            }
        }
        for (name, flag) in [("hidden", hidden), ("away", away)] {
            if let Some(flag) = flag {
                put!(out, ",\"{name}\":{flag}");
            }
        }
        if let Some(password) = password {
            out.push_str(",\"password\":");
            push_string(out, password);
        }
        braces(out, before);
    })
}

/// A client's `presence:leave`.
#[must_use]
pub fn leave(room: &str) -> Frame {
    frame("presence:leave", Some(room), 8, |out| out.push_str("{}"))
}

/// Makes an object of members that each begin with a comma.
fn braces(out: &mut String, from: usize) {
    match out.len() > from {
        true => out.replace_range(from..=from, "{"),
        false => out.push('{'),
    }
    out.push('}');
}

/// Appends an entry for [`sync`] or [`changes`], and a comma if it is not the first. `user` and `data` are JSON.
pub fn push_entry(out: &mut String, id: &str, user: &str, data: &str, away: bool) {
    out.push_str(if out.is_empty() { "{\"id\":" } else { ",{\"id\":" });
    push_string(out, id);
    put!(out, ",\"user\":{user},\"data\":{data}");
    out.push_str(if away { ",\"away\":true}" } else { "}" });
}

/// Appends a member of `updated` for [`changes`].
pub fn push_update(out: &mut String, id: &str, data: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    push_string(out, id);
    put!(out, ":{data}");
}

/// Appends an element of `left` for [`changes`].
pub fn push_left(out: &mut String, id: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    push_string(out, id);
}

/// The server's `presence:sync` of entries.
#[must_use]
pub fn sync(room: &str, peers: &str) -> Frame {
    frame("presence:sync", Some(room), peers.len() + 16, |out| {
        put!(out, "{{\"peers\":[{peers}]}}");
    })
}

/// The server's `presence:changes`.
#[must_use]
pub fn changes(room: &str, joined: &str, updated: &str, left: &str) -> Frame {
    let size = joined.len() + updated.len() + left.len() + 48;
    frame("presence:changes", Some(room), size, |out| {
        let before = out.len();
        if !joined.is_empty() {
            put!(out, ",\"joined\":[{joined}]");
        }
        if !updated.is_empty() {
            put!(out, ",\"updated\":{{{updated}}}");
        }
        if !left.is_empty() {
            put!(out, ",\"left\":[{left}]");
        }
        braces(out, before);
    })
}

/// The server's `presence:reject`.
#[must_use]
pub fn reject(room: &str, code: Code, message: &str) -> Frame {
    frame("presence:reject", Some(room), 128, |out| {
        put!(out, "{{\"code\":\"{code}\",\"message\":");
        push_string(out, message);
        out.push('}');
    })
}

/// `presence:join` of the hook's dialect. `user` is JSON, like the `user`, `data` and `id` below.
#[must_use]
pub fn hook_join(room: &str, user: &str) -> Frame {
    frame("presence:join", Some(room), user.len() + 32 + room.len(), |out| {
        put!(out, "{{\"user\":{user},\"room\":");
        push_string(out, room);
        out.push('}');
    })
}

/// `room:joined` of the hook's dialect: `users` are JSON.
#[must_use]
pub fn hook_joined(room: &str, users: &[String], details: &RoomDetails) -> Frame {
    let users_size = users.iter().map(|user| user.len() + 1).sum::<usize>();
    let size = users_size + details.metadata.as_deref().map_or(0, str::len) + room.len() + 64;
    frame("room:joined", Some(room), size, |out| {
        out.push_str("{\"id\":");
        push_string(out, room);
        put!(out, ",\"users\":[{}]", users.join(","));
        details.push_members(out);
        out.push('}');
    })
}

/// `room:user:joined` of the hook's dialect: the payload is the user.
#[must_use]
pub fn hook_user_joined(room: &str, user: &str) -> Frame {
    frame("room:user:joined", Some(room), user.len(), |out| out.push_str(user))
}

/// `room:user:left` of the hook's dialect: the payload is the user's id.
#[must_use]
pub fn hook_user_left(room: &str, id: &str) -> Frame {
    frame("room:user:left", Some(room), id.len(), |out| out.push_str(id))
}

/// `presence:update` of the hook's dialect; `seen` is in milliseconds since 1970.
#[must_use]
pub fn hook_update(room: &str, user: &str, data: &str, seen: u128) -> Frame {
    frame("presence:update", Some(room), user.len() + data.len() + 48, |out| {
        put!(out, r#"{{"user":{user},"data":{data},"lastSeen":{seen}}}"#);
    })
}

/// `presence:leave` of the hook's dialect: the payload is the user's id.
#[must_use]
pub fn hook_leave(room: &str, id: &str) -> Frame {
    frame("presence:leave", Some(room), id.len(), |out| out.push_str(id))
}

/// `cursor:move` of the hook's dialect; `x` and `y` are JSON numbers.
#[must_use]
pub fn hook_cursor(room: &str, user: &str, (x, y): (&str, &str), seen: u128) -> Frame {
    frame("cursor:move", Some(room), user.len() + 64, |out| {
        put!(out, r#"{{"user":{user},"x":{x},"y":{y},"timestamp":{seen}}}"#);
    })
}
