//! What a session may read and write, by the roles that the struct asks for and the permissions it was granted.
//!
//! Fixed for a room, because the struct's roles are. It holds no session: whoever asks brings the session's grant.

use std::sync::Arc;

use crate::authority::audience::{Audience, Audiences};
use crate::authority::change::Update;
use crate::authority::permissions::Permissions;
use crate::core::{Code, FieldInfo, Reject, roles};
use crate::proto::Denied;
use crate::proto::channel::MESSAGES;

/// The roles of a room's struct.
pub(super) struct Access {
    fields: &'static [FieldInfo],
    /// Who may read what, if not everybody may read everything.
    audiences: Option<Audiences>,
    /// Whether a field asks its writers for a role.
    has_writers: bool,
    is_channel: bool,
}

/// What one session may do.
#[derive(Clone, Default)]
pub(super) struct Grant {
    /// `None`: everything that any client may.
    pub(super) permissions: Option<Arc<dyn Permissions>>,
    /// Which restricted fields it may read.
    pub(super) audience: Audience,
}

impl Grant {
    fn has(&self, role: &str) -> bool {
        self.permissions.as_ref().is_some_and(|permissions| permissions.has(role))
    }

    /// Whether its permissions allow to write at a path.
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

    /// Who may read what; `None`: everybody may read everything.
    pub(super) const fn audiences(&self) -> Option<&Audiences> {
        self.audiences.as_ref()
    }

    /// What a session with these permissions may do.
    pub(super) fn grant(&self, permissions: Option<Arc<dyn Permissions>>) -> Grant {
        let audience = self.audiences.as_ref().map_or(0, |audiences| audiences.with(permissions.as_deref()));
        Grant { permissions, audience }
    }

    /// Identifies what an audience may read; `None`: everybody may read everything.
    pub(super) fn token(&self, audience: Audience) -> Option<u64> {
        self.audiences.as_ref().map(|audiences| audiences.token(audience, self.fields))
    }

    /// Whether a session may do whatever any client may, and there is nothing to check.
    fn is_open(&self, grant: &Grant) -> bool {
        grant.permissions.is_none() && !self.has_writers && self.audiences.is_none()
    }

    /// Whether a session may read at a path.
    pub(super) fn check_read(&self, grant: &Grant, path: &str) -> Result<(), Reject> {
        match self.audiences.as_ref().and_then(|audiences| audiences.lacks(grant.audience, path)) {
            Some(role) => {
                let message = format!("this is read by those with the role `{role}`");
                Err(Reject::new(Code::Forbidden, message).in_field(path))
            }
            None => Ok(()),
        }
    }

    /// Whether a session may write all updates of a change.
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
                    let message = format!("this is written by those with the role `{role}`");
                    return Err(Reject::new(Code::Forbidden, message).in_field(update.key));
                }
            }
            grant.check_path(update.key).map_err(|reject| reject.in_field(update.key))
        })
    }

    /// What a session may not do, as JSON, for its client; `None`: it may do what any client may.
    ///
    /// Paths say it, so that a client needs to know nothing of roles. Whatever the client makes of it, the server
    /// checks every change.
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
