//! What the authority keeps in the store: log entries and snapshots, both JSON.
//!
//! An entry is `{"c": client, "s": sequence, "u": updates}`; `c` and `s` are absent where there is no client to
//! answer. The first entry of a typed room also has `i`, the state the room began with, so that a program that
//! later begins its rooms otherwise does not change the history of this one. A snapshot holds the data, the
//! versions that last changed each path, and the table of answers, so that a room opens as it was closed: it makes
//! the same deltas and recognises the same repeats.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::authority::typed;
use crate::authority::{Author, Authority, Outbox, RoomState, Writer};
use crate::protocol::{ClientId, Limits, Outcome, push_string};

/// The format of snapshots; another number is refused.
const FORMAT: u32 = 1;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    c: Option<Cow<'a, str>>,
    #[serde(default)]
    s: u64,
    #[serde(borrow, default)]
    i: Option<&'a RawValue>,
    #[serde(borrow)]
    u: &'a RawValue,
}

/// The entry for a change; `initial` is the state before it, if it is the first.
pub(super) fn entry(author: &Author, initial: Option<&str>, updates: &str) -> Bytes {
    let mut out = String::with_capacity(updates.len() + initial.map_or(0, str::len) + 64);
    out.push('{');
    if let Author::Client { client, seq, .. } = author {
        out.push_str("\"c\":");
        push_string(&mut out, client);
        out.push_str(&format!(",\"s\":{seq},"));
    }
    if let Some(initial) = initial {
        out.push_str("\"i\":");
        out.push_str(initial);
        out.push(',');
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
    forgotten: u64,
    clients: BTreeMap<String, Client>,
}

#[derive(Deserialize)]
struct SnapshotBody<'a> {
    #[serde(borrow)]
    head: &'a RawValue,
    #[serde(borrow)]
    track: &'a RawValue,
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
        if let Some((version, bytes)) = snapshot {
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
            if let Some(initial) = entry.i {
                this.state.restore(initial.get(), "{}").map_err(|message| fail(version, message))?;
            }
            typed::read_updates(entry.u.get())
                .and_then(|updates| this.state.apply(&updates, Writer::Log { client: entry.c.as_deref() }, version))
                .map_err(|reject| fail(version, reject.to_string()))?;
            this.head = version;
            this.log.note(bytes.len());
            if let Some(client) = entry.c {
                this.clients.note(&ClientId::from(&*client), entry.s, Outcome::Accepted(version));
            }
        }
        this.durable = this.head;
        Ok(this)
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
        let head = SnapshotHead { format: FORMAT, forgotten: self.clients.forgotten(), clients };
        let mut out = String::from("{\"head\":");
        out.push_str(&serde_json::to_string(&head).unwrap_or_default());
        out.push_str(",\"track\":");
        self.state.write_track(&mut out);
        out.push_str(",\"data\":");
        self.state.write_data(&mut out);
        out.push('}');
        self.log = RoomLog { entries: 0, bytes: 0, snapshot: out.len() };
        (self.head, Bytes::from(out))
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
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
        self.state.restore(body.data.get(), body.track.get())
    }
}
