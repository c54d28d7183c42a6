//! Opens a room from its stored snapshot and log entries, and makes snapshots.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::authority::change::read_updates;
use crate::authority::order::Order;
use crate::authority::order::log_format::{Entry, FORMAT, Snapshot, SnapshotHead, StoredClient, json};
use crate::authority::state::migration::Migration;
use crate::authority::state::{RoomState, Writer};
use crate::core::Schema;
use crate::proto::{ClientId, Declaration, Limits, Outcome};

impl Order {
    /// Opens a room from the latest snapshot and the entries after it. `state` is the state the room began with.
    ///
    /// # Errors
    /// The version of the snapshot or entry that is not valid, and the reason.
    pub(in crate::authority) fn load<'a>(
        epoch: u64,
        state: Box<dyn RoomState>,
        limits: Arc<Limits>,
        snapshot: Option<(u64, &[u8])>,
        tail: impl IntoIterator<Item = (u64, &'a [u8])>,
    ) -> Result<Self, (u64, String)> {
        let mut this = Self::new(epoch, state, limits.clone());
        // The state that an older version of the struct has written, if any.
        let mut older = None;
        if let Some((version, bytes)) = snapshot {
            older = this.restore(bytes).map_err(|message| (version, format!("the snapshot: {message}")))?;
            this.head = version;
            this.log.restart(bytes.len());
        }
        for (version, bytes) in tail {
            if version != this.head + 1 {
                return Err((version, format!("expected version {} next", this.head + 1)));
            }
            let entry = Entry::read(bytes).map_err(|error| (version, format!("not an entry: {error}")))?;
            this.state.logged_by(entry.client.as_deref());
            this.created_at = this.created_at.or(entry.created_at);
            this.replay(&entry, version, &mut older).map_err(|message| (version, message))?;
            this.head = version;
            this.log.note(bytes.len());
            if let Some(client) = entry.client {
                this.answers.note(&ClientId::from(&*client), entry.seq, Outcome::Accepted(version));
            }
        }
        if let Some(older) = older {
            let (version, data) = (older.version, older.into_data());
            let head = this.head;
            this.state.migrate(version, data, head).map_err(|message| (head, message))?;
            this.schema.migrated = true;
        }
        // Once more: the size of the state is another one now.
        this.state.set_limits(&limits);
        Ok(this)
    }

    /// Applies an entry to the state, or to the state of an older version of the struct.
    fn replay(
        &mut self,
        entry: &Entry<'_>,
        version: u64,
        older: &mut Option<Migration>,
    ) -> Result<(), String> {
        let updates = read_updates(entry.updates.get()).map_err(|reject| reject.to_string())?;
        let declared: BTreeMap<String, Declaration> = match entry.declared {
            Some(json) => serde_json::from_str(json.get())
                .map_err(|error| format!("the declarations are not an object: {error}"))?,
            None => BTreeMap::new(),
        };
        self.check_version(entry.struct_version)?;
        if let Some(schema) = &entry.schema {
            self.written_with(schema, entry.struct_version);
        }
        if entry.struct_version < self.state.struct_version() {
            if let Some(initial) = entry.initial {
                let schema = entry.schema.as_deref().cloned();
                *older = Some(Migration::new(entry.struct_version, schema, initial.get())?);
            }
            let older = older.as_mut().filter(|older| older.version == entry.struct_version);
            let older = older.ok_or_else(|| {
                format!("the state that version {} of the struct began with", entry.struct_version)
            })?;
            declared.iter().try_for_each(|(path, declaration)| older.begin(path, declaration))?;
            return updates.iter().try_for_each(|update| older.apply(update));
        }
        if let Some(initial) = entry.initial {
            self.state.restore(initial.get(), "{}")?;
            if version > 1 {
                // This entry is the first after a migration, which changed every field.
                self.state.mark_all_changed(version - 1);
            }
            *older = None;
        }
        if let Some(Migration { version, .. }) = older {
            return Err(format!(
                "the state that was migrated from version {version} of the struct is missing"
            ));
        }
        for (path, declaration) in &declared {
            // A declaration that no longer fits this struct is ignored.
            let _ = self.state.declare(path, declaration);
        }
        self.state.apply(&updates, Writer::Log, version).map_err(|reject| reject.to_string())?;
        if !declared.is_empty() {
            self.state.mark_stored(&updates);
        }
        Ok(())
    }

    /// The snapshot or entries read next were written with this schema.
    fn written_with(&mut self, schema: &Schema, version: u32) {
        let own = self.schema.own.as_ref().filter(|own| own.schema == *schema);
        self.schema.logged = own.map(|own| own.hash);
        if version == self.state.struct_version() {
            self.state.written_with(schema);
        }
    }

    fn check_version(&self, found: u32) -> Result<(), String> {
        let expected = self.state.struct_version();
        if found > expected {
            return Err(format!(
                "written by version {found} of the struct, this program has version {expected}"
            ));
        }
        Ok(())
    }

    /// Restores a snapshot. Returns its state if an older version of the struct has written it.
    fn restore(&mut self, bytes: &[u8]) -> Result<Option<Migration>, String> {
        let Snapshot { head, versions, unknown, data } = Snapshot::read(bytes)?;
        for (client, StoredClient { since, last, accepted }) in head.clients {
            self.answers.restore(ClientId::from(client), since, last, &accepted);
        }
        self.answers.restore_forgotten(head.forgotten);
        self.created_at = head.created_at;
        self.check_version(head.version)?;
        if let Some(schema) = &head.schema {
            self.written_with(schema, head.version);
        }
        if head.version < self.state.struct_version() {
            return Migration::new(head.version, head.schema, data.get()).map(Some);
        }
        self.state.restore(data.get(), versions.get())?;
        if let Some(unknown) = unknown {
            self.state.restore_unknown_fields(unknown.get())?;
        }
        Ok(None)
    }

    /// Whether the log since the last snapshot is so long that a new snapshot is due.
    pub(in crate::authority) const fn wants_snapshot(&self) -> bool {
        self.log.is_due()
    }

    /// Whether there are entries since the last snapshot.
    pub(in crate::authority) const fn has_log(&self) -> bool {
        self.log.has_entries()
    }

    /// A snapshot at the head version. Costs the state.
    pub(in crate::authority) fn snapshot(&mut self) -> (u64, Bytes) {
        let stored = self.answers.accepted();
        let clients = stored
            .map(|(client, since, last, accepted)| {
                (client.to_string(), StoredClient { since, last, accepted })
            })
            .collect();
        let head = SnapshotHead {
            format: FORMAT,
            version: self.state.struct_version(),
            schema: self.schema.own.as_ref().map(|own| own.schema.clone()),
            created_at: self.created_at,
            forgotten: self.answers.forgotten(),
            clients,
        };
        let versions = json(|out| self.state.write_versions(out));
        let unknown = json(|out| self.state.write_unknown_fields(out));
        let data = json(|out| self.state.write_data(out));
        let snapshot = Snapshot { head, versions: &versions, unknown: Some(&unknown), data: &data };
        let bytes = snapshot.to_bytes();
        self.log.restart(bytes.len());
        (self.head, bytes)
    }
}
