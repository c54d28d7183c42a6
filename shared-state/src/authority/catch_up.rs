//! How a session that joins, or has fallen behind, is caught_up up to date: by the state, or by what it missed.

use std::sync::Arc;

use crate::authority::audience::{Audience, Audiences};
use crate::authority::change::Change;
use crate::authority::fanout::{messages, object};
use crate::authority::legacy::values_since;
use crate::authority::session::Flow;
use crate::authority::{After, Authority, Outbox, SessionId};
use crate::proto::Dialect;
use crate::proto::{server, split_address};

/// A state or a delta, made at a version and sent when that version is durable.
pub(super) struct CatchUp {
    pub(super) since: Option<u64>,
    pub(super) version: u64,
    pub(super) text: String,
    /// Of a delta in the hook's dialect: the fields it has.
    pub(super) fields: Vec<Arc<str>>,
    /// The room's schema, if the client has another and joins.
    schema: Option<String>,
    /// The audience that it was made for.
    audience: Audience,
}

impl<O: Outbox> Authority<O> {
    /// The session's queue has room again: if it was behind, it is sent what it missed.
    pub fn drained(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get(&id)
            && session.flow == Flow::Behind
        {
            let since = (!session.stateless).then_some(session.synced);
            self.catch_up(id, since);
        }
    }

    /// Makes the state (`since` is `None`) or a delta at the head version, to be sent when that is durable.
    pub(super) fn catch_up(&mut self, id: SessionId, since: Option<u64>) {
        self.bring_with(id, since, None, false);
    }

    /// The same for a session that joins: with the room's schema, and for one that has `declared` fields, with those
    /// that nobody has written.
    pub(super) fn bring_with(
        &mut self,
        id: SessionId,
        since: Option<u64>,
        schema: Option<String>,
        declared: bool,
    ) {
        let is_channel = split_address(&self.room).1.is_some();
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let outdated = session.reconcile.as_mut().map(|reconcile| reconcile.take_owed()).unwrap_or_default();
        let since = since.filter(|_| !outdated.whole);
        session.flow = Flow::Syncing;
        session.synced = self.head;
        let (audience, untold) = (session.audience, session.untold.take());
        let declared = declared || untold.is_some();
        let schema = schema.or(untold);
        let mut text = String::new();
        let mut fields = Vec::new();
        match (since, session.dialect) {
            (Some(since), dialect) if is_channel || dialect == Dialect::V1 => {
                self.state.write_delta(since, &mut text);
                if declared {
                    self.state.write_unwritten(&mut text);
                }
            }
            (Some(since), _) => {
                let values = values_since(&*self.state, since, self.head, outdated.fields);
                if values.is_empty() {
                    // Nothing is on its way either.
                    session.flow = Flow::Live;
                    return;
                }
                text = object(&values);
                fields = values.into_iter().map(|(_, field)| field).collect();
            }
            (None, Dialect::V1) => self.state.write_data(&mut text),
            (None, Dialect::Legacy) => self.state.write_plain(&mut text),
        }
        let catch_up = CatchUp { since, version: self.head, text, fields, schema, audience };
        match self.in_flight.back_mut() {
            Some(last) => last.after.push(After::CatchUp(id, catch_up)),
            None => self.caught_up(id, catch_up),
        }
    }

    /// Sends a session the state, whatever it has been sent.
    pub(super) fn bring_anew(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            // If this is not taken, a delta would not do either.
            session.stateless = true;
            self.catch_up(id, None);
        }
    }

    /// Sends a state or delta whose version is durable now.
    pub(super) fn caught_up(&mut self, id: SessionId, mut catch_up: CatchUp) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if catch_up.since.is_some() && session.dialect == Dialect::V1 && session.audience != catch_up.audience
        {
            // It builds on what the client could read then. The state that it is to be sent instead is behind it.
            session.untold = catch_up.schema.clone().or_else(|| session.untold.take());
            return;
        }
        session.flow = Flow::Live;
        let written = std::mem::take(&mut catch_up.text);
        // What it may read is what it may read now, and not when this was made.
        let text = match &self.audiences {
            Some(audiences) => match (catch_up.since, session.dialect) {
                (Some(_), Dialect::V1) => {
                    let delta = Change::written(written);
                    audiences.updates(session.audience, &delta).into_owned()
                }
                _ => audiences.fields(session.audience, &written).into_owned(),
            },
            None => written,
        };
        let is_channel = split_address(&self.room).1.is_some();
        let schema = catch_up.schema.clone().or_else(|| session.untold.take());
        let frame = match session.dialect {
            // Without a version to begin at, it is sent what comes from now on.
            Dialect::Legacy if is_channel && catch_up.since.is_none() => return,
            Dialect::Legacy if is_channel => {
                let delta = Change::written(text);
                for (seq, frame) in messages(&self.room, delta.updates()) {
                    session.push(&frame);
                    if session.flow == Flow::Behind {
                        session.synced = seq - 1;
                        return;
                    }
                }
                return;
            }
            Dialect::V1 => {
                let outcomes = self.clients.answers(&session.client, session.answered, catch_up.version);
                session.answered = session.answered.max(outcomes.last);
                if session.brief {
                    self.headers.forget();
                }
                let token =
                    |audiences: &Arc<Audiences>| audiences.token(session.audience, self.state.fields());
                let beside = server::Beside {
                    schema: schema.as_deref(),
                    brief: session.brief.then_some(self.number),
                    rights: session.denied.as_deref(),
                    audience: self.audiences.as_ref().filter(|_| catch_up.since.is_none()).map(token),
                };
                match catch_up.since {
                    None => server::sync(&self.room, self.epoch, catch_up.version, &text, beside, &outcomes),
                    Some(since) => {
                        server::delta(&self.room, since, catch_up.version, &text, beside, &outcomes)
                    }
                }
            }
            Dialect::Legacy => {
                self.brought_hook(id, &catch_up, &text);
                return;
            }
        };
        session.push(&frame);
        if session.flow == Flow::Behind {
            // It was not taken: what it would have caught_up is still missing.
            session.untold = schema;
            match catch_up.since {
                Some(since) => session.synced = since,
                None => session.stateless = true,
            }
        } else {
            session.stateless = false;
        }
    }
}
