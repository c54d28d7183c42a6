//! What a client is told of a room beside its state.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::encode::frame;
use crate::proto::Frame;

/// What is known of a room beside its state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomDetails {
    /// When its history began, in milliseconds since 1970; `None`: the server does not know.
    pub created_at: Option<u64>,
    /// What the server's program says of it: JSON.
    pub metadata: Option<Arc<str>>,
    /// Whether a password is needed to come in.
    pub password: bool,
}

impl RoomDetails {
    /// The metadata as a `T`; `None` if there is none, or it is another type.
    #[must_use]
    pub fn metadata_as<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.metadata.as_deref()?).ok()
    }

    /// Appends the members that there are, each with a comma before it.
    pub(crate) fn push_members(&self, out: &mut String) {
        if let Some(created) = self.created_at {
            put!(out, ",\"createdAt\":{created}");
        }
        if let Some(metadata) = &self.metadata {
            put!(out, ",\"metadata\":{metadata}");
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireDetails<'a> {
    #[serde(default)]
    created_at: Option<u64>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
    #[serde(default)]
    password: bool,
}

impl WireDetails<'_> {
    pub(crate) fn read(self) -> RoomDetails {
        let Self { created_at, metadata, password } = self;
        RoomDetails { created_at, metadata: metadata.map(|json| json.get().into()), password }
    }
}

/// The server's `room:info`.
#[must_use]
pub fn info(room: &str, details: &RoomDetails) -> Frame {
    let size = details.metadata.as_deref().map_or(0, str::len) + 64;
    frame("room:info", Some(room), size, |out| {
        put!(out, "{{\"password\":{}", details.password);
        details.push_members(out);
        out.push('}');
    })
}
