//! The envelope every frame of every dialect has.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// `{"type", "payload", "room"?, "from"?, "timestamp"?}`; other members are ignored.
#[derive(Clone, Debug, Deserialize)]
pub struct Envelope<'a> {
    /// What the message is.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    /// Its content, not yet looked into.
    #[serde(borrow, default)]
    pub payload: Option<&'a RawValue>,
    /// The room it is about.
    #[serde(borrow, default)]
    pub room: Option<Cow<'a, str>>,
}
