//! How a session that joins, or has fallen behind, is brought up to date: by the state, or by what it missed.

use std::borrow::Cow;

use crate::authority::session::Flow;
use crate::authority::tell::{messages, object, written};
use crate::authority::typed::touched;
use crate::authority::{After, Authority, Dialect, Outbox, SessionId};
use crate::protocol::{server, split_address};

/// A state or a delta, made at a version and sent when that version is durable.
pub(super) struct Bring {
    since: Option<u64>,
    version: u64,
    text: String,
    /// The room's schema, if the client has another and joins.
    schema: Option<String>,
}

impl<O: Outbox> Authority<O> {
    /// The session's queue has room again: if it was behind, it is sent what it missed.
    pub fn drained(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get(&id)
            && session.flow == Flow::Behind
        {
            let since = (!session.stateless).then_some(session.synced);
            self.bring(id, since);
        }
    }

    /// A session of the hook's dialect asked for the state.
    ///
    /// It replaces its whole state by a `state:sync`. Where the room does not have every field (an untyped
    /// room), that would wipe initial fields that nobody wrote, so it is sent a `state:merge` instead, and
    /// nothing while nobody has written anything.
    pub fn hook_sync(&mut self, id: SessionId) {
        if !self.state.is_complete() && self.head == 0 {
            return;
        }
        self.bring(id, None);
    }

    /// Makes the state (`since` is `None`) or a delta at the head version, to be sent when that is durable.
    pub(super) fn bring(&mut self, id: SessionId, since: Option<u64>) {
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
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.flow = Flow::Syncing;
        session.synced = self.head;
        let untold = session.untold.take();
        let declared = declared || untold.is_some();
        let schema = schema.or(untold);
        let mut text = String::new();
        let is_channel = split_address(&self.room).1.is_some();
        match (since, session.dialect) {
            (Some(since), dialect) if is_channel || dialect == Dialect::V1 => {
                self.state.write_delta(since, &mut text);
                if declared {
                    self.state.write_unwritten(&mut text);
                }
            }
            (Some(since), _) => {
                let mut updates = String::new();
                self.state.write_delta(since, &mut updates);
                let state = &*self.state;
                let values: Vec<_> =
                    touched(&updates).into_iter().map(|field| (written(state, &field), field)).collect();
                text = object(&values);
            }
            (None, Dialect::V1) => self.state.write_data(&mut text),
            (None, Dialect::Hook) => self.state.write_plain(&mut text),
        }
        let bring = Bring { since, version: self.head, text, schema };
        match self.in_flight.back_mut() {
            Some(last) => last.after.push(After::Bring(id, bring)),
            None => self.brought(id, &bring),
        }
    }

    /// Sends a session the state, whatever it has been sent.
    pub(super) fn bring_anew(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            // If this is not taken, a delta would not do either.
            session.stateless = true;
            self.bring(id, None);
        }
    }

    /// Sends a state or delta whose version is durable now.
    pub(super) fn brought(&mut self, id: SessionId, bring: &Bring) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.flow = Flow::Live;
        // What it may read is what it may read now, and not when this was made.
        let text = match &self.audiences {
            Some(audiences) => match (bring.since, session.dialect) {
                (Some(_), Dialect::V1) => audiences.updates(session.audience, &bring.text).ok(),
                _ => audiences.fields(session.audience, &bring.text).ok(),
            },
            None => Some(Cow::Borrowed(&*bring.text)),
        };
        // It is what the state has written.
        let Some(text) = text else { return };
        let is_channel = split_address(&self.room).1.is_some();
        let frame = match session.dialect {
            Dialect::Hook if is_channel => {
                for (seq, frame) in messages(&self.room, &bring.text) {
                    session.push(&frame);
                    if session.flow == Flow::Behind {
                        session.synced = seq - 1;
                        return;
                    }
                }
                return;
            }
            Dialect::V1 => {
                let outcomes = self.clients.answers(&session.client, session.answered, bring.version);
                session.answered = session.answered.max(outcomes.last);
                if session.brief {
                    self.subjects.forget();
                }
                let (text, schema) = (&*text, bring.schema.as_deref());
                let beside = server::Beside { schema, brief: session.brief.then_some(self.number) };
                match bring.since {
                    None => server::sync(&self.room, self.epoch, bring.version, text, beside, &outcomes),
                    Some(since) => server::delta(&self.room, since, bring.version, text, beside, &outcomes),
                }
            }
            Dialect::Hook if bring.since.is_none() && self.state.is_complete() => {
                server::hook_sync(&self.room, &text, bring.version)
            }
            Dialect::Hook => server::hook_merge(&self.room, &text, bring.version),
        };
        session.push(&frame);
        if session.flow == Flow::Behind {
            // It was not taken: what it would have brought is still missing.
            session.untold.clone_from(&bring.schema);
            match bring.since {
                Some(since) => session.synced = since,
                None => session.stateless = true,
            }
        } else {
            session.stateless = false;
        }
    }
}
