//! `room:info`: information about a room beside its state.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::json::{Object, object_frame};
use crate::proto::Frame;

/// Information about a room beside its state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct RoomDetails {
    /// When the room's history began, in milliseconds since 1970; `None`: the server does not know.
    pub created_at: Option<u64>,
    /// What the server's program has set for the room: JSON.
    #[serde(deserialize_with = "text")]
    pub metadata: Option<Arc<str>>,
    /// Whether the room has a password.
    pub password: bool,
}

/// Reads any JSON as its text.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<str>>, D::Error> {
    let json = Option::<&RawValue>::deserialize(deserializer)?;
    Ok(json.map(|json| json.get().into()))
}

impl RoomDetails {
    /// The metadata as a `T`; `None` if there is none, or if it cannot be read as a `T`.
    #[must_use]
    pub fn metadata_as<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.metadata.as_deref()?).ok()
    }

    /// Appends the members that `room:info` and a legacy client's `room:joined` have in common.
    pub(super) fn write(&self, payload: &mut Object<'_>) {
        payload.optional("createdAt", self.created_at).optional_json("metadata", self.metadata.as_deref());
    }
}

/// The server's `room:info`.
#[must_use]
pub fn info(room: &str, details: &RoomDetails) -> Frame {
    let size = details.metadata.as_deref().map_or(0, str::len) + 64;
    object_frame("room:info", Some(room), size, |payload| {
        payload.member("password", &details.password);
        details.write(payload);
    })
}
