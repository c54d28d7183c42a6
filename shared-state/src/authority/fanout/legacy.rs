//! Legacy clients: their writes, the state they ask for, and what is sent to them again. What each has taken is known by
//! [`Reconcile`](crate::legacy::Reconcile).

use std::sync::Arc;

use crate::authority::change::{self, Incoming};
use crate::authority::fanout::in_flight::CatchUp;
use crate::authority::fanout::sessions::Flow;
use crate::authority::fanout::values::reads_field_verbatim;
use crate::authority::fanout::{Fanout, Outbox};
use crate::authority::order::Head;
use crate::authority::source::SessionId;
use crate::core::FieldPathBuf;
use crate::legacy::Reconcile;
use crate::proto::server;

/// A legacy client's write of some fields, while it is decided.
pub(in crate::authority) struct Write {
    session: SessionId,
    fields: Vec<Arc<str>>,
}

impl<O: Outbox> Fanout<O> {
    /// A legacy client writes. `claim` is the version that the client has by it.
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

    /// The write was accepted as the last change, and `head` is the state after it. Where the client shows other
    /// values, because they are read otherwise than it wrote them or the program has amended the change, it is sent the
    /// fields again.
    pub(in crate::authority) fn legacy_accepted(
        &mut self,
        write: Write,
        change: &Incoming<'_>,
        head: &Head<'_>,
    ) {
        let Write { session: id, fields } = write;
        let mut other: Vec<Arc<str>> = Vec::new();
        if head.state.is_complete() {
            let differs = |field: &&Arc<str>| !reads_field_verbatim(head.state, field, change.parts());
            other.extend(fields.iter().filter(differs).cloned());
        }
        if let Some(accepted) = self.in_flight.last().filter(|accepted| accepted.rewritten)
            && let Some(session) = self.sessions.get(id)
        {
            let amended = change::fields(accepted.change.updates()).into_iter().filter(|field| {
                !fields.contains(field)
                    && self.access.check_read(&session.grant, FieldPathBuf::of(field).as_str()).is_ok()
            });
            other.extend(amended);
        }
        if let Some(reconcile) = self.reconcile(id) {
            reconcile.accepted(head.version, fields.iter());
            other.into_iter().for_each(|field| reconcile.mark_outdated(field));
        }
        self.resend_outdated(id, head);
    }

    /// The write was refused: the client is sent the fields as the room has them.
    pub(in crate::authority) fn legacy_refused(&mut self, write: Write, head: &Head<'_>) {
        let Write { session: id, fields } = write;
        let complete = head.state.is_complete();
        for field in fields {
            let changed = head.state.changed(FieldPathBuf::of(&field).as_str());
            let Some(reconcile) = self.reconcile(id) else { break };
            match changed {
                // A state has every field there is, and replaces what is beside them.
                Err(_) if complete => reconcile.mark_all_outdated(),
                // Nobody has written it: there is no value to send.
                Ok(0) | Err(_) if !complete => {}
                _ => reconcile.mark_outdated(field),
            }
        }
        self.resend_outdated(id, head);
    }

    /// A legacy client asks for the state.
    ///
    /// It replaces its whole state by a `state:sync`. Where the room does not have every field (an untyped room), that
    /// would wipe initial fields that nobody wrote, so that it is sent a `state:merge` instead, and nothing while nobody
    /// has written anything.
    pub(in crate::authority) fn legacy_sync(&mut self, id: SessionId, head: &Head<'_>) {
        if !head.state.is_complete() && head.version == 0 {
            return;
        }
        self.catch_up(id, None, head);
    }

    fn reconcile(&mut self, id: SessionId) -> Option<&mut Reconcile> {
        self.sessions.get_mut(id)?.reconcile.as_deref_mut()
    }

    /// Sends a session its outdated fields again, if it is sent changes as they come; else the state or delta that it
    /// waits for has them.
    pub(super) fn resend_outdated(&mut self, id: SessionId, head: &Head<'_>) {
        if let Some(session) = self.sessions.get(id)
            && session.flow == Flow::Live
            && session.is_outdated()
        {
            let since = session.synced;
            self.catch_up(id, Some(since), head);
        }
    }

    /// Sends a state or delta whose version is durable now; `text` is what the client may read of it.
    pub(super) fn send_legacy_catch_up(
        &mut self,
        id: SessionId,
        catch_up: &CatchUp,
        text: &str,
        head: &Head<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some(reconcile) = &mut session.reconcile else { return };
        let version = reconcile.leap(&mut self.legacy_clock);
        let frame = match catch_up.since {
            None if head.state.is_complete() => server::legacy_sync(&self.room, text, version),
            _ => server::legacy_merge(&self.room, text, version),
        };
        if !session.outbox.push(&frame) {
            // It was not taken, and is still missing.
            session.flow = Flow::Behind;
            match catch_up.since {
                None => reconcile.mark_all_outdated(),
                Some(since) => {
                    catch_up.fields.iter().for_each(|field| reconcile.mark_outdated(field.clone()));
                    session.synced = since;
                }
            }
            return;
        }
        match catch_up.since {
            None => reconcile.sent_all(version, catch_up.version),
            Some(_) => reconcile.sent(version, catch_up.version, catch_up.fields.iter()),
        }
        self.resend_outdated(id, head);
    }
}
