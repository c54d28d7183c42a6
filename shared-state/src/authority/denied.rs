//! What a session may not do, as its client is told: by paths, so that it needs to know nothing of roles.
//!
//! Made when a session comes and when its rights are asked again, and sent with its state, or, if it has that already,
//! alone. Whatever a client makes of it, the server decides each change for itself.

use std::sync::Arc;

use crate::authority::audience::Audience;
use crate::authority::session::Flow;
use crate::authority::{Authority, Outbox, Permissions, SessionId};
use crate::core::roles;
use crate::proto::Dialect;
use crate::proto::channel::MESSAGES;
use crate::proto::{Denied, server, split_address};

impl<O> Authority<O> {
    /// Which of the restricted fields somebody with these rights may read.
    pub(super) fn audience_of(&self, rights: Option<&dyn Permissions>) -> Audience {
        self.audiences.as_ref().map_or(0, |audiences| audiences.with(rights))
    }

    /// What somebody in this audience and with these rights may not do, as JSON; `None`: nothing. The hook's dialect
    /// has no words for it.
    pub(super) fn denied(
        &self,
        dialect: Dialect,
        audience: Audience,
        rights: Option<&dyn Permissions>,
    ) -> Option<Arc<str>> {
        if dialect == Dialect::Legacy || rights.is_none() && !self.has_writers && self.audiences.is_none() {
            return None;
        }
        let mut denied = Denied::default();
        if let Some(audiences) = &self.audiences {
            denied.hidden = audiences.hidden(audience, self.state.fields());
        }
        let has = |role: &str| rights.is_some_and(|rights| rights.has(role));
        let refuses = |path: &str| rights.is_some_and(|rights| rights.write(path).is_err());
        if split_address(&self.room).1.is_some() && refuses(MESSAGES) {
            denied.refused.push(MESSAGES.to_owned());
        }
        roles::each_place(self.state.fields(), &mut |path, field| {
            if field.write.is_some_and(|role| !has(role)) {
                if denied.may_write(path, Some("move")) {
                    denied.locked.push(path.to_owned());
                }
            } else if !path.split('/').any(|name| name == roles::ANY)
                && denied.may_write(path, Some("move"))
                && refuses(path)
            {
                denied.refused.push(path.to_owned());
            }
        });
        // It has no values that JSON does not have.
        (!denied.is_empty()).then(|| serde_json::to_string(&denied).unwrap_or_default().into())
    }
}

impl<O: Outbox> Authority<O> {
    /// Gives a session other rights. If it may read other fields than before, it is sent the state, with what it may
    /// read and without what it may not.
    pub fn grant(&mut self, id: SessionId, rights: Option<Arc<dyn Permissions>>) {
        let audience = self.audience_of(rights.as_deref());
        let Some(session) = self.sessions.get(&id) else { return };
        let denied = self.denied(session.dialect, audience, rights.as_deref());
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.rights = rights;
        let is_news = session.denied != denied;
        session.denied = denied;
        if session.audience != audience {
            session.audience = audience;
            self.bring_anew(id);
        } else if is_news && session.flow == Flow::Live {
            // Otherwise the state or delta that follows says so.
            let frame = server::rights(&self.room, session.denied.as_deref());
            session.push(&frame);
        }
    }

    /// Asks for everybody's rights again.
    pub fn ask_rights_again(&mut self) {
        let asked = |(id, rights): (&SessionId, &Arc<dyn Permissions>)| Some((*id, rights.asked_again()?));
        let held = self.sessions.iter().filter_map(|(id, session)| Some((id, session.rights.as_ref()?)));
        let now: Vec<_> = held.filter_map(asked).collect();
        now.into_iter().for_each(|(id, rights)| self.grant(id, Some(rights)));
    }
}
