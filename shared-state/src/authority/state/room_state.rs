//! The trait by which the authority uses a room's state, whether or not the server knows its type.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::authority::source::ChangeSource;
use crate::authority::state::changed_paths::WriteCheck;
use crate::core::Reject;
use crate::core::{FieldInfo, FieldSchema, HashedSchema, Schema, WireUpdate};
use crate::proto::{Declaration, Limits, Violation};

/// The origin of a change, which decides what it may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer<'a> {
    /// A client over a connection, the id of its user, and who is asked about the paths that it changes.
    Client(&'a ChangeSource, Option<&'a str>, WriteCheck<'a>),
    /// The server's program.
    Server,
    /// The log, when a room is loaded. Its changes were checked when they were accepted.
    Log,
}

impl<'a> Writer<'a> {
    /// Who is asked about the paths that a client changes.
    pub(super) const fn check(self) -> Option<WriteCheck<'a>> {
        match self {
            Self::Client(_, _, check) => Some(check),
            Self::Server | Self::Log => None,
        }
    }

    /// Who is asked, if anybody is to be asked about paths.
    pub(super) fn path_check(self) -> Option<WriteCheck<'a>> {
        self.check().filter(|check| check.asks())
    }
}

/// A room's state: [`Typed`](crate::authority::Typed), [`Untyped`](crate::authority::Untyped) or
/// [`ChannelLog`](crate::authority::ChannelLog).
pub trait RoomState: Any + Send {
    /// Decodes, checks and applies the updates of a change as `version`, all or none. Returns the applied updates as a
    /// JSON array if they differ from the received ones. A client's [`WriteCheck`] is asked about every path that the
    /// change changes.
    ///
    /// # Errors
    /// The first update that is not valid, or the rule that does not hold. The state is unchanged.
    fn apply(
        &mut self,
        updates: &[WireUpdate<'_>],
        by: Writer<'_>,
        version: u64,
    ) -> Result<Option<String>, Reject>;

    /// The updates of a change as this state applies them, if any is different: an update of an item that has moved to
    /// another list is addressed to where the item is now, a set leaves out the items that have moved away by versions
    /// that its author does not know, and a move to another list is written as what it is made of. The result is a JSON
    /// array.
    ///
    /// # Errors
    /// A move that cannot be made.
    fn forwarded(
        &mut self,
        updates: &[WireUpdate<'_>],
        knows: &dyn Fn(u64) -> bool,
    ) -> Result<Option<String>, Reject> {
        let _ = (updates, knows);
        Ok(None)
    }

    /// Checks the state that a new room begins with: that each of its values reads back from its JSON. Where what reads
    /// back has the same JSON and is another value, the room begins with that, as its clients see it.
    ///
    /// # Errors
    /// A value that does not.
    fn check_initial(&mut self) -> Result<(), Reject> {
        Ok(())
    }

    /// Sets the limits on what clients' changes make of the state: its size as it is sent, and the length of its paths. A
    /// channel has bounds of its own. Costs the state. Called before the state is used, and once it was loaded.
    fn set_limits(&mut self, limits: &Limits) {
        let _ = limits;
    }

    /// Sets the author of the changes that are applied from the log next; `None`: the server or a legacy client.
    fn logged_by(&mut self, client: Option<&str>) {
        let _ = client;
    }

    /// The version that last changed the field at this path; 0 if none did.
    ///
    /// # Errors
    /// There is no such field.
    fn changed(&self, key: &str) -> Result<u64, Reject>;

    /// Appends the state as a JSON object.
    fn write_data(&self, out: &mut String);

    /// As [`write_data`](Self::write_data), without the metadata that is needed to merge edits.
    fn write_plain(&self, out: &mut String) {
        self.write_data(out);
    }

    /// Whether the data has every field of the room. If not, a missing field is one that nobody has written, and a
    /// client keeps its own initial value for it.
    fn is_complete(&self) -> bool;

    /// Appends a delta since version `since`: updates as a JSON array.
    fn write_delta(&self, since: u64, out: &mut String);

    /// Appends the moves from list to list since version `since`, each as the update that takes the item from its
    /// former list: a JSON array, or nothing if there are none.
    fn write_moves(&self, since: u64, out: &mut String) {
        let _ = (since, out);
    }

    /// Appends the field's value as JSON; `null` if there is no such field.
    fn write_field(&self, key: &str, out: &mut String);

    /// Appends what is needed besides the data to make deltas after a restart: a JSON object with the versions that
    /// last changed each path, and what else the state needs.
    fn write_versions(&self, out: &mut String);

    /// Restores the state that [`write_data`](Self::write_data) and [`write_versions`](Self::write_versions) wrote.
    ///
    /// # Errors
    /// The reason why it cannot be read, for people.
    fn restore(&mut self, data: &str, versions: &str) -> Result<(), String>;

    /// Sets the time to `now`, in milliseconds since 1970, for a state that depends on it. Returns whether that changed
    /// the data.
    fn set_time(&mut self, now: u64) -> bool {
        let _ = now;
        false
    }

    /// The schema of the struct, if there is one.
    fn schema(&self) -> Option<Arc<HashedSchema>> {
        None
    }

    /// The fields of the struct; empty if there is no struct.
    fn fields(&self) -> &'static [FieldInfo] {
        &[]
    }

    /// The unknown fields, which clients have declared in addition to the struct's, by their paths.
    fn unknown_fields(&self) -> BTreeMap<String, FieldSchema> {
        BTreeMap::new()
    }

    /// Adds a client's declaration of an unknown field.
    ///
    /// # Errors
    /// The declaration does not fit the room's fields, or there are too many.
    fn declare(&mut self, path: &str, declaration: &Declaration) -> Result<(), Violation> {
        let _ = (path, declaration);
        Ok(())
    }

    /// The path of an unknown field as it is stored: with the struct's own names in place of their aliases.
    fn own_path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(path)
    }

    /// Whether an unknown field is declared at this path.
    fn has_declared(&self, path: &str) -> bool {
        let _ = path;
        false
    }

    /// Whether the state takes no more declarations, because there are as many as it takes.
    fn is_full(&self) -> bool {
        false
    }

    /// Forgets the declaration at this path unless somebody has written the field. Returns whether there is none now.
    fn forget_declared(&mut self, path: &str) -> bool {
        let _ = path;
        true
    }

    /// The declarations of the unknown fields that `updates` write and that no log entry has yet, as a JSON object.
    fn unstored(&self, updates: &[WireUpdate<'_>]) -> Option<String> {
        let _ = updates;
        None
    }

    /// A log entry has the declarations of the unknown fields that `updates` write.
    fn mark_stored(&mut self, updates: &[WireUpdate<'_>]) {
        let _ = updates;
    }

    /// Adds sets of the declared fields that nobody has written to a JSON array of updates.
    fn write_unwritten(&self, out: &mut String) {
        let _ = out;
    }

    /// Appends the declarations and versions of the unknown fields for a snapshot, whose data has their values.
    fn write_unknown_fields(&self, out: &mut String) {
        out.push_str("{}");
    }

    /// Restores what [`write_unknown_fields`](Self::write_unknown_fields) wrote. Called after [`restore`](Self::restore).
    ///
    /// # Errors
    /// The reason why it cannot be read, for people.
    fn restore_unknown_fields(&mut self, declarations: &str) -> Result<(), String> {
        let _ = declarations;
        Ok(())
    }

    /// The data restored or applied from the log next was written by a struct with this schema.
    fn written_with(&mut self, schema: &Schema) {
        let _ = schema;
    }

    /// The version of the struct.
    fn struct_version(&self) -> u32 {
        1
    }

    /// Replaces the state by the migration of `data`, which version `from` of the struct wrote at version `at` of the
    /// room.
    ///
    /// # Errors
    /// The reason why the migration failed, for people.
    fn migrate(&mut self, from: u32, data: serde_json::Value, at: u64) -> Result<(), String> {
        let _ = (data, at);
        Err(format!("version {from} of a struct, expected none"))
    }

    /// Marks every field as changed at version `at`.
    fn mark_all_changed(&mut self, at: u64) {
        let _ = at;
    }
}

impl dyn RoomState {
    /// The state as [`Any`], for a caller that knows its type.
    #[must_use]
    pub fn as_any(&self) -> &dyn Any {
        self
    }
}
