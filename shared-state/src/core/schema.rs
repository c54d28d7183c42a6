//! The schema of a struct: what a program that was built from another version of the struct has to know of
//! it.
//!
//! A [`Schema`] has the shared fields with their policies and shapes. Two programs whose schemas differ can
//! share a room if every field that both have is the same in both. [`schema`](crate::schema) compares two
//! schemas and converts values between them.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::core::shape::{fnv, shape};
use crate::core::{FieldInfo, FieldPath, FieldPathBuf, PolicyInfo, SharedState};

/// The depth to which nested structs are described. A struct may contain itself, so there has to be an end.
const DEPTH: usize = 8;

/// The depth to which the fields of entries are described.
const ENTRIES: usize = 3;

/// The shared fields of a struct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// [`SharedState::VERSION`].
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub version: u32,
    /// The fields by their names on the wire.
    pub fields: BTreeMap<String, FieldSchema>,
}

/// The schema of one field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSchema {
    /// The merge policy's name.
    pub policy: String,
    /// The form of the value in serde's data model; empty for a nested struct, which is described by its
    /// fields.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shape: String,
    /// Other names that are accepted for the field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// The fields of a nested struct, or of the nested structs that are the entries of a list or map.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldSchema>,
}

const fn first() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_first(version: &u32) -> bool {
    *version == 1
}

/// The error of two schemas that cannot share a room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}expected {expected}, found {found}", if .field.is_empty() { String::new() } else { format!("`{}`: ", .field) })]
#[non_exhaustive]
pub struct SchemaError {
    /// The field's path; empty if the error is about the whole struct.
    pub field: String,
    /// What this side has.
    pub expected: String,
    /// What the other side has.
    pub found: String,
}

impl SchemaError {
    pub(crate) fn new(field: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { field: field.to_owned(), expected: expected.into(), found: found.into() }
    }
}

impl Schema {
    /// The schema of `S`. Computed once for each type; later calls look it up in a table.
    #[must_use]
    pub fn of<S: SharedState>() -> Arc<HashedSchema> {
        static KNOWN: Mutex<BTreeMap<TypeId, Arc<HashedSchema>>> = Mutex::new(BTreeMap::new());
        let table = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let id = TypeId::of::<S>();
        if let Some(known) = table().get(&id) {
            return known.clone();
        }
        // Computed without the lock, because this runs the `Deserialize` code of the field types.
        let fields = fields::<S>(S::FIELDS, &FieldPathBuf::new(), 1);
        let schema = Self { version: S::VERSION, fields };
        let known = Arc::new(HashedSchema { hash: schema.hash(), schema });
        table().entry(id).or_insert(known).clone()
    }

    /// The schema's hash, which is the same in every program: FNV-1a, 64 bits, of the schema as JSON without
    /// spaces, with its members in the order of `PROTOCOL.md` and the fields sorted by name.
    #[must_use]
    pub fn hash(&self) -> u64 {
        // Serialization cannot fail: every value here has a JSON form.
        fnv(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// A schema with its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HashedSchema {
    /// The schema.
    pub schema: Schema,
    /// Its [`hash`](Schema::hash).
    pub hash: u64,
}

impl From<Schema> for HashedSchema {
    fn from(schema: Schema) -> Self {
        Self { hash: schema.hash(), schema }
    }
}

/// The schema of an untyped room, which has no struct.
impl Default for Schema {
    fn default() -> Self {
        Self { version: 1, fields: BTreeMap::new() }
    }
}

/// The fields inside a field, if the field is a nested struct.
pub(crate) fn parts(info: &FieldInfo) -> Option<&'static [FieldInfo]> {
    info.parts.filter(|_| info.policy == "nested").map(|parts| parts())
}

/// The schemas of `infos`, which are fields of `S` or lie inside it at the path `within`.
pub(crate) fn fields<S: SharedState>(
    infos: &'static [FieldInfo],
    within: &FieldPathBuf,
    depth: usize,
) -> BTreeMap<String, FieldSchema> {
    let field = |info: &'static FieldInfo| {
        let mut path = within.clone();
        path.push(info.name);
        let parts = parts(info).filter(|_| depth < DEPTH);
        let (shape, inner) = match parts {
            Some(parts) => (String::new(), fields::<S>(parts, &path, depth + 1)),
            // The probe makes most reads fail. Only what the type asked for counts.
            None => (
                shape(|probe| drop(S::decode(FieldPath::new(path.as_str()), None, probe))),
                entries(info, depth),
            ),
        };
        let also = info.aliases.iter().map(|alias| (*alias).to_owned()).collect();
        let policy = info.about.map_or_else(|| info.policy.to_owned(), policy);
        let schema = FieldSchema { policy, shape, also, fields: inner };
        (info.name.to_owned(), schema)
    };
    infos.iter().map(field).collect()
}

/// The fields of the nested structs that are the entries of a field. The entries of lists and maps that are nested deeper
/// are described by their shape alone.
fn entries(info: &FieldInfo, depth: usize) -> BTreeMap<String, FieldSchema> {
    let entries = info.about.and_then(|about| about.entries).filter(|_| depth <= ENTRIES);
    entries.and_then(|entries| entries.schema).map_or_else(BTreeMap::new, |schema| schema(depth + 1))
}

/// A policy's name with its arguments, the list's key and the entries' policy: `list(id, nested)`.
fn policy(about: &PolicyInfo) -> String {
    let entries = about.entries.map(policy).filter(|name| name != "lww");
    let arguments: Vec<_> = about.name_of_key().map(str::to_owned).into_iter().chain(entries).collect();
    match arguments.is_empty() {
        true => about.name.to_owned(),
        false => format!("{}({})", about.name, arguments.join(", ")),
    }
}

/// The path of the member `name` of the struct at `within`.
pub(crate) fn join(within: &str, name: &str) -> String {
    let path = FieldPathBuf::of(name);
    match within.is_empty() {
        true => path.into_string(),
        false => format!("{within}/{}", path.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_another_by_another_key_or_other_entries() {
        const NESTED: PolicyInfo = PolicyInfo::new("nested");
        const LWW: PolicyInfo = PolicyInfo::new("lww");
        assert_eq!(policy(&PolicyInfo::new("list").key("id").entries(&NESTED)), "list(id, nested)");
        assert_eq!(policy(&PolicyInfo::new("list").key("id").entries(&LWW)), "list(id)");
        assert_eq!(policy(&PolicyInfo::new("map").entries(&LWW)), "map");
    }

    #[test]
    fn the_hash_is_of_the_json() {
        let title = FieldSchema {
            policy: "lww".into(),
            shape: "string".into(),
            also: vec!["name".into()],
            ..FieldSchema::default()
        };
        let schema = Schema { version: 1, fields: BTreeMap::from([("title".to_owned(), title)]) };
        let json = r#"{"fields":{"title":{"policy":"lww","shape":"string","also":["name"]}}}"#;
        assert_eq!(serde_json::to_string(&schema).expect("it has a JSON form"), json);
        assert_eq!(schema.hash(), fnv(json.as_bytes()));
        assert_eq!(fnv(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
