//! Decides changes: their order, whether they are valid, whether they were decided before, and their log entries.
//!
//! Owns the state at the head version, the idempotency table and the size of the log since the last snapshot. It sends
//! nothing and knows only the ids of sessions: it returns an accepted change as an [`Accepted`] with its [`LogEntry`],
//! and the caller sends the change once the store has the entry. Called by [`Authority`](super::Authority).

mod idempotency;
mod load;
mod log_format;
mod refusals;
mod snapshot;

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::authority::access::{Access, Grant};
use crate::authority::change::{Change, Incoming, Update};
use crate::authority::source::{ChangeSource, SessionId};
use crate::authority::state::{RoomState, WriteCheck, Writer};
use crate::core::{Code, HashedSchema, Invalid, Reject, Schema, WireUpdate, work};
use crate::proto::{AROUND_UPDATES, ChangeRequest, ClientId, ClientLimits, Limits, Outcome};

pub(super) use idempotency::IdempotencyTable;
use idempotency::Recall;
use log_format::{Entry, json};
use refusals::Refusals;
use snapshot::SnapshotPolicy;

/// The largest sequence number and version: what a JavaScript client can count to.
const MAX_COUNT: u64 = (1 << 53) - 1;

/// The longest message of a rejection, in bytes. A message may quote the client's input and is cut to this length.
const MAX_MESSAGE: usize = 300;

/// An entry for the store's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The version that the change produces.
    pub version: u64,
    /// The entry.
    pub entry: Bytes,
}

/// The reason why a stored room cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("room `{room}` cannot be opened: version {version}: {message}")]
#[non_exhaustive]
pub struct LoadError {
    /// The room.
    pub room: Arc<str>,
    /// The version of the entry or snapshot that is wrong.
    pub version: u64,
    /// A message for people: what was expected and what was found.
    pub message: String,
}

/// An accepted change, which is sent once it is durable.
pub(super) struct Accepted {
    pub(super) version: u64,
    pub(super) author: ChangeSource,
    /// The updates as they were applied.
    pub(super) change: Change,
    /// Whether the applied updates differ from those that the author sent.
    pub(super) rewritten: bool,
}

/// The decision about a client's change.
pub(super) enum Decision {
    Accepted(Accepted, LogEntry),
    /// A repeated change, which was accepted before as this version.
    AcceptedBefore(u64),
    Refused(Reject),
}

/// The state at the head version, with what else is sent to a session that joins.
pub(super) struct Head<'a> {
    pub(super) epoch: u64,
    pub(super) version: u64,
    /// Differs whenever the state's data do, also where the version is the same.
    pub(super) revision: u64,
    pub(super) state: &'a dyn RoomState,
    pub(super) answers: &'a IdempotencyTable,
}

/// Decides the changes of one room.
pub(super) struct Order {
    limits: ClientLimits,
    /// The most steps of [work] for one change of a client.
    work: u64,
    epoch: u64,
    head: u64,
    /// See [`Head::revision`].
    revision: u64,
    state: Box<dyn RoomState>,
    answers: IdempotencyTable,
    /// When the room's history began, in milliseconds since 1970.
    created_at: Option<u64>,
    schema: LoggedSchema,
    log: SnapshotPolicy,
    refusals: Refusals,
}

/// The schema of the state, and the schema that the log has.
struct LoggedSchema {
    own: Option<Arc<HashedSchema>>,
    /// The hash of the schema that the last entries were written with.
    logged: Option<u64>,
    /// The state was migrated, and no entry of the log contains the migrated state yet.
    migrated: bool,
}

impl Order {
    /// A new room with `state` as version 0.
    pub(super) fn new(epoch: u64, mut state: Box<dyn RoomState>, limits: Arc<Limits>) -> Self {
        state.set_limits(&limits);
        Self {
            answers: IdempotencyTable::new(limits.clients_per_room, limits.window),
            limits: (&*limits).into(),
            work: limits.work,
            epoch,
            head: 0,
            revision: 0,
            created_at: None,
            schema: LoggedSchema { own: state.schema(), logged: None, migrated: false },
            state,
            log: SnapshotPolicy::default(),
            refusals: Refusals::default(),
        }
    }

    /// Sets when the history began, in milliseconds since 1970, if that is not known and the room has no change.
    pub(super) fn set_created_at(&mut self, time: u64) {
        if self.head == 0 {
            self.created_at.get_or_insert(time);
        }
    }

    pub(super) const fn created_at(&self) -> Option<u64> {
        self.created_at
    }

    /// Sets the time to `now`, in milliseconds since 1970.
    pub(super) fn set_time(&mut self, now: u64) {
        self.refusals.set_time(now);
        if self.state.set_time(now) {
            self.revised();
        }
    }

    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The version of the last accepted change.
    pub(super) const fn version(&self) -> u64 {
        self.head
    }

    pub(super) fn state(&self) -> &dyn RoomState {
        &*self.state
    }

    pub(super) fn state_mut(&mut self) -> &mut dyn RoomState {
        &mut *self.state
    }

    /// The state's data have changed without a new version.
    pub(super) const fn revised(&mut self) {
        self.revision += 1;
    }

    pub(super) fn head(&self) -> Head<'_> {
        Head {
            epoch: self.epoch,
            version: self.head,
            revision: self.revision,
            state: &*self.state,
            answers: &self.answers,
        }
    }

    /// A session of this client begins. The client's answers are not forgotten until its last session ends.
    pub(super) fn enter(&mut self, client: &ClientId) {
        self.answers.enter(client);
    }

    /// A session of this client ends.
    pub(super) fn exit(&mut self, client: &ClientId) {
        self.answers.exit(client);
    }

    /// Decides a client's change. A change that was decided before gets the earlier decision.
    pub(super) fn submit(
        &mut self,
        session: SessionId,
        client: &ClientId,
        change: &ChangeRequest<'_>,
        access: &Access,
        grant: &Grant,
    ) -> Decision {
        let seq = change.seq;
        if seq == 0 || seq > MAX_COUNT {
            let message = format!("a sequence number is 1 to {MAX_COUNT}, found {seq}");
            return Decision::Refused(Reject::new(Code::BadSequence, message));
        }
        if let Some(decision) = self.recalled(client, seq, change.base, change.again) {
            return decision;
        }
        let author = ChangeSource::Client { session, client: client.clone(), seq };
        let decided = self.limits.check_depth(change.updates.get(), AROUND_UPDATES);
        let decided = decided.and_then(|()| self.check_base(change, access, grant)).and_then(|()| {
            let incoming = Incoming::new(change.updates)?;
            self.accept(author, &incoming, change.base, Some((access, grant)))
        });
        match decided {
            Ok((accepted, entry)) => {
                self.answers.note(client, seq, Outcome::Accepted(accepted.version));
                Decision::Accepted(accepted, entry)
            }
            Err(reject) => self.refused(client, seq, reject),
        }
    }

    /// Refuses a client's change that could not be read but for its number. A change that was decided before gets the
    /// earlier decision.
    pub(super) fn refuse(&mut self, client: &ClientId, seq: u64, reject: Reject) -> Decision {
        if seq == 0 || seq > MAX_COUNT {
            return Decision::Refused(reject);
        }
        // Its base is not known. It is not applied whatever that is, so it is never uncertain.
        self.recalled(client, seq, MAX_COUNT, false).unwrap_or_else(|| self.refused(client, seq, reject))
    }

    /// The decision about a change that was decided before, or that may have been; `None` for a new one.
    fn recalled(&mut self, client: &ClientId, seq: u64, base: u64, again: bool) -> Option<Decision> {
        Some(match self.answers.look_up(client, seq, base, again) {
            Recall::Before(Outcome::Accepted(version)) => Decision::AcceptedBefore(version),
            Recall::Before(Outcome::Rejected(reject)) => Decision::Refused(reject),
            Recall::Uncertain => {
                let message = "the client was away longer than its changes are remembered";
                self.refused(client, seq, Reject::new(Code::Uncertain, message))
            }
            Recall::New => return None,
        })
    }

    /// Refuses a change and remembers that.
    fn refused(&mut self, client: &ClientId, seq: u64, reject: Reject) -> Decision {
        let reject = shortened(reject);
        self.answers.note(client, seq, Outcome::Rejected(reject.clone()));
        Decision::Refused(reject)
    }

    /// Checks that the change's base version exists, and that the fields which a transaction read have not changed
    /// since that version.
    fn check_base(&self, change: &ChangeRequest<'_>, access: &Access, grant: &Grant) -> Result<(), Reject> {
        if change.base > self.head {
            let message = format!("the room is at version {}, not yet at {}", self.head, change.base);
            return Err(Reject::new(Code::FutureVersion, message));
        }
        let reads = change.reads.as_deref().unwrap_or_default();
        if reads.len() > self.limits.updates {
            let message =
                format!("a change reads {} paths at most, found {}", self.limits.updates, reads.len());
            return Err(Reject::new(Code::BadChange, message));
        }
        for key in reads {
            self.limits.check_key(key)?;
            access.check_read(grant, key)?;
            let changed = self.state.changed(key)?;
            if changed > change.base {
                let message = format!("read at version {}, changed at version {changed}", change.base);
                return Err(Reject::new(Code::Conflict, message).in_field(key.as_ref()));
            }
        }
        Ok(())
    }

    /// Decides a change and applies it to the state. `base` is the version that its author knew, `u64::MAX` for an
    /// author that has no version. `by` is the author's grant; `None`: no permissions are checked.
    ///
    /// # Errors
    /// The change is refused. The state is unchanged.
    pub(super) fn accept(
        &mut self,
        author: ChangeSource,
        incoming: &Incoming<'_>,
        base: u64,
        by: Option<(&Access, &Grant)>,
    ) -> Result<(Accepted, LogEntry), Reject> {
        let steps = if author == ChangeSource::Server { u64::MAX } else { self.work };
        work::limited(steps, || self.apply(author, incoming, base, by)).map_err(shortened)
    }

    /// Checks the limits and the author's permissions.
    fn check(&self, incoming: &Incoming<'_>, by: Option<(&Access, &Grant)>) -> Result<(), Reject> {
        self.limits.check_updates(incoming.updates.len())?;
        incoming.updates.iter().try_for_each(|update| self.limits.check_key(&update.key))?;
        check_moves(&incoming.updates)?;
        by.map_or(Ok(()), |(access, grant)| access.check_write(grant, incoming.parts()))
    }

    /// Checks what the state has made of a change, whose items have moved. Where its author may not read, there is nothing
    /// for it.
    fn check_forwarded(&self, forwarded: &Incoming<'_>, by: Option<(&Access, &Grant)>) -> Result<(), Reject> {
        if let Some((access, grant)) = by
            && forwarded.updates.iter().any(|update| access.check_read(grant, &update.key).is_err())
        {
            return Err(Invalid::gone().into());
        }
        self.check(forwarded, by)
    }

    fn apply(
        &mut self,
        author: ChangeSource,
        incoming: &Incoming<'_>,
        base: u64,
        by: Option<(&Access, &Grant)>,
    ) -> Result<(Accepted, LogEntry), Reject> {
        if self.head >= MAX_COUNT {
            return Err(Reject::new(Code::Unavailable, "the room has reached the last version there is"));
        }
        self.check(incoming, by)?;
        let answers = &self.answers;
        let knows = |version| {
            let is_own = |client| answers.has_made(client, version);
            version <= base || matches!(&author, ChangeSource::Client { client, .. } if is_own(client))
        };
        let forwarded = self.state.forwarded(&incoming.updates, &knows)?;
        let forwarded = forwarded.as_deref().map(Incoming::parse).transpose()?;
        if let Some(forwarded) = &forwarded {
            self.check_forwarded(forwarded, by)?;
        }
        let incoming = forwarded.as_ref().unwrap_or(incoming);
        let updates = &incoming.updates;
        let version = self.head + 1;
        let is_first = self.schema.migrated || self.head == 0 && self.state.is_complete();
        let initial = is_first.then(|| json(|out| self.state.write_data(out)));
        let declared = self.state.unstored(updates);
        let concealed = Cell::new(false);
        let conceals = by.is_some_and(|(access, grant)| access.hides(grant));
        let who = by.and_then(|(_, grant)| grant.user()).unwrap_or_else(|| author.name());
        if conceals && !self.refusals.may(who) {
            let message = "too many changes broke rules of the room; try again in a few seconds";
            return Err(Reject::new(Code::TooOften, message));
        }
        let writer = match &author {
            ChangeSource::Server => Writer::Server,
            author => {
                let grant = by.map(|(_, grant)| grant);
                let permissions = grant.and_then(|grant| grant.permissions.as_deref());
                let check = WriteCheck::new(permissions, conceals.then_some(&concealed));
                Writer::Client(author, grant.and_then(Grant::user), check)
            }
        };
        let applied = self.state.apply(updates, writer, version);
        if concealed.get() {
            self.refusals.note(who);
        }
        let applied = applied?;
        self.head = version;
        self.revised();
        self.schema.migrated = false;
        if declared.is_some() {
            self.state.mark_stored(updates);
        }
        let (rewritten, change) = match applied {
            Some(updates) => (true, Change::written(updates)),
            None => (forwarded.is_some(), incoming.to_change()),
        };
        let mut entry = Entry::new(&author, change.json());
        entry.struct_version = self.state.struct_version();
        entry.created_at = self.created_at.filter(|_| version == 1);
        entry.schema = self.schema.take_unlogged().map(Cow::Borrowed);
        entry.initial = initial.as_deref();
        let declared = declared.map(|json| RawValue::from_string(json).expect("a state writes JSON"));
        entry.declared = declared.as_deref();
        let entry = entry.to_bytes();
        self.log.note(entry.len());
        Ok((Accepted { version, author, change, rewritten }, LogEntry { version, entry }))
    }
}

impl LoggedSchema {
    /// The schema if the log does not have it, which counts as logged from now on.
    fn take_unlogged(&mut self) -> Option<&Schema> {
        let own = self.own.as_ref()?;
        let before = self.logged.replace(own.hash);
        (before != Some(own.hash)).then_some(&own.schema)
    }
}

/// Checks that each `take` is followed by the `insert` that puts the item into the list which it names. A `take` alone
/// would send what others write in the item to another one of the same key.
fn check_moves(updates: &[WireUpdate<'_>]) -> Result<(), Reject> {
    let mut next = updates.iter().skip(1);
    updates.iter().try_for_each(|update| {
        let next = next.next();
        let Some(to) = Update::from(update).destination() else { return Ok(()) };
        if next.is_some_and(|next| next.op.as_deref() == Some("insert") && next.key == to) {
            return Ok(());
        }
        let message = format!("expected an `insert` into `{to}` after the `take`");
        Err(Reject::new(Code::Invalid, message).in_field(&*update.key))
    })
}

fn shortened(mut reject: Reject) -> Reject {
    if reject.message.len() > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE).rev().find(|end| reject.message.is_char_boundary(*end)).unwrap_or(0);
        reject.message.truncate(end);
        reject.message.push('…');
    }
    // A path that is too long is no path of a field.
    reject.field = reject.field.filter(|field| field.len() <= MAX_MESSAGE);
    reject
}
