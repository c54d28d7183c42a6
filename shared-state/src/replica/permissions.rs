//! What this client may do in the room, as far as the server has said: so that a program can show what is not allowed,
//! and a write that would be refused is refused at once. The server decides all the same.

use std::sync::Arc;

use crate::core::MergePolicy;
use crate::core::WriteError;
use crate::core::{Field, FieldPathBuf, SharedState, roles};
use crate::proto::Denied;
use crate::replica::{Read, Replica};

/// What a client may do in a room, as far as the server has told it: everything, before it has. Cheap to clone; it
/// stays what it was when it was asked for.
#[derive(Clone, Debug, Default)]
pub struct RoomPermissions(Option<Arc<Denied>>);

impl RoomPermissions {
    /// Whether a field can be set as a whole. Of a list or a map: whether any entry can be put there.
    #[must_use]
    pub fn can_set<S: SharedState, T, P: MergePolicy<T>>(&self, field: Field<S, T, P>) -> bool {
        !S::FIELDS[field.id()].read_only && self.can_write(FieldPathBuf::of(field.name()).as_str())
    }

    /// Whether the server sends a field to this client. If not, it has its initial value.
    #[must_use]
    pub fn can_read<S: SharedState, T, P: MergePolicy<T>>(&self, field: Field<S, T, P>) -> bool {
        self.may_read(FieldPathBuf::of(field.name()).as_str())
    }

    /// Whether what lies at a path, `layout/columns` or `items/7/text`, can be set. That only the server writes a field
    /// is not looked at.
    #[must_use]
    pub fn can_write(&self, path: &str) -> bool {
        self.may_write(path, None)
    }

    fn may_write(&self, path: &str, op: Option<&str>) -> bool {
        self.0.as_ref().is_none_or(|denied| denied.may_write(path, op))
    }

    fn may_read(&self, path: &str) -> bool {
        self.0.as_ref().is_none_or(|denied| denied.may_read(path))
    }
}

impl PartialEq for RoomPermissions {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for RoomPermissions {}

impl<S: SharedState> Replica<S> {
    /// What this client may do, as it was told last; everything before it was.
    #[must_use]
    pub const fn rights(&self) -> &RoomPermissions {
        &self.rights
    }

    /// Takes what the server says that this client may not do.
    pub(super) fn take_rights(&mut self, mut denied: Denied) {
        for paths in [&mut denied.hidden, &mut denied.locked, &mut denied.refused] {
            if let Some(differences) = &self.negotiation.differences {
                for path in paths.iter_mut() {
                    *path = differences.to_own(path).unwrap_or_else(|| std::mem::take(path));
                }
            }
            // What is not in this struct is not written by it.
            paths.retain(|path| roles::has_place(S::FIELDS, path));
        }
        let rights = RoomPermissions((!denied.is_empty()).then(|| Arc::new(denied)));
        if self.rights != rights {
            self.rights = rights;
        }
    }

    /// Whether this update is not known to be refused.
    pub(super) fn may_write(&self, update: &S::Update) -> bool {
        self.rights.0.is_none() || {
            let mut path = FieldPathBuf::new();
            let op = S::address(update, &mut path);
            self.rights.may_write(path.as_str(), op)
        }
    }

    /// Refuses what is known to be refused.
    pub(super) fn check_rights(
        &self,
        updates: &[S::Update],
        reads: Option<&mut Vec<Read>>,
    ) -> Result<(), WriteError> {
        if self.rights.0.is_none() {
            return Ok(());
        }
        if let Some(update) = updates.iter().find(|update| !self.may_write(update)) {
            let mut path = FieldPathBuf::new();
            S::address(update, &mut path);
            return Err(WriteError::Forbidden { action: "write", path: path.as_str().into() });
        }
        let Some(reads) = reads else { return Ok(()) };
        // Of all that a function may have looked at, what it cannot see it has not seen.
        reads.retain(|read| !read.all || self.rights.may_read(&read.path));
        match reads.iter().find(|read| !self.rights.may_read(&read.path)) {
            Some(read) => Err(WriteError::Forbidden { action: "read", path: read.path.clone() }),
            None => Ok(()),
        }
    }
}
