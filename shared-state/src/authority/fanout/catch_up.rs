//! Catch-up: the state or delta that is sent to a session that joins or has fallen behind.

use crate::authority::audience::{Audience, object};
use crate::authority::change::Change;
use crate::authority::fanout::frames::messages;
use crate::authority::fanout::in_flight::{After, CatchUp, Content, Delta};
use crate::authority::fanout::sessions::Flow;
use crate::authority::fanout::state_texts::StateId;
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
        let mut delta = Delta::default();
        let content = match (since, session.dialect) {
            (Some(since), dialect) if self.is_channel || dialect == Dialect::V1 => {
                delta.since = since;
                head.state.write_delta(since, &mut delta.text);
                head.state.write_moves(since, &mut delta.moves);
                if declared {
                    head.state.write_unwritten(&mut delta.text);
                }
                Content::Delta(delta)
            }
            (Some(since), _) => {
                let values = values_since(head, since, outdated.fields);
                if values.is_empty() {
                    // No field has changed since, so no change to send is in flight either.
                    session.flow = Flow::Live;
                    return;
                }
                let text = object(&values);
                let fields = values.into_iter().map(|(_, field)| field).collect();
                Content::Delta(Delta { since, text, fields, ..delta })
            }
            (None, dialect) => {
                let state = StateId { revision: head.revision, dialect, audience: None };
                let write = || {
                    let mut text = String::new();
                    match dialect {
                        Dialect::V1 => head.state.write_data(&mut text),
                        Dialect::Legacy => head.state.write_plain(&mut text),
                    }
                    text
                };
                Content::State(state, self.states.get(state, write))
            }
        };
        let catch_up = CatchUp { version: head.version, content, schema, audience };
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
    pub(super) fn send_catch_up(&mut self, id: SessionId, catch_up: CatchUp, head: &Head<'_>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let is_for_others = matches!(catch_up.content, Content::Delta(_))
            && session.dialect == Dialect::V1
            && session.grant.audience != catch_up.audience;
        if session.synced > catch_up.version || is_for_others {
            // The full state that waits behind it replaces it. Until that is sent, the session gets no changes, and so no
            // answers either.
            session.unsent_schema = catch_up.schema.or_else(|| session.unsent_schema.take());
            return;
        }
        session.flow = Flow::Live;
        let (dialect, audience) = (session.dialect, session.grant.audience);
        let content = self.readable(catch_up.content, dialect, audience);
        match (dialect, content) {
            (Dialect::V1, content) => self.send_v1(id, catch_up.version, &content, catch_up.schema, head),
            (Dialect::Legacy, Content::Delta(delta)) if self.is_channel => {
                self.send_messages(id, &Change::written(delta.text));
            }
            // A legacy client without a version to start from gets only the messages sent from now on.
            (Dialect::Legacy, Content::State(..)) if self.is_channel => {}
            (Dialect::Legacy, content) => self.send_legacy(id, catch_up.version, content, head),
        }
    }

    /// The part of a state or delta that an audience may read. The session's audience may have changed since it was made:
    /// the current one decides.
    fn readable(&mut self, content: Content, dialect: Dialect, audience: Audience) -> Content {
        let Some(audiences) = self.access.audiences() else { return content };
        match content {
            Content::State(state, text) if audiences.hides(audience) => {
                let state = StateId { audience: Some(audience), ..state };
                let shown = self.states.get(state, || audiences.fields(audience, &text).into_owned());
                Content::State(state, shown)
            }
            Content::Delta(mut delta) => {
                delta.text = match dialect {
                    Dialect::V1 => audiences.updates(audience, &Change::written(delta.text)).into_owned(),
                    Dialect::Legacy => audiences.fields(audience, &delta.text).into_owned(),
                };
                if !delta.moves.is_empty() {
                    delta.moves = audiences.moves(audience, &Change::written(delta.moves)).into_owned();
                }
                Content::Delta(delta)
            }
            state @ Content::State(..) => state,
        }
    }

    /// Sends a legacy client the messages of a channel's delta.
    fn send_messages(&mut self, id: SessionId, messages_since: &Change) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        for (seq, frame) in messages(&self.room, messages_since.updates()) {
            session.push(&frame);
            if session.flow == Flow::Behind {
                session.synced = seq - 1;
                return;
            }
        }
    }

    fn send_v1(
        &mut self,
        id: SessionId,
        version: u64,
        content: &Content,
        schema: Option<String>,
        head: &Head<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let schema = schema.or_else(|| session.unsent_schema.take());
        let outcomes = head.answers.answers(&session.client, session.answered, version);
        if session.compact {
            self.headers.forget();
        }
        let beside = server::Beside {
            schema: schema.as_deref(),
            brief: session.compact.then_some(self.headers.room),
            rights: session.denied.as_deref(),
            ..server::Beside::default()
        };
        let frame = match content {
            Content::State(_, text) => {
                let beside = server::Beside { audience: self.access.token(session.grant.audience), ..beside };
                server::sync(&self.room, head.epoch, version, text, beside, &outcomes)
            }
            Content::Delta(Delta { since, text, moves, .. }) => {
                let beside = server::Beside { moves: (!moves.is_empty()).then_some(moves), ..beside };
                server::delta(&self.room, *since, version, text, beside, &outcomes)
            }
        };
        session.push_answers(&frame, outcomes.last);
        if session.flow != Flow::Behind {
            session.stateless = false;
            return;
        }
        // The queue refused the frame: the session still needs it.
        session.unsent_schema = schema;
        match content {
            Content::Delta(delta) => session.synced = delta.since,
            Content::State(..) => session.stateless = true,
        }
    }
}
