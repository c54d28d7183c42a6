//! The roles of a struct, and the roles that a test gives a client.

use crate::authority::Permissions;
use crate::core::{FieldId, Roles, SharedState, roles};

/// The roles that the fields of `S` ask for, each once.
pub(super) fn of<S: SharedState>() -> Vec<&'static str> {
    let mut found = Vec::new();
    roles::each_inside(S::FIELDS, &mut Vec::new(), &mut |field| {
        for role in [field.read, field.write].into_iter().flatten() {
            if !found.contains(&role) {
                found.push(role);
            }
        }
    });
    found
}

/// Whether a client with these roles may read a field: a field is sent whole or not at all.
pub(super) fn may_read<S: SharedState>(held: &Roles, field: FieldId) -> bool {
    let info = &S::FIELDS[field];
    let mut may = info.read.is_none_or(|role| held.has(role));
    if let Some(parts) = info.parts {
        roles::each_inside(parts(), &mut Vec::new(), &mut |field| {
            may &= field.read.is_none_or(|role| held.has(role));
        });
    }
    may
}

/// The rights of a client in a test: it has these roles, and may write at every path.
pub(super) struct Held(pub(super) Roles);

impl Permissions for Held {
    fn write(&self, _path: &str) -> Result<(), String> {
        Ok(())
    }

    fn has(&self, role: &str) -> bool {
        self.0.has(role)
    }
}
