//! What the authority keeps in the store: log entries and snapshots, both JSON.
//!
//! An entry is `{"c": client, "s": sequence, "u": updates}`; `c` and `s` are absent where there is no client to
//! answer. The first entry of a typed room also has `i`, the state the room began with, so that a program that
//! later begins its rooms otherwise does not change the history of this one. So has the first entry after a
//! migration: the state before it, as the new version has it. `v` is the version of the struct that wrote the entry,
//! 1 if absent, `b` when the room's history began, in milliseconds since 1970 (in the first entry), `t` its schema, if
//! the entries before were written with another one, and `k` declares fields, beside the struct's, that it is the
//! first to write. A snapshot holds the data, the versions that last changed each path,
//! and the table of answers, so that a room opens as it was closed: it makes the same deltas and recognises the same
//! repeats.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::authority::change::read_updates;
use crate::authority::migration::Migration;
use crate::authority::{Authority, ChangeSource, Outbox, RoomState, Writer};
use crate::core::Schema;
use crate::proto::{ClientId, Declaration, Limits, Outcome, push_string};

/// The format of snapshots; another number is refused.
const FORMAT: u32 = 1;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    c: Option<Cow<'a, str>>,
    #[serde(default)]
    s: u64,
    #[serde(default = "first")]
    v: u32,
    #[serde(default)]
    b: Option<u64>,
    #[serde(default)]
    t: Option<Schema>,
    #[serde(borrow, default)]
    i: Option<&'a RawValue>,
    #[serde(default)]
    k: BTreeMap<String, Declaration>,
    #[serde(borrow)]
    u: &'a RawValue,
}

const fn first() -> u32 {
    1
}

/// What an entry has beside its author and its updates.
#[derive(Default)]
pub(super) struct Context {
    /// The version of the struct.
    pub(super) version: u32,
    /// When the history began, if it is the first entry.
    pub(super) began: Option<u64>,
    /// Its schema as JSON, if the log does not have it.
    pub(super) schema: Option<String>,
    /// The state before the change, if it is the first one, or the first since a migration.
    pub(super) initial: Option<String>,
    /// The declarations of fields that it is the first to write.
    pub(super) declared: Option<String>,
}

/// The entry for a change.
pub(super) fn entry(author: &ChangeSource, context: &Context, updates: &str) -> Bytes {
    let Context { version, began, schema, initial, declared } = context;
    let initial = initial.as_deref();
    let mut out = String::with_capacity(updates.len() + initial.map_or(0, str::len) + 64);
    out.push('{');
    if let ChangeSource::Client { client, seq, .. } = author {
        out.push_str("\"c\":");
        push_string(&mut out, client);
        out.push_str(&format!(",\"s\":{seq},"));
    }
    if *version != first() {
        out.push_str(&format!("\"v\":{version},"));
    }
    if let Some(began) = began {
        out.push_str(&format!("\"b\":{began},"));
    }
    for (name, json) in [("\"t\":", schema.as_deref()), ("\"i\":", initial), ("\"k\":", declared.as_deref())]
    {
        if let Some(json) = json {
            out.push_str(name);
            out.push_str(json);
            out.push(',');
        }
    }
    out.push_str("\"u\":");
    out.push_str(updates);
    out.push('}');
    Bytes::from(out)
}

#[derive(Serialize, Deserialize)]
struct Client {
    since: u64,
    last: u64,
    accepted: Vec<(u64, u64)>,
}

#[derive(Serialize, Deserialize)]
struct SnapshotHead {
    format: u32,
    /// The version of the struct.
    #[serde(default = "first")]
    version: u32,
    #[serde(default)]
    schema: Option<Schema>,
    /// When the history began.
    #[serde(default)]
    began: Option<u64>,
    forgotten: u64,
    clients: BTreeMap<String, Client>,
}

#[derive(Deserialize)]
struct SnapshotBody<'a> {
    #[serde(borrow)]
    head: &'a RawValue,
    #[serde(borrow)]
    track: &'a RawValue,
    #[serde(borrow, default)]
    kept: Option<&'a RawValue>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// A stored room that cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("room `{room}` cannot be opened: version {version}: {message}")]
#[non_exhaustive]
pub struct LoadError {
    /// The room.
    pub room: Arc<str>,
    /// The version of the entry or snapshot that is wrong.
    pub version: u64,
    /// For people: expected and found.
    pub message: String,
}

/// How much log there is since the last snapshot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoomLog {
    entries: u64,
    bytes: usize,
    snapshot: usize,
}

impl RoomLog {
    pub(super) fn note(&mut self, bytes: usize) {
        self.entries += 1;
        self.bytes += bytes;
    }

    /// Whether a snapshot is due: reading the log would cost more than reading a snapshot, well over.
    fn is_long(&self) -> bool {
        self.entries >= 64 && (self.bytes >= 2 * self.snapshot + (64 << 10) || self.entries >= 10_000)
    }
}

impl<O: Outbox> Authority<O> {
    /// Opens a room from what the store has of it: the latest snapshot and the entries after it.
    ///
    /// `state` is the state the room began with.
    ///
    /// # Errors
    /// The snapshot or an entry is not what this room's state can have had.
    pub fn load<'a>(
        room: Arc<str>,
        epoch: u64,
        state: Box<dyn RoomState>,
        limits: Arc<Limits>,
        snapshot: Option<(u64, &[u8])>,
        tail: impl IntoIterator<Item = (u64, &'a [u8])>,
    ) -> Result<Self, LoadError> {
        let mut this = Self::new(room.clone(), epoch, state, limits);
        let fail = |version, message: String| LoadError { room: room.clone(), version, message };
        // What an older version of the struct has written, so far.
        let mut older = None;
        if let Some((version, bytes)) = snapshot {
            older =
                this.restore(bytes).map_err(|message| fail(version, format!("the snapshot: {message}")))?;
            this.head = version;
            this.log.snapshot = bytes.len();
        }
        for (version, bytes) in tail {
            if version != this.head + 1 {
                return Err(fail(version, format!("expected version {} next", this.head + 1)));
            }
            let read = || -> Result<Entry<'_>, String> {
                let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
                serde_json::from_str(text).map_err(|error| error.to_string())
            };
            let entry = read().map_err(|error| fail(version, format!("not an entry: {error}")))?;
            this.state.logged_by(entry.c.as_deref());
            this.began = this.began.or(entry.b);
            this.replay(&entry, version, &mut older).map_err(|message| fail(version, message))?;
            this.head = version;
            this.log.note(bytes.len());
            if let Some(client) = entry.c {
                this.clients.note(&ClientId::from(&*client), entry.s, Outcome::Accepted(version));
            }
        }
        if let Some(Migration { version, data, .. }) = older {
            let head = this.head;
            this.state.migrate(version, data, head).map_err(|message| fail(head, message))?;
            this.migrated = true;
        }
        this.durable = this.head;
        Ok(this)
    }

    /// Applies an entry to the state, or to what an older version of the struct has written.
    fn replay(
        &mut self,
        entry: &Entry<'_>,
        version: u64,
        older: &mut Option<Migration>,
    ) -> Result<(), String> {
        let updates = read_updates(entry.u.get()).map_err(|reject| reject.to_string())?;
        self.check_version(entry.v)?;
        if let Some(schema) = &entry.t {
            self.written_with(schema, entry.v);
        }
        if entry.v < self.state.struct_version() {
            if let Some(initial) = entry.i {
                *older = Some(Migration::new(entry.v, entry.t.clone(), initial.get())?);
            }
            let fold = older.as_mut().filter(|fold| fold.version == entry.v);
            let fold =
                fold.ok_or_else(|| format!("the state that version {} of the struct began with", entry.v))?;
            entry.k.iter().try_for_each(|(path, declaration)| fold.begin(path, declaration))?;
            return updates.iter().try_for_each(|update| fold.apply(update));
        }
        if let Some(initial) = entry.i {
            self.state.restore(initial.get(), "{}")?;
            if version > 1 {
                // What was before it, was before a migration.
                self.state.touch_all(version - 1);
            }
            *older = None;
        }
        if let Some(Migration { version, .. }) = older {
            return Err(format!(
                "the state that was migrated from version {version} of the struct is missing"
            ));
        }
        for (path, declaration) in &entry.k {
            // What does not fit this struct any more is as good as undeclared.
            let _ = self.state.declare(path, declaration);
        }
        self.state.apply(&updates, Writer::Log, version).map_err(|reject| reject.to_string())?;
        if !entry.k.is_empty() {
            self.state.mark_stored(&updates);
        }
        Ok(())
    }

    /// What is read of the log from here on was written with this schema.
    fn written_with(&mut self, schema: &Schema, version: u32) {
        let own = self.schema.as_ref().is_some_and(|own| own.schema == *schema);
        self.logged = self.schema.as_ref().filter(|_| own).map(|known| known.hash);
        if version == self.state.struct_version() {
            self.state.written_with(schema);
        }
    }

    fn check_version(&self, found: u32) -> Result<(), String> {
        let expected = self.state.struct_version();
        match found > expected {
            true => {
                Err(format!("written by version {found} of the struct, this program has version {expected}"))
            }
            false => Ok(()),
        }
    }

    /// Whether the log since the last snapshot has become so long that a new one is due.
    #[must_use]
    pub fn wants_snapshot(&self) -> bool {
        self.log.is_long()
    }

    /// Whether there is anything that a snapshot would spare the next opening.
    #[must_use]
    pub fn has_log(&self) -> bool {
        self.log.entries > 0
    }

    /// A snapshot at the head version; costs the state. It belongs in the store only once the store has that
    /// version.
    pub fn snapshot(&mut self) -> (u64, Bytes) {
        let clients = self
            .clients
            .accepted()
            .map(|(client, since, last, accepted)| (client.to_string(), Client { since, last, accepted }))
            .collect();
        let version = self.state.struct_version();
        let schema = self.schema.as_ref().map(|known| known.schema.clone());
        let forgotten = self.clients.forgotten();
        let head = SnapshotHead { format: FORMAT, version, schema, began: self.began, forgotten, clients };
        let mut out = String::from("{\"head\":");
        out.push_str(&serde_json::to_string(&head).unwrap_or_default());
        out.push_str(",\"track\":");
        self.state.write_track(&mut out);
        out.push_str(",\"kept\":");
        self.state.write_kept(&mut out);
        out.push_str(",\"data\":");
        self.state.write_data(&mut out);
        out.push('}');
        self.log = RoomLog { entries: 0, bytes: 0, snapshot: out.len() };
        (self.head, Bytes::from(out))
    }

    /// Takes over a snapshot; gives the state that an older version of the struct has written.
    fn restore(&mut self, bytes: &[u8]) -> Result<Option<Migration>, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let body: SnapshotBody<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let head: SnapshotHead = serde_json::from_str(body.head.get()).map_err(|error| error.to_string())?;
        if head.format != FORMAT {
            return Err(format!("format {} found, {FORMAT} expected", head.format));
        }
        for (client, Client { since, last, accepted }) in head.clients {
            self.clients.restore(ClientId::from(client), since, last, &accepted);
        }
        self.clients.restore_forgotten(head.forgotten);
        self.began = head.began;
        self.check_version(head.version)?;
        if let Some(schema) = &head.schema {
            self.written_with(schema, head.version);
        }
        if head.version < self.state.struct_version() {
            return Migration::new(head.version, head.schema, body.data.get()).map(Some);
        }
        self.state.restore(body.data.get(), body.track.get())?;
        if let Some(kept) = body.kept {
            self.state.restore_kept(kept.get())?;
        }
        Ok(None)
    }
}
