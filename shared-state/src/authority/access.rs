//! What a session may read and write, given the roles that the struct's fields require and the session's permissions.
//!
//! [`Access`] is fixed for the life of a room, because the struct's roles are. It holds no session: the caller passes
//! the session's [`Grant`]. Called by [`order`](super::order) to check changes and by [`fanout`](super::fanout) to
//! filter frames.

use std::sync::Arc;

use crate::authority::audience::{Audience, Audiences};
use crate::authority::change::Update;
use crate::authority::permissions::Permissions;
use crate::authority::state::WriteCheck;
use crate::core::{Code, FieldInfo, Reject, roles};
use crate::proto::channel::MESSAGES;
use crate::proto::{Declaration, Denied};

/// The roles that the fields of a room's struct require.
pub(super) struct Access {
    fields: &'static [FieldInfo],
    /// The readers of the restricted fields; `None`: every session may read every field.
    audiences: Option<Audiences>,
    /// Whether some field requires a role to be written.
    has_writers: bool,
    is_channel: bool,
}

/// What one session may read and write.
#[derive(Clone, Default)]
pub(super) struct Grant {
    /// `None`: the session may do what a client without a role may do.
    pub(super) permissions: Option<Arc<dyn Permissions>>,
    /// Decides which restricted fields the session may read.
    pub(super) audience: Audience,
}

impl Grant {
    /// The id of the session's user.
    pub(super) fn user(&self) -> Option<&str> {
        self.permissions.as_ref()?.user()
    }

    fn has(&self, role: &str) -> bool {
        self.permissions.as_ref().is_some_and(|permissions| permissions.has(role))
    }

    /// Checks that the session's permissions allow writing at a path.
    pub(super) fn check_path(&self, path: &str) -> Result<(), Reject> {
        let verdict = self.permissions.as_ref().map_or(Ok(()), |permissions| permissions.write(path));
        verdict.map_err(|message| Reject::new(Code::Forbidden, message))
    }
}

impl Access {
    pub(super) fn new(fields: &'static [FieldInfo], is_channel: bool) -> Self {
        let mut has_writers = false;
        roles::each_inside(fields, &mut Vec::new(), &mut |field| has_writers |= field.write.is_some());
        Self { fields, audiences: Audiences::of(fields), has_writers, is_channel }
    }

    /// The readers of the restricted fields; `None`: every session may read every field.
    pub(super) const fn audiences(&self) -> Option<&Audiences> {
        self.audiences.as_ref()
    }

    /// The grant of a session with these permissions.
    pub(super) fn grant(&self, permissions: Option<Arc<dyn Permissions>>) -> Grant {
        let audience = self.audiences.as_ref().map_or(0, |audiences| audiences.with(permissions.as_deref()));
        Grant { permissions, audience }
    }

    /// Identifies the fields that an audience may read; `None`: every session may read every field.
    pub(super) fn token(&self, audience: Audience) -> Option<u64> {
        self.audiences.as_ref().map(|audiences| audiences.token(audience, self.fields))
    }

    /// Whether there is nothing to check: neither the session nor the struct restricts anything.
    fn is_open(&self, grant: &Grant) -> bool {
        grant.permissions.is_none() && !self.has_writers && self.audiences.is_none()
    }

    /// Whether there are fields that a session may not read.
    pub(super) fn hides(&self, grant: &Grant) -> bool {
        self.audiences.as_ref().is_some_and(|audiences| audiences.hides(grant.audience))
    }

    /// Checks that a session may declare a field, whose initial value is shown to the others.
    pub(super) fn check_declaration(
        &self,
        grant: &Grant,
        path: &str,
        declaration: &Declaration,
    ) -> Result<(), Reject> {
        if self.is_open(grant) {
            return Ok(());
        }
        self.check_write(grant, std::iter::once(Update { key: path, op: None, value: "null" }))?;
        WriteCheck::new(grant.permissions.as_deref(), None).declaration(path, declaration)
    }

    /// Checks that a session may read at a path.
    pub(super) fn check_read(&self, grant: &Grant, path: &str) -> Result<(), Reject> {
        match self.audiences.as_ref().and_then(|audiences| audiences.lacks(grant.audience, path)) {
            Some(role) => {
                let message = format!("reading this field requires the role `{role}`");
                Err(Reject::new(Code::Forbidden, message).in_field(path))
            }
            None => Ok(()),
        }
    }

    /// Checks that a session may write all updates of a change.
    pub(super) fn check_write<'a>(
        &self,
        grant: &Grant,
        mut updates: impl Iterator<Item = Update<'a>>,
    ) -> Result<(), Reject> {
        if self.is_open(grant) {
            return Ok(());
        }
        updates.try_for_each(|update| {
            self.check_read(grant, update.key)?;
            if self.has_writers {
                let mut lacking = None;
                roles::each_to_write(self.fields, update.key, update.op, &mut |role| {
                    if lacking.is_none() && !grant.has(role) {
                        lacking = Some(role);
                    }
                });
                if let Some(role) = lacking {
                    let message = format!("writing this field requires the role `{role}`");
                    return Err(Reject::new(Code::Forbidden, message).in_field(update.key));
                }
            }
            grant.check_path(update.key).map_err(|reject| reject.in_field(update.key))
        })
    }

    /// The paths that a session may not read or write, as JSON for its client; `None`: there are no restrictions.
    ///
    /// The client is sent paths, so that it need not know roles. This is only advice to the client: the server checks
    /// every change in any case.
    pub(super) fn denied(&self, grant: &Grant) -> Option<Arc<str>> {
        if self.is_open(grant) {
            return None;
        }
        let mut denied = Denied::default();
        if let Some(audiences) = &self.audiences {
            denied.hidden = audiences.hidden(grant.audience, self.fields);
        }
        if self.is_channel && grant.check_path(MESSAGES).is_err() {
            denied.refused.push(MESSAGES.to_owned());
        }
        roles::each_place(self.fields, &mut |path, field| {
            if field.write.is_some_and(|role| !grant.has(role)) {
                if denied.may_write(path, Some("move")) {
                    denied.locked.push(path.to_owned());
                }
            } else if !path.split('/').any(|name| name == roles::ANY)
                && denied.may_write(path, Some("move"))
                && grant.check_path(path).is_err()
            {
                denied.refused.push(path.to_owned());
            }
        });
        (!denied.is_empty()).then(|| serde_json::to_string(&denied).expect("lists of paths are JSON").into())
    }
}
