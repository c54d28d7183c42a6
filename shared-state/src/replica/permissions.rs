//! What this client may do in the room, as far as the server has said. It lets an app disable what is not
//! allowed, and lets a write that the server would refuse fail at once. The server checks every change
//! regardless.

use std::sync::Arc;

use crate::core::{
    Code, Field, FieldPathBuf, MergePolicy, Reject, SharedState, WriteError, roles, update_path,
};
use crate::proto::Denied;
use crate::replica::change::PendingUpdate;
use crate::replica::transact::Read;

/// What a client may do in a room, as far as the server has said: everything, until it has. Cheap to clone. A
/// value does not change when the permissions do; ask for a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomPermissions(Option<Arc<Denied>>);

impl RoomPermissions {
    /// Whether a field can be set as a whole. For a list or a map: whether any entry can be set.
    #[must_use]
    pub fn can_set<S: SharedState, T, P: MergePolicy<T>>(&self, field: Field<S, T, P>) -> bool {
        !S::FIELDS[field.id()].read_only && self.can_write(FieldPathBuf::of(field.name()).as_str())
    }

    /// Whether the server sends a field to this client. If it does not, the field has its initial value.
    #[must_use]
    pub fn can_read<S: SharedState, T, P: MergePolicy<T>>(&self, field: Field<S, T, P>) -> bool {
        self.may_read(FieldPathBuf::of(field.name()).as_str())
    }

    /// Whether the value at a path, such as `layout/columns` or `items/7/text`, can be set. Does not consider
    /// whether the field is read-only.
    #[must_use]
    pub fn can_write(&self, path: &str) -> bool {
        self.may_write(path, None)
    }

    /// What is left after what the server denies, in this struct's names.
    pub(super) fn without<S: SharedState>(mut denied: Denied) -> Self {
        for paths in [&mut denied.hidden, &mut denied.locked, &mut denied.refused] {
            // This struct cannot write paths that it does not have.
            paths.retain(|path| roles::has_place(S::FIELDS, path));
        }
        Self((!denied.is_empty()).then(|| Arc::new(denied)))
    }

    /// Whether nothing is denied, as far as known.
    pub(super) const fn is_everything(&self) -> bool {
        self.0.is_none()
    }

    /// Whether an update is allowed, as far as known.
    pub(crate) fn allow<S: SharedState>(&self, update: &S::Update) -> bool {
        self.is_everything() || {
            let mut path = FieldPathBuf::new();
            let op = S::address(update, &mut path);
            self.may_write(path.as_str(), op)
        }
    }

    /// Whether this client is sent what an update changes, as far as known.
    pub(super) fn shows<S: SharedState>(&self, update: &S::Update) -> bool {
        self.is_everything() || self.may_read(update_path::<S>(update).as_str())
    }

    /// Refuses a change whose writes or reads are known to be denied.
    pub(super) fn check<S: SharedState>(
        &self,
        updates: &[S::Update],
        reads: Option<&mut Vec<Read>>,
    ) -> Result<(), WriteError> {
        if self.is_everything() {
            return Ok(());
        }
        if let Some(update) = updates.iter().find(|update| !self.allow::<S>(update)) {
            let path = update_path::<S>(update).as_str().into();
            return Err(WriteError::Forbidden { action: "write", path });
        }
        let Some(reads) = reads else { return Ok(()) };
        // A function that had the whole state to read cannot have read fields that this client is not sent.
        reads.retain(|read| !read.all || self.may_read(&read.path));
        match reads.iter().find(|read| !self.may_read(&read.path)) {
            Some(read) => Err(WriteError::Forbidden { action: "read", path: read.path.clone() }),
            None => Ok(()),
        }
    }

    /// Refuses a change that has read what this client may not read any more, or takes back what it wrote there: it does not
    /// know what is there now.
    pub(super) fn check_known<S: SharedState>(
        &self,
        reads: &[Read],
        taken_back: &[PendingUpdate<S>],
    ) -> Result<(), Reject> {
        if self.is_everything() {
            return Ok(());
        }
        let read = reads.iter().map(|read| read.path.to_string());
        let written = taken_back.iter().map(|update| update_path::<S>(&update.typed).into_string());
        let Some(path) = read.chain(written).find(|path| !self.may_read(path)) else { return Ok(()) };
        let message = "the change depends on what this client may not read any more";
        Err(Reject::new(Code::Forbidden, message).in_field(path))
    }

    fn may_write(&self, path: &str, op: Option<&str>) -> bool {
        self.0.as_ref().is_none_or(|denied| denied.may_write(path, op))
    }

    pub(crate) fn may_read(&self, path: &str) -> bool {
        self.0.as_ref().is_none_or(|denied| denied.may_read(path))
    }
}
