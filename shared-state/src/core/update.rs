//! The JSON form of an update: `{"key": "title", "value": "My Document"}`, with a member `"op"` if the update
//! is not a plain set.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::core::json_text::JsonText;
use crate::core::read_back::check_read_back;
use crate::core::text_scope;
use crate::core::{FieldPath, FieldPathBuf, SharedState};

/// An update in a JSON message, borrowed from the frame. Its value stays text until the type that it belongs
/// to decodes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireUpdate<'a> {
    /// The path; see [`FieldPath`].
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    /// The operation's name; absent for a plain set.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub op: Option<Cow<'a, str>>,
    /// The operation's value.
    #[serde(borrow)]
    pub value: &'a RawValue,
}

/// What is wrong with an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateErrorKind {
    /// No field has this name.
    UnknownField,
    /// The field's policy has no operation of this name.
    UnknownOp,
    /// The value does not have the field's type.
    WrongType,
}

/// The error of an update that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UpdateError {
    /// What is wrong.
    pub kind: UpdateErrorKind,
    /// The field's path, as far as it could be read.
    pub field: String,
    /// A message for people: what was expected, and what was found.
    pub message: String,
}

impl UpdateError {
    /// The struct `state` has no field `name`.
    #[must_use]
    pub fn unknown_field(state: &str, name: &str) -> Self {
        let message = format!("`{state}` has no field `{name}`");
        Self { kind: UpdateErrorKind::UnknownField, field: name.to_owned(), message }
    }

    /// The policy `policy` has no operation `op`.
    #[must_use]
    pub fn unknown_op(policy: &str, op: &str) -> Self {
        let message = format!("a `{policy}` field has no operation `{op}`");
        Self { kind: UpdateErrorKind::UnknownOp, field: String::new(), message }
    }

    /// The path continues below a value that has no parts.
    #[must_use]
    pub fn no_parts(policy: &str, segment: &str) -> Self {
        let message = format!("a `{policy}` field has no part `{segment}` to address");
        Self { kind: UpdateErrorKind::UnknownField, field: segment.to_owned(), message }
    }

    /// The value could not be decoded.
    #[must_use]
    pub fn wrong_type(error: &impl fmt::Display) -> Self {
        Self { kind: UpdateErrorKind::WrongType, field: String::new(), message: error.to_string() }
    }

    /// Prepends `field` to the path, as seen from the struct that holds the field.
    #[must_use]
    pub fn in_field(mut self, field: &str) -> Self {
        let path = FieldPathBuf::of(field);
        self.field = match self.field.is_empty() {
            true => path.into_string(),
            false => format!("{}/{}", path.as_str(), self.field),
        };
        self
    }
}

/// An update written as JSON text.
#[derive(Clone, Debug)]
pub struct EncodedUpdate(Box<str>);

impl EncodedUpdate {
    /// The JSON text: an object with `key`, `op` (if it is not a plain set) and `value`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

struct Addressed<'a, S: SharedState> {
    update: &'a S::Update,
}

impl<S: SharedState> Serialize for Addressed<'_, S> {
    fn serialize<Ser: Serializer>(&self, serializer: Ser) -> Result<Ser::Ok, Ser::Error> {
        use serde::ser::SerializeStruct as _;
        let mut path = FieldPathBuf::new();
        let op = S::address(self.update, &mut path);
        let mut object = serializer.serialize_struct("Update", 3)?;
        object.serialize_field("key", path.as_str())?;
        if let Some(op) = op {
            object.serialize_field("op", op)?;
        }
        object.serialize_field("value", &Payload::<S> { update: self.update })?;
        object.end()
    }
}

pub(super) struct Payload<'a, S: SharedState> {
    pub(super) update: &'a S::Update,
}

impl<S: SharedState> Serialize for Payload<'_, S> {
    fn serialize<Ser: Serializer>(&self, serializer: Ser) -> Result<Ser::Ok, Ser::Error> {
        S::encode(self.update, serializer)
    }
}

/// Encodes an update as JSON.
///
/// # Errors
/// The field's `Serialize` failed.
pub fn encode_update<S: SharedState>(update: &S::Update) -> Result<EncodedUpdate, UpdateError> {
    text_scope::with_history(|| serde_json::to_string(&Addressed::<S> { update }))
        .map(|text| EncodedUpdate(text.into_boxed_str()))
        .map_err(|error| not_sendable::<S>(update, &error))
}

/// The path that an update is addressed to.
pub(crate) fn update_path<S: SharedState>(update: &S::Update) -> FieldPathBuf {
    let mut path = FieldPathBuf::new();
    S::address(update, &mut path);
    path
}

/// Encodes what an update does, wherever that is, in which texts are strings without their history.
pub(crate) fn encode_operation<S: SharedState>(update: &S::Update) -> Option<String> {
    let op = S::address(update, &mut FieldPathBuf::new());
    serde_json::to_string(&(op, Payload::<S> { update })).ok()
}

/// Encodes an update as JSON, in which texts are strings without their history.
///
/// # Errors
/// The field's `Serialize` failed.
pub(crate) fn encode_plain<S: SharedState>(update: &S::Update) -> Result<String, UpdateError> {
    serde_json::to_string(&Addressed::<S> { update }).map_err(|error| not_sendable::<S>(update, &error))
}

/// Encodes an update as JSON and decodes it again. The result is the update that everyone else receives,
/// without what the field's serde code leaves out or rounds.
///
/// # Errors
/// The field's `Serialize` failed, or the update reads back as another one or not at all.
pub(crate) fn canonical_update<S: SharedState>(
    update: &S::Update,
) -> Result<(S::Update, EncodedUpdate), UpdateError> {
    let mut path = FieldPathBuf::new();
    let op = S::address(update, &mut path);
    let fail = |error: serde_json::Error| not_sendable::<S>(update, &error);
    let mut text = Vec::with_capacity(96);
    text.extend_from_slice(b"{\"key\":");
    serde_json::to_writer(&mut text, path.as_str()).map_err(fail)?;
    if let Some(op) = op {
        text.extend_from_slice(b",\"op\":");
        serde_json::to_writer(&mut text, op).map_err(fail)?;
    }
    text.extend_from_slice(b",\"value\":");
    let start = text.len();
    text_scope::with_history(|| serde_json::to_writer(&mut text, &Payload::<S> { update })).map_err(fail)?;
    let value: &RawValue = serde_json::from_slice(&text[start..]).map_err(fail)?;
    let canonical = S::decode(FieldPath::new(path.as_str()), op, JsonText::of(value))?;
    let (written, read) = (Payload::<S> { update }, Payload::<S> { update: &canonical });
    text_scope::with_history(|| check_read_back(&written, &read)).map_err(fail)?;
    text.push(b'}');
    let text = String::from_utf8(text).map_err(|error| UpdateError::wrong_type(&error))?;
    Ok((canonical, EncodedUpdate(text.into_boxed_str())))
}

fn not_sendable<S: SharedState>(update: &S::Update, error: &serde_json::Error) -> UpdateError {
    UpdateError::wrong_type(error).in_field(S::FIELDS[S::field(update)].name)
}

/// Decodes an update from JSON.
///
/// # Errors
/// The field or the operation is unknown, or the value has the wrong form.
pub fn decode_update<S: SharedState>(wire: &WireUpdate<'_>) -> Result<S::Update, UpdateError> {
    S::decode(FieldPath::new(&wire.key), wire.op.as_deref(), JsonText::of(wire.value))
}

/// The `Serialize` implementation of generated updates, in the form of [`WireUpdate`].
///
/// # Errors
/// The serializer, or the value's `Serialize`, failed.
pub fn serialize_update<S: SharedState, Ser: Serializer>(
    update: &S::Update,
    serializer: Ser,
) -> Result<Ser::Ok, Ser::Error> {
    Addressed::<S> { update }.serialize(serializer)
}

/// The `Deserialize` implementation of generated updates. It reads from JSON text only, since the value stays
/// text until its field is known.
///
/// # Errors
/// The input is not an update of `S`.
pub fn deserialize_update<'de, S: SharedState, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<S::Update, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename = "Update", deny_unknown_fields)]
    struct Owned {
        key: String,
        #[serde(default)]
        op: Option<String>,
        value: Box<RawValue>,
    }
    let Owned { key, op, value } = Owned::deserialize(deserializer)?;
    S::decode(FieldPath::new(&key), op.as_deref(), JsonText::of(&value))
        .map_err(|error| serde::de::Error::custom(format_args!("`{key}`: {error}")))
}

/// The most updates of one field in a change that clients make of it. A longer list of differences takes more work than
/// the value as a whole, and more bytes.
pub(crate) const MAX_DIFFERENCES: usize = 4096;

/// The smallest updates that replace an update of `state`, if there are any: of what it sets, only what differs. More
/// than [`MAX_DIFFERENCES`] are none.
pub(crate) fn smaller_updates<S: SharedState>(state: &S, update: &S::Update) -> Option<Vec<S::Update>> {
    let mut smallest = Vec::new();
    for part in state.decompose(update)? {
        // A part may set a value inside.
        match if part == *update { None } else { smaller_updates(state, &part) } {
            Some(parts) => smallest.extend(parts),
            None => smallest.push(part),
        }
    }
    (smallest.len() <= MAX_DIFFERENCES).then_some(smallest)
}

/// Applies inverses, the last one first.
pub(crate) fn take_back<S: SharedState>(state: &mut S, inverses: Vec<S::Update>) {
    for inverse in inverses.into_iter().rev() {
        state.apply(inverse);
    }
}
