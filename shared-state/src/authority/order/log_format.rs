//! The format of a room's log entries and snapshots in the store. Both are JSON.
//!
//! The members of an entry have names of one letter, because there is an entry for every change. Stored rooms contain
//! them, so that their names and their order must not change.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::authority::source::ChangeSource;
use crate::core::Schema;

/// The number of the snapshot format. A snapshot with another number is refused.
pub(super) const FORMAT: u32 = 1;

/// One change in the log.
///
/// The first entry of a typed room contains the state that the room began with, so that the room stays the same when a
/// later program begins its rooms with another state. The first entry after a migration contains the migrated state
/// before the entry's change.
#[derive(Serialize, Deserialize)]
pub(super) struct Entry<'a> {
    /// The client's id; absent for a change of the server or of a legacy client, which are not answered.
    #[serde(rename = "c", borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<Cow<'a, str>>,
    /// The client's sequence number of the change.
    #[serde(rename = "s", default, skip_serializing_if = "is_zero")]
    pub(super) seq: u64,
    /// The version of the struct that wrote the entry.
    #[serde(rename = "v", default = "first", skip_serializing_if = "is_first")]
    pub(super) struct_version: u32,
    /// In the first entry: when the history began, in milliseconds since 1970.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<u64>,
    /// The struct's schema, if the log does not have it yet.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub(super) schema: Option<Cow<'a, Schema>>,
    /// The state before the change, in the first entry and the first after a migration.
    #[serde(rename = "i", borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) initial: Option<&'a RawValue>,
    /// The declarations of unknown fields that this entry is the first to write.
    #[serde(rename = "k", borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) declared: Option<&'a RawValue>,
    /// The updates.
    #[serde(rename = "u", borrow)]
    pub(super) updates: &'a RawValue,
}

const fn first() -> u32 {
    1
}

// serde passes references.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_first(version: &u32) -> bool {
    *version == first()
}

#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(seq: &u64) -> bool {
    *seq == 0
}

impl<'a> Entry<'a> {
    /// The entry of a change of the first version of a struct; the caller sets the other members.
    pub(super) fn new(author: &'a ChangeSource, updates: &'a RawValue) -> Self {
        let (client, seq) = match author {
            ChangeSource::Client { client, seq, .. } => (Some(Cow::Borrowed(&**client)), *seq),
            ChangeSource::Legacy { .. } | ChangeSource::Server => (None, 0),
        };
        Self {
            client,
            seq,
            struct_version: first(),
            created_at: None,
            schema: None,
            initial: None,
            declared: None,
            updates,
        }
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        let initial = self.initial.map_or(0, |json| json.get().len());
        let mut out = Vec::with_capacity(self.updates.get().len() + initial + 64);
        serde_json::to_writer(&mut out, self).expect("an entry has strings, numbers and JSON");
        Bytes::from(out)
    }

    /// # Errors
    /// The bytes are not an entry.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

/// The JSON that a state writes.
pub(super) fn json(write: impl FnOnce(&mut String)) -> Box<RawValue> {
    let mut text = String::new();
    write(&mut text);
    RawValue::from_string(text).expect("a state writes JSON")
}

/// A client in a snapshot: what is needed to recognise a repeated change.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredClient {
    pub(super) since: u64,
    /// The largest sequence number that was decided.
    pub(super) last: u64,
    /// The accepted changes as (sequence number, version).
    pub(super) accepted: Vec<(u64, u64)>,
}

/// The part of a snapshot that is not the state.
#[derive(Serialize, Deserialize)]
pub(super) struct SnapshotHead {
    pub(super) format: u32,
    /// The version of the struct.
    #[serde(default = "first")]
    pub(super) version: u32,
    #[serde(default)]
    pub(super) schema: Option<Schema>,
    /// When the history began, in milliseconds since 1970.
    #[serde(default, rename = "began")]
    pub(super) created_at: Option<u64>,
    pub(super) forgotten: u64,
    pub(super) clients: BTreeMap<String, StoredClient>,
}

/// A room at a version. A room that is opened from it makes the same deltas and recognises the same repeated changes.
#[derive(Serialize, Deserialize)]
pub(super) struct Snapshot<'a> {
    pub(super) head: SnapshotHead,
    /// The version that last changed each path.
    #[serde(rename = "track", borrow)]
    pub(super) versions: &'a RawValue,
    /// The declarations and versions of the unknown fields.
    #[serde(rename = "kept", borrow, default)]
    pub(super) unknown: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
}

impl<'a> Snapshot<'a> {
    pub(super) fn to_bytes(&self) -> Bytes {
        let unknown = self.unknown.map_or(0, |json| json.get().len());
        let size = self.versions.get().len() + unknown + self.data.get().len() + 1024;
        let mut out = Vec::with_capacity(size);
        serde_json::to_writer(&mut out, self).expect("a snapshot has strings, numbers and JSON");
        Bytes::from(out)
    }

    /// # Errors
    /// The bytes are not a snapshot of this format.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let snapshot: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match snapshot.head.format {
            FORMAT => Ok(snapshot),
            found => Err(format!("format {found} found, {FORMAT} expected")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_written_as_ever() {
        let updates: Box<RawValue> = serde_json::from_str(r#"[{"key":"a","value":1}]"#).expect("JSON");
        let data: Box<RawValue> = serde_json::from_str(r#"{"a":0}"#).expect("JSON");
        let server = Entry::new(&ChangeSource::Server, &updates);
        assert_eq!(&server.to_bytes()[..], br#"{"u":[{"key":"a","value":1}]}"#);
        let session = crate::authority::source::SessionId::default();
        let author = ChangeSource::Client { session, client: "c\"d".into(), seq: 7 };
        let mut entry = Entry::new(&author, &updates);
        entry.struct_version = 2;
        entry.created_at = Some(9);
        entry.initial = Some(&data);
        entry.declared = Some(&data);
        let expected =
            r#"{"c":"c\"d","s":7,"v":2,"b":9,"i":{"a":0},"k":{"a":0},"u":[{"key":"a","value":1}]}"#;
        assert_eq!(entry.to_bytes(), expected);
        let read = Entry::read(expected.as_bytes()).expect("an entry");
        assert_eq!(read.to_bytes(), expected);
    }

    #[test]
    fn a_snapshot_is_written_as_ever() {
        let clients =
            BTreeMap::from([("c".to_owned(), StoredClient { since: 0, last: 2, accepted: vec![(1, 5)] })]);
        let head = SnapshotHead {
            format: FORMAT,
            version: 1,
            schema: None,
            created_at: Some(9),
            forgotten: 0,
            clients,
        };
        let object: Box<RawValue> = serde_json::from_str("{}").expect("JSON");
        let snapshot = Snapshot { head, versions: &object, unknown: Some(&object), data: &object };
        let expected = r#"{"head":{"format":1,"version":1,"schema":null,"began":9,"forgotten":0,"clients":{"c":{"since":0,"last":2,"accepted":[[1,5]]}}},"track":{},"kept":{},"data":{}}"#;
        assert_eq!(snapshot.to_bytes(), expected);
        assert!(Snapshot::read(expected.as_bytes()).is_ok());
        assert!(Snapshot::read(expected.replace("format\":1", "format\":2").as_bytes()).is_err());
    }
}
