//! Legacy clients: their writes, their requests for the state, and the fields that are sent to them again. What each
//! client has accepted is inferred by [`Reconcile`](crate::legacy::Reconcile).

use std::collections::HashSet;
use std::sync::Arc;

use crate::authority::change::{self, Incoming};
use crate::authority::fanout::in_flight::{Content, Delta};
use crate::authority::fanout::sessions::Flow;
use crate::authority::fanout::values::reads_field_verbatim;
use crate::authority::fanout::{Fanout, Outbox};
use crate::authority::order::Head;
use crate::authority::source::SessionId;
use crate::core::FieldPathBuf;
use crate::legacy::Reconcile;
use crate::proto::server;

/// A legacy client's write that is being decided.
pub(in crate::authority) struct Write {
    session: SessionId,
    fields: Vec<Arc<str>>,
}

impl<O: Outbox> Fanout<O> {
    /// Notes a legacy client's write before it is decided. `claim` is the client's own version after the write.
    pub(in crate::authority) fn legacy_wrote(
        &mut self,
        session: SessionId,
        change: Option<&Incoming<'_>>,
        claim: Option<u64>,
    ) -> Write {
        let fields = change.map_or_else(Vec::new, |change| change::fields(change.parts()));
        if let Some(reconcile) = self.reconcile(session) {
            reconcile.wrote(claim, fields.iter());
        }
        Write { session, fields }
    }

    /// Notes that the write was accepted as the last change; `head` is the state after it. The client is sent again the
    /// fields whose values differ from what it wrote: because the state read them differently, or because the program
    /// amended the change.
    pub(in crate::authority) fn legacy_accepted(
        &mut self,
        write: Write,
        change: &Incoming<'_>,
        head: &Head<'_>,
    ) {
        let Write { session: id, fields } = write;
        let mut different: Vec<Arc<str>> = Vec::new();
        if head.state.is_complete() {
            let written = change::last_of_each(change.parts()).into_iter();
            let differs = |(field, last): &(Arc<str>, _)| !reads_field_verbatim(head.state, field, *last);
            different.extend(written.filter(differs).map(|(field, _)| field));
        }
        if let Some(accepted) = self.in_flight.last().filter(|accepted| accepted.rewritten)
            && let Some(session) = self.sessions.get(id)
        {
            let own: HashSet<&Arc<str>> = fields.iter().collect();
            let amended = change::fields(accepted.change.updates()).into_iter().filter(|field| {
                !own.contains(field)
                    && self.access.check_read(&session.grant, FieldPathBuf::of(field).as_str()).is_ok()
            });
            different.extend(amended);
        }
        if let Some(reconcile) = self.reconcile(id) {
            reconcile.accepted(head.version, fields.iter());
            different.into_iter().for_each(|field| reconcile.mark_outdated(field));
        }
        self.resend_outdated(id, head);
    }

    /// Notes that the write was refused, and sends the client the room's values of the fields.
    pub(in crate::authority) fn legacy_refused(&mut self, write: Write, head: &Head<'_>) {
        let Write { session: id, fields } = write;
        let complete = head.state.is_complete();
        for field in fields {
            let changed = head.state.changed(FieldPathBuf::of(&field).as_str());
            let Some(reconcile) = self.reconcile(id) else { break };
            match changed {
                // The room has no such field. The full state removes it from the client's copy.
                Err(_) if complete => reconcile.mark_all_outdated(),
                // Nobody has written the field: there is no value to send.
                Ok(0) | Err(_) if !complete => {}
                _ => reconcile.mark_outdated(field),
            }
        }
        self.resend_outdated(id, head);
    }

    /// Sends the state to a legacy client that asks for it.
    ///
    /// A legacy client replaces its whole state with a `state:sync`. In an untyped room, which lacks the fields that
    /// nobody has written, that would delete the client's initial values. It is sent a `state:merge` there, and nothing
    /// at version 0.
    pub(in crate::authority) fn legacy_sync(&mut self, id: SessionId, head: &Head<'_>) {
        if !head.state.is_complete() && head.version == 0 {
            return;
        }
        self.catch_up(id, None, head);
    }

    fn reconcile(&mut self, id: SessionId) -> Option<&mut Reconcile> {
        self.sessions.get_mut(id)?.reconcile.as_deref_mut()
    }

    /// Sends a session its outdated fields if it is live. Otherwise they are in the state or delta that it waits for.
    pub(super) fn resend_outdated(&mut self, id: SessionId, head: &Head<'_>) {
        if let Some(session) = self.sessions.get(id)
            && session.flow == Flow::Live
            && session.is_outdated()
        {
            let since = session.synced;
            self.catch_up(id, Some(since), head);
        }
    }

    /// Sends a state or delta whose version has become durable, the part of it that the client may read.
    pub(super) fn send_legacy(&mut self, id: SessionId, at: u64, content: Content, head: &Head<'_>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some(reconcile) = &mut session.reconcile else { return };
        let version = reconcile.leap(&mut self.legacy_clock);
        let (frame, delta) = match content {
            Content::State(_, text) if head.state.is_complete() => {
                (server::legacy_sync(&self.room, &text, version), None)
            }
            Content::State(_, text) => (server::legacy_merge(&self.room, &text, version), None),
            Content::Delta(Delta { since, text, fields, .. }) => {
                (server::legacy_merge(&self.room, &text.into(), version), Some((since, fields)))
            }
        };
        if !session.outbox.push(&frame) {
            // The queue refused the frame: the session still needs it.
            session.flow = Flow::Behind;
            match delta {
                None => reconcile.mark_all_outdated(),
                Some((since, fields)) => {
                    fields.into_iter().for_each(|field| reconcile.mark_outdated(field));
                    session.synced = since;
                }
            }
            return;
        }
        match delta {
            None => reconcile.sent_all(version, at),
            Some((_, fields)) => reconcile.sent(version, at, fields.iter()),
        }
        self.resend_outdated(id, head);
    }
}
