//! What the authority needs of a room's state, whether the server knows its type or not.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::authority::source::ChangeSource;
use crate::core::Reject;
use crate::core::{FieldInfo, FieldSchema, HashedSchema, Schema, WireUpdate};
use crate::proto::{Declaration, Violation};

/// Who writes, which decides what may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer<'a> {
    /// Somebody over a connection.
    Client(&'a ChangeSource),
    /// The server's own program.
    Server,
    /// The log, when a room is loaded: what it holds was checked when it was accepted.
    Log,
}

/// A room's state: [`Typed`](crate::authority::Typed) or [`Untyped`](crate::authority::Untyped).
pub trait RoomState: Any + Send {
    /// Decodes, checks and applies a change's updates as `version`. All or nothing. Gives the updates as they
    /// were applied, a JSON array, if that is not as they came.
    ///
    /// # Errors
    /// The first update that is wrong, or the rule that does not hold; the state is as it was.
    fn apply(
        &mut self,
        updates: &[WireUpdate<'_>],
        by: Writer<'_>,
        version: u64,
    ) -> Result<Option<String>, Reject>;

    /// The changes that are applied from the log next were made by this client; `None`: by the server, or by a
    /// legacy client.
    fn logged_by(&mut self, client: Option<&str>) {
        let _ = client;
    }

    /// The version that last changed the field with this name; 0 if none did.
    ///
    /// # Errors
    /// No such field.
    fn changed(&self, key: &str) -> Result<u64, Reject>;

    /// Appends the state as a JSON object.
    fn write_data(&self, out: &mut String);

    /// As [`write_data`](Self::write_data), for somebody who only reads: without what merging edits needs.
    fn write_plain(&self, out: &mut String) {
        self.write_data(out);
    }

    /// Whether the data has every field there can be. If not, a field it lacks is one that nobody wrote, and a
    /// client keeps its own initial value for it.
    fn is_complete(&self) -> bool;

    /// Appends the updates since `since` as a JSON array. Costs what changed.
    fn write_delta(&self, since: u64, out: &mut String);

    /// Appends one field's value as JSON; `null` if there is none.
    fn write_field(&self, key: &str, out: &mut String);

    /// Appends what is needed besides the data to make deltas after a restart: a JSON object from paths to
    /// versions.
    fn write_track(&self, out: &mut String);

    /// Takes the state from what [`write_data`](Self::write_data) and [`write_track`](Self::write_track) wrote.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    fn restore(&mut self, data: &str, track: &str) -> Result<(), String>;

    /// It is `now`, in milliseconds since 1970, for a state that depends on it.
    fn set_time(&mut self, now: u64) {
        let _ = now;
    }

    /// The schema of the struct, if there is one.
    fn schema(&self) -> Option<Arc<HashedSchema>> {
        None
    }

    /// What is known of the struct's fields; none if there is no struct.
    fn fields(&self) -> &'static [FieldInfo] {
        &[]
    }

    /// The fields that clients have declared beside the struct's, by their paths.
    fn kept(&self) -> BTreeMap<String, FieldSchema> {
        BTreeMap::new()
    }

    /// Takes a client's declaration of a field that the struct does not have.
    ///
    /// # Errors
    /// It does not fit what is there, or there are too many.
    fn declare(&mut self, path: &str, declaration: &Declaration) -> Result<(), Violation> {
        let _ = (path, declaration);
        Ok(())
    }

    /// The declarations of the fields that `updates` would write and that no entry of the log has yet, as a JSON
    /// object.
    fn unstored(&self, updates: &[WireUpdate<'_>]) -> Option<String> {
        let _ = updates;
        None
    }

    /// An entry of the log has the declarations of what `updates` write.
    fn mark_stored(&mut self, updates: &[WireUpdate<'_>]) {
        let _ = updates;
    }

    /// Adds to a JSON array of updates those that set declared fields which nobody has written.
    fn write_unwritten(&self, out: &mut String) {
        let _ = out;
    }

    /// Appends what is to be known of the fields beside the struct's, for a snapshot, whose data has their values.
    fn write_kept(&self, out: &mut String) {
        out.push_str("{}");
    }

    /// Takes over what [`write_kept`](Self::write_kept) wrote, after the data.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    fn restore_kept(&mut self, kept: &str) -> Result<(), String> {
        let _ = kept;
        Ok(())
    }

    /// What is read from the log, or restored, from here on was written by a struct with this schema.
    fn written_with(&mut self, schema: &Schema) {
        let _ = schema;
    }

    /// Which version of the struct this is.
    fn struct_version(&self) -> u32 {
        1
    }

    /// Takes the state from what version `from` of the struct had at version `at` of the room.
    ///
    /// # Errors
    /// Why it cannot, for people.
    fn migrate(&mut self, from: u32, data: serde_json::Value, at: u64) -> Result<(), String> {
        let _ = (data, at);
        Err(format!("version {from} of a struct, expected none"))
    }

    /// Every field counts as changed at version `at`.
    fn touch_all(&mut self, at: u64) {
        let _ = at;
    }
}

impl dyn RoomState {
    /// The state itself, for a caller who knows its type.
    #[must_use]
    pub fn as_any(&self) -> &dyn Any {
        self
    }
}
