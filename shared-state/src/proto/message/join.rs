//! What is said of schemas when a room is joined.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::decode::{epoch, hexadecimal};
use crate::core::{FieldSchema, Schema};
use crate::proto::{Resume, Secret, Violation};

/// `room:join`.
#[derive(Clone, Debug, Default)]
pub struct JoinRequest {
    /// Where the client left the room.
    pub resume: Option<Resume>,
    /// The hash of the client's schema. The room tells its own if that is another.
    pub schema: Option<u64>,
    /// Fields of the client that the room's struct does not have, by their paths, to be kept for it.
    pub declare: BTreeMap<String, Declaration>,
    /// Whether the client takes [`brief`](super::brief) frames.
    pub brief: bool,
    /// The room's password, as the client knows it.
    pub password: Option<Secret>,
    /// Whether the client wants to be told the room's [details](super::RoomDetails).
    pub info: bool,
}

/// A field that a room is asked to keep for those who have it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Declaration {
    /// The merge policy's name. `counter` fields are added to, all others are set as a whole.
    pub policy: String,
    /// What its value looks like.
    pub shape: String,
    /// The value until somebody writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<Box<RawValue>>,
}

impl Declaration {
    /// The field without its value.
    #[must_use]
    pub fn field(&self) -> FieldSchema {
        let Self { policy, shape, .. } = self;
        FieldSchema {
            policy: policy.clone(),
            shape: shape.clone(),
            also: Vec::new(),
            fields: BTreeMap::new(),
        }
    }
}

/// The schema of a room, as a client with another one is told.
#[derive(Clone, Debug)]
pub struct RoomSchema {
    /// The hash of `schema`.
    pub hash: u64,
    /// The room's struct.
    pub schema: Schema,
    /// The fields that it keeps for others, by their paths.
    pub kept: BTreeMap<String, FieldSchema>,
}

#[derive(Deserialize)]
struct WireResume<'a> {
    #[serde(borrow)]
    epoch: Cow<'a, str>,
    version: u64,
    acked: u64,
    #[serde(borrow, default)]
    schema: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    audience: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
pub(crate) struct WireJoin<'a> {
    #[serde(borrow, default)]
    resume: Option<WireResume<'a>>,
    #[serde(borrow, default)]
    schema: Option<Cow<'a, str>>,
    #[serde(default)]
    declare: BTreeMap<String, Declaration>,
    #[serde(default)]
    brief: bool,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    info: bool,
}

fn hash(text: &str) -> Result<u64, Violation> {
    hexadecimal("a schema's hash", text)
}

pub(crate) fn audience(text: &str) -> Result<u64, Violation> {
    hexadecimal("an audience", text)
}

impl WireJoin<'_> {
    pub(crate) fn read(self) -> Result<JoinRequest, Violation> {
        let resume = match self.resume {
            Some(WireResume { epoch: text, version, acked, schema, audience: of }) => {
                let schema = schema.as_deref().map(hash).transpose()?;
                let audience = of.as_deref().map(audience).transpose()?;
                Some(Resume { epoch: epoch(&text)?, version, acked, schema, audience })
            }
            None => None,
        };
        let schema = self.schema.as_deref().map(hash).transpose()?;
        let Self { declare, brief, password, info, .. } = self;
        Ok(JoinRequest { resume, schema, declare, brief, password, info })
    }
}

#[derive(Deserialize)]
pub(crate) struct WireSchema<'a> {
    #[serde(borrow)]
    hash: Cow<'a, str>,
    #[serde(default = "first")]
    version: u32,
    fields: BTreeMap<String, FieldSchema>,
    #[serde(default)]
    kept: BTreeMap<String, FieldSchema>,
}

const fn first() -> u32 {
    1
}

impl WireSchema<'_> {
    pub(crate) fn read(self) -> Result<Box<RoomSchema>, Violation> {
        let schema = Schema { version: self.version, fields: self.fields };
        Ok(Box::new(RoomSchema { hash: hash(&self.hash)?, schema, kept: self.kept }))
    }
}

/// The schema of a room as JSON: what [`RoomSchema`] is read from.
pub(crate) fn room_schema(hash: u64, schema: &Schema, kept: &BTreeMap<String, FieldSchema>) -> String {
    // Schemas have no values that JSON does not have.
    let json = serde_json::to_string(schema).unwrap_or_default();
    let kept = match kept.is_empty() {
        true => String::new(),
        false => format!(",\"kept\":{}", serde_json::to_string(kept).unwrap_or_default()),
    };
    format!("{{\"hash\":\"{hash:016x}\",{}{kept}}}", &json[1..json.len().saturating_sub(1)])
}
