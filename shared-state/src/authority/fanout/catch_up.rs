//! Catch-up: the state or delta that is sent to a session that joins or has fallen behind.

use crate::authority::audience::object;
use crate::authority::change::Change;
use crate::authority::fanout::frames::messages;
use crate::authority::fanout::in_flight::{After, CatchUp};
use crate::authority::fanout::sessions::Flow;
use crate::authority::fanout::values::values_since;
use crate::authority::fanout::{Fanout, Outbox};
use crate::authority::order::Head;
use crate::authority::source::SessionId;
use crate::proto::{Dialect, server};

impl<O: Outbox> Fanout<O> {
    /// The session's queue has space again. If the session was behind, it is sent a delta.
    pub(in crate::authority) fn drained(&mut self, id: SessionId, head: &Head<'_>) {
        if let Some(session) = self.sessions.get(id)
            && session.flow == Flow::Behind
        {
            let since = (!session.stateless).then_some(session.synced);
            self.catch_up(id, since, head);
        }
    }

    /// Makes the state (`since` is `None`) or a delta at the head version, and sends it when that version is durable.
    pub(super) fn catch_up(&mut self, id: SessionId, since: Option<u64>, head: &Head<'_>) {
        self.catch_up_with(id, since, None, false, head);
    }

    /// As [`catch_up`](Self::catch_up), for a session that joins. Includes the room's schema if there is one to send
    /// and, if `declared`, the declared fields that nobody has written.
    pub(super) fn catch_up_with(
        &mut self,
        id: SessionId,
        since: Option<u64>,
        schema: Option<String>,
        declared: bool,
        head: &Head<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let outdated =
            session.reconcile.as_mut().map(|reconcile| reconcile.take_outdated()).unwrap_or_default();
        let since = since.filter(|_| !outdated.whole);
        session.flow = Flow::Syncing;
        session.synced = head.version;
        let (audience, unsent) = (session.grant.audience, session.unsent_schema.take());
        let declared = declared || unsent.is_some();
        let schema = schema.or(unsent);
        let mut text = String::new();
        let (mut moves, mut fields) = (String::new(), Vec::new());
        match (since, session.dialect) {
            (Some(since), dialect) if self.is_channel || dialect == Dialect::V1 => {
                head.state.write_delta(since, &mut text);
                head.state.write_moves(since, &mut moves);
                if declared {
                    head.state.write_unwritten(&mut text);
                }
            }
            (Some(since), _) => {
                let values = values_since(head, since, outdated.fields);
                if values.is_empty() {
                    // No field has changed since, so no change to send is in flight either.
                    session.flow = Flow::Live;
                    return;
                }
                text = object(&values);
                fields = values.into_iter().map(|(_, field)| field).collect();
            }
            (None, Dialect::V1) => head.state.write_data(&mut text),
            (None, Dialect::Legacy) => head.state.write_plain(&mut text),
        }
        let catch_up = CatchUp { since, version: head.version, text, moves, fields, schema, audience };
        self.send_after_last(After::CatchUp(id, catch_up), head);
    }

    /// Sends a session the full state, whatever it was sent before.
    pub(super) fn send_anew(&mut self, id: SessionId, head: &Head<'_>) {
        if let Some(session) = self.sessions.get_mut(id) {
            // If the queue refuses the state, a delta cannot replace it.
            session.stateless = true;
            self.catch_up(id, None, head);
        }
    }

    /// Sends a state or delta whose version has become durable.
    pub(super) fn send_catch_up(&mut self, id: SessionId, mut catch_up: CatchUp, head: &Head<'_>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let is_for_others = catch_up.since.is_some()
            && session.dialect == Dialect::V1
            && session.grant.audience != catch_up.audience;
        if session.synced > catch_up.version || is_for_others {
            // The full state that waits behind it replaces it. Until that is sent, the session gets no changes, and so no
            // answers either.
            session.unsent_schema = catch_up.schema.or_else(|| session.unsent_schema.take());
            return;
        }
        session.flow = Flow::Live;
        let made = std::mem::take(&mut catch_up.text);
        // The session's audience may have changed since the text was made: the current one decides.
        let text = match (self.access.audiences(), catch_up.since, session.dialect) {
            (None, ..) => made,
            (Some(audiences), Some(_), Dialect::V1) => {
                audiences.updates(session.grant.audience, &Change::written(made)).into_owned()
            }
            (Some(audiences), ..) => audiences.fields(session.grant.audience, &made).into_owned(),
        };
        if let (Some(audiences), false) = (self.access.audiences(), catch_up.moves.is_empty()) {
            let made = Change::written(std::mem::take(&mut catch_up.moves));
            catch_up.moves = audiences.moves(session.grant.audience, &made).into_owned();
        }
        match session.dialect {
            Dialect::V1 => self.send_v1_catch_up(id, catch_up, &text, head),
            Dialect::Legacy if self.is_channel => self.send_messages(id, catch_up.since.is_some(), text),
            Dialect::Legacy => self.send_legacy_catch_up(id, &catch_up, &text, head),
        }
    }

    /// Sends a legacy client the messages of a channel's delta. A client without a version to start from gets only the
    /// messages sent from now on.
    fn send_messages(&mut self, id: SessionId, is_delta: bool, text: String) {
        let Some(session) = self.sessions.get_mut(id).filter(|_| is_delta) else { return };
        for (seq, frame) in messages(&self.room, Change::written(text).updates()) {
            session.push(&frame);
            if session.flow == Flow::Behind {
                session.synced = seq - 1;
                return;
            }
        }
    }

    fn send_v1_catch_up(&mut self, id: SessionId, catch_up: CatchUp, text: &str, head: &Head<'_>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let CatchUp { since, version, schema, moves, .. } = catch_up;
        let schema = schema.or_else(|| session.unsent_schema.take());
        let outcomes = head.answers.answers(&session.client, session.answered, version);
        if session.compact {
            self.headers.forget();
        }
        let beside = server::Beside {
            schema: schema.as_deref(),
            brief: session.compact.then_some(self.headers.room),
            rights: session.denied.as_deref(),
            moves: (!moves.is_empty()).then_some(&moves),
            audience: if since.is_none() { self.access.token(session.grant.audience) } else { None },
        };
        let frame = match since {
            None => server::sync(&self.room, head.epoch, version, text, beside, &outcomes),
            Some(since) => server::delta(&self.room, since, version, text, beside, &outcomes),
        };
        session.push_answers(&frame, outcomes.last);
        if session.flow != Flow::Behind {
            session.stateless = false;
            return;
        }
        // The queue refused the frame: the session still needs it.
        session.unsent_schema = schema;
        match since {
            Some(since) => session.synced = since,
            None => session.stateless = true,
        }
    }
}
