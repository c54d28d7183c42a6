//! Sessions of the hook's dialect: their writes, the state they ask for, and what is sent to them again. What they have
//! taken is known by [`Reconcile`](crate::legacy::Reconcile).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::authority::catch_up::CatchUp;
use crate::authority::change::{self, Change, Incoming, fields};
use crate::authority::fanout::written;
use crate::authority::session::Flow;
use crate::authority::{Authority, ChangeSource, Outbox, RoomState, SessionId, Submitted};
use crate::core::FieldPathBuf;
use crate::proto::{server, split_address};

impl<O: Outbox> Authority<O> {
    /// Takes a change of a client that speaks the hook's dialect. `claim` is the version that the client has by it.
    ///
    /// What the client shows otherwise than the room has it, because the change is refused, read otherwise than it was
    /// written, or crosses what is on its way to it, is sent to it again.
    pub fn submit_hook(&mut self, id: SessionId, updates: &str, claim: Option<u64>) -> Submitted {
        let Some(client) = self.client(id).cloned() else { return Submitted::Answered };
        let author = ChangeSource::Hook { session: id, client };
        let incoming = Incoming::parse(updates);
        if split_address(&self.room).1.is_some() {
            return match incoming.and_then(|incoming| self.accept(author, &incoming)) {
                Ok(append) => Submitted::Accepted(append),
                Err(reject) => {
                    self.refuse(id, 0, reject);
                    Submitted::Answered
                }
            };
        }
        let fields = incoming.as_ref().map_or_else(|_| Vec::new(), |incoming| fields(incoming.parts()));
        if let Some(reconcile) = self.reconcile(id) {
            reconcile.wrote(claim, fields.iter());
        }
        let accepted = incoming.and_then(|incoming| Ok((self.accept(author, &incoming)?, incoming)));
        let submitted = match accepted {
            Ok((append, incoming)) => {
                let mut other: Vec<Arc<str>> = match self.state.is_complete() {
                    true => fields
                        .iter()
                        .filter(|field| !self.reads_field_verbatim(field, &incoming))
                        .cloned()
                        .collect(),
                    false => Vec::new(),
                };
                // What the room's rules have made of it beside that.
                let amended = self.in_flight.back().filter(|change| change.settled);
                let amended = amended.map_or_else(Vec::new, |change| change::fields(change.change.updates()));
                let audience = self.sessions.get(&id).map_or(0, |session| session.audience);
                let amended = amended.into_iter().filter(|field| {
                    !fields.iter().any(|own| **own == **field)
                        && self.check_read(audience, FieldPathBuf::of(field).as_str()).is_ok()
                });
                other.extend(amended);
                if let Some(reconcile) = self.reconcile(id) {
                    reconcile.accepted(append.version, fields.iter());
                    other.into_iter().for_each(|field| reconcile.owe(field));
                }
                Submitted::Accepted(append)
            }
            Err(reject) => {
                self.refuse(id, 0, reject);
                for field in fields {
                    let changed = self.state.changed(FieldPathBuf::of(&field).as_str());
                    let complete = self.state.is_complete();
                    let Some(reconcile) = self.reconcile(id) else { break };
                    match changed {
                        // A state has every field there is: what is beside them goes.
                        Err(_) if complete => reconcile.owe_all(),
                        // Nobody has written it: there is no value to send.
                        Ok(0) | Err(_) if !complete => {}
                        _ => reconcile.owe(field),
                    }
                }
                Submitted::Answered
            }
        };
        self.resend_outdated(id);
        submitted
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
        self.catch_up(id, None);
    }

    fn reconcile(&mut self, id: SessionId) -> Option<&mut crate::legacy::Reconcile> {
        self.sessions.get_mut(&id)?.reconcile.as_deref_mut()
    }

    /// Sends a session what it must be sent again, if it is sent things as they come; else that travels with the state
    /// or delta it is promised.
    pub(super) fn resend_outdated(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get(&id)
            && session.flow == Flow::Live
            && session.reconcile.as_ref().is_some_and(|reconcile| reconcile.is_outdated())
        {
            let since = session.synced;
            self.catch_up(id, Some(since));
        }
    }

    /// Sends a state or delta whose version is durable now; `text` is what the client may read of it.
    pub(super) fn brought_hook(&mut self, id: SessionId, catch_up: &CatchUp, text: &str) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(reconcile) = &mut session.reconcile else { return };
        let told = reconcile.leap(&mut self.legacy_clock);
        let frame = match catch_up.since {
            None if self.state.is_complete() => server::hook_sync(&self.room, text, told),
            _ => server::hook_merge(&self.room, text, told),
        };
        if !session.outbox.push(&frame) {
            // What it would have caught_up is still missing.
            session.flow = Flow::Behind;
            match catch_up.since {
                None => reconcile.owe_all(),
                Some(since) => {
                    catch_up.fields.iter().for_each(|field| reconcile.owe(field.clone()));
                    session.synced = since;
                }
            }
            return;
        }
        match catch_up.since {
            None => reconcile.sent_all(told, catch_up.version),
            Some(_) => reconcile.sent(told, catch_up.version, catch_up.fields.iter()),
        }
        self.resend_outdated(id);
    }

    /// Whether the fields that are set as a whole are, as the server reads them, what was written.
    pub(super) fn reads_verbatim(&self, change: &Incoming<'_>) -> bool {
        !self.state.is_complete()
            || change.parts().all(|update| self.reads_field_verbatim(&update.field(), change))
    }

    fn reads_field_verbatim(&self, field: &str, change: &Incoming<'_>) -> bool {
        let last = change.parts().rev().find(|update| update.field() == field);
        match last {
            Some(set) if set.is_whole_set() => same_json(set.value, &written(&*self.state, field)),
            // An operation, which is told as the value it has made.
            _ => true,
        }
    }
}

/// The values of the fields that have changed since a version of the room, and of these `others`.
pub(super) fn values_since(
    state: &dyn RoomState,
    since: u64,
    head: u64,
    mut fields: BTreeSet<Arc<str>>,
) -> Vec<(String, Arc<str>)> {
    if since < head {
        let mut updates = String::new();
        state.write_delta(since, &mut updates);
        fields.extend(change::fields(Change::written(updates).updates()));
    }
    fields.into_iter().map(|field| (written(state, &field), field)).collect()
}

/// Whether two JSON texts are the same to a program that has one kind of number.
fn same_json(one: &str, other: &str) -> bool {
    let parse = |text| serde_json::from_str::<Value>(text).ok();
    one == other || parse(one).zip(parse(other)).is_some_and(|(one, other)| same(&one, &other))
}

fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}
