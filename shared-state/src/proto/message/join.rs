//! `room:join` and `room:leave`, and the room's schema as a client receives it.

use std::collections::BTreeMap;
use std::ops::Not;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::hex;
use super::json::{empty_frame, payload_frame, push};
use crate::core::{FieldSchema, Schema};
use crate::proto::{Frame, Secret};

/// `room:join`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JoinRequest {
    /// The hash of the client's schema. If the room's differs, the answer contains the room's schema.
    #[serde(with = "hex::optional", skip_serializing_if = "Option::is_none")]
    pub schema: Option<u64>,
    /// Where the client left the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// The client's fields that the room's struct does not have, by their paths. The room keeps them beside its own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub declare: BTreeMap<String, Declaration>,
    /// Whether the client accepts [compact](crate::proto::compact) frames.
    #[serde(skip_serializing_if = "Not::not")]
    pub brief: bool,
    /// Whether the client wants the room's [details](crate::proto::RoomDetails).
    #[serde(skip_serializing_if = "Not::not")]
    pub info: bool,
    /// The room's password.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "reveal")]
    pub password: Option<Secret>,
}

/// Where a client left a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The epoch of the history that the client knows.
    #[serde(with = "hex")]
    pub epoch: u64,
    /// The version of the client's confirmed state.
    pub version: u64,
    /// Every change up to this sequence number was answered.
    pub acked: u64,
    /// The hash of the room's schema. If the room has another schema now, the client is sent the whole state.
    #[serde(default, with = "hex::optional", skip_serializing_if = "Option::is_none")]
    pub schema: Option<u64>,
    /// The audience of the last whole state. If the client is in another audience now, it is sent the whole state.
    #[serde(default, with = "hex::optional", skip_serializing_if = "Option::is_none")]
    pub audience: Option<u64>,
}

/// A field that a room is asked to keep beside those of its struct.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Declaration {
    /// The merge policy's name. A `counter` field can be added to; any other is set as a whole.
    pub policy: String,
    /// The form of its value.
    pub shape: String,
    /// The fields of the nested structs that are the entries of a list or map.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldSchema>,
    /// The value until somebody writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<Box<RawValue>>,
}

impl Declaration {
    /// The declaration of a field, with its value until somebody writes it.
    #[must_use]
    pub fn new(field: FieldSchema, initial: Option<Box<RawValue>>) -> Self {
        let FieldSchema { policy, shape, fields, .. } = field;
        Self { policy, shape, fields, initial }
    }

    /// The field without its value.
    #[must_use]
    pub fn field(&self) -> FieldSchema {
        let Self { policy, shape, fields, .. } = self.clone();
        FieldSchema { policy, shape, fields, also: Vec::new() }
    }
}

/// The schema of a room, for a client whose schema differs.
#[derive(Clone, Debug, Deserialize)]
pub struct RoomSchema {
    /// The hash of `schema`.
    #[serde(with = "hex")]
    pub hash: u64,
    /// The room's struct.
    #[serde(flatten)]
    pub schema: Schema,
    /// The fields that the room keeps beside those of its struct, by their paths.
    #[serde(default)]
    pub kept: BTreeMap<String, FieldSchema>,
}

/// [`RoomSchema`], borrowed.
#[derive(Serialize)]
struct RoomSchemaRef<'a> {
    #[serde(with = "hex")]
    hash: u64,
    #[serde(flatten)]
    schema: &'a Schema,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    kept: &'a BTreeMap<String, FieldSchema>,
}

/// The schema of a room as JSON text, to be read as [`RoomSchema`].
pub(crate) fn room_schema(hash: u64, schema: &Schema, kept: &BTreeMap<String, FieldSchema>) -> String {
    let mut out = String::new();
    push(&mut out, &RoomSchemaRef { hash, schema, kept });
    out
}

/// Writes the password itself, which [`Secret`] does not do on its own.
#[allow(clippy::ref_option)] // serde's signature
fn reveal<S: Serializer>(password: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    password.as_ref().map(Secret::reveal).serialize(serializer)
}

/// The client joins a room, or resumes it where it left it.
#[must_use]
pub fn join(room: &str, request: &JoinRequest) -> Frame {
    payload_frame("room:join", Some(room), 160, request)
}

/// The client leaves a room.
#[must_use]
pub fn leave(room: &str) -> Frame {
    empty_frame("room:leave", Some(room))
}
