//! The room's state machine, no I/O.
//!
//! Owns a room's state, its order of changes, what each client was answered and what each session has been
//! sent. Bytes of changes come in, entries to append and frames to send go out; it knows no socket, no clock
//! and no task. Called by the server's room and by the simulation.
//!
//! # The one way a change goes
//! [`submit`](Authority::submit) decides and applies it to the head state and hands out an [`LogEntry`]; once the
//! store has that entry, [`committed`](Authority::committed) answers the author and tells the others. Nothing is
//! sent before: a session that joins, or is caught up, while changes are on their way to the store gets its
//! state when they have arrived there.

mod audience;
mod catch_up;
mod change;
mod channel;
mod denied;
mod fanout;
mod header_table;
mod idempotency;
mod legacy;
mod log_format;
mod migration;
mod permissions;
mod rewritten;
mod room_state;
mod session;
mod submit;
mod text_client_ids;
mod typed;
mod unknown_fields;
mod untyped;
mod untyped_number;
mod untyped_ops;
mod verdict;

pub use channel::{ChannelLog, Check, Relayed, Retention};
pub use log_format::LoadError;
pub use permissions::Permissions;
pub use room_state::{RoomState, Writer};
pub use session::{Outbox, SessionId};
pub use submit::{ChangeSource, LogEntry, Submitted};
pub use typed::Typed;
pub use unknown_fields::{UNKNOWN_FIELDS, UNKNOWN_FIELDS_BYTES};
pub use untyped::Untyped;
pub use verdict::{ProposedChange, Rules, Verdict};

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::core::{HashedSchema, roles};
use crate::proto::{Limits, Outcome};

use crate::legacy::LegacyClock;

use audience::Audiences;
use change::Change;
use header_table::HeaderTable;
use idempotency::IdempotencyTable;
use log_format::RoomLog;
use session::Session;

/// An accepted change on its way to the store.
struct InFlight {
    version: u64,
    author: ChangeSource,
    change: Change,
    /// Whether these are other updates than its author sent.
    settled: bool,
    /// Whether the server reads each value as it was written. Looked at only if a client of the hook's dialect is there.
    verbatim: bool,
    /// What to send once this version is durable, after the change itself.
    after: Vec<After>,
}

/// Something that waits for a version to be durable.
enum After {
    /// The answer to a change: a refusal, kept in the order of the client's changes, or what is said again of a
    /// change that was sent again while it was on its way.
    Answer(SessionId, u64, Outcome),
    /// The state or delta a session was promised.
    CatchUp(SessionId, catch_up::CatchUp),
}

/// One room. `O` is where frames for a session go.
pub struct Authority<O> {
    room: Arc<str>,
    limits: Arc<Limits>,
    epoch: u64,
    head: u64,
    durable: u64,
    state: Box<dyn RoomState>,
    clients: IdempotencyTable,
    in_flight: VecDeque<InFlight>,
    sessions: BTreeMap<SessionId, Session<O>>,
    next_session: u64,
    /// How many sessions speak the hook's dialect.
    hooks: usize,
    legacy_clock: LegacyClock,
    /// When the history began, in milliseconds since 1970.
    began: Option<u64>,
    /// The room's number in brief frames.
    number: u64,
    /// What brief frames can be about.
    headers: HeaderTable,
    /// How many sessions take brief frames.
    brief: usize,
    /// Who may read what, if not everybody may read everything.
    audiences: Option<Arc<Audiences>>,
    /// Whether a field asks its writers for a role.
    has_writers: bool,
    /// The schema of the struct, if there is one.
    schema: Option<Arc<HashedSchema>>,
    /// The hash of the schema that the log says it was written with, up to its end.
    logged: Option<u64>,
    /// The state was migrated, and no entry says so yet.
    migrated: bool,
    log: RoomLog,
}

impl<O: Outbox> Authority<O> {
    /// A room that begins now, with `state` as its version 0. `epoch` must be random.
    #[must_use]
    pub fn new(room: Arc<str>, epoch: u64, state: Box<dyn RoomState>, limits: Arc<Limits>) -> Self {
        let mut has_writers = false;
        roles::each_inside(state.fields(), &mut Vec::new(), &mut |field| {
            has_writers |= field.write.is_some()
        });
        Self {
            clients: IdempotencyTable::new(limits.clients_per_room, limits.window),
            room,
            limits,
            epoch,
            head: 0,
            durable: 0,
            in_flight: VecDeque::new(),
            sessions: BTreeMap::new(),
            next_session: 0,
            hooks: 0,
            legacy_clock: LegacyClock::default(),
            began: None,
            number: 0,
            headers: HeaderTable::default(),
            brief: 0,
            audiences: Audiences::of(state.fields()).map(Arc::new),
            has_writers,
            schema: state.schema(),
            logged: None,
            migrated: false,
            state,
            log: RoomLog::default(),
        }
    }

    /// The same room, with a number that no other room has which the same connection may be in: brief frames
    /// name the room by it. 0 if this is not called.
    #[must_use]
    pub fn with_number(mut self, number: u64) -> Self {
        self.number = number;
        self
    }

    /// The same room, whose history begins at this time, in milliseconds since 1970, if it is not known to have begun
    /// before: it is kept in the log.
    #[must_use]
    pub fn beginning_at(mut self, time: u64) -> Self {
        if self.head == 0 {
            self.began.get_or_insert(time);
        }
        self
    }

    /// When the room's history began, in milliseconds since 1970; `None` if its log does not say.
    #[must_use]
    pub const fn began(&self) -> Option<u64> {
        self.began
    }

    /// The room's name.
    #[must_use]
    pub fn room(&self) -> &Arc<str> {
        &self.room
    }

    /// The random id of the room's history.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The version of the last accepted change, durable or on its way.
    #[must_use]
    pub const fn head(&self) -> u64 {
        self.head
    }

    /// The version of the last change that the store has.
    #[must_use]
    pub const fn durable(&self) -> u64 {
        self.durable
    }

    /// The state at [`head`](Self::head).
    #[must_use]
    pub fn state(&self) -> &dyn RoomState {
        &*self.state
    }

    /// How many sessions are in the room.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Whether somebody in the room speaks the hook's dialect, and so has to be told the time.
    #[must_use]
    pub const fn has_legacy(&self) -> bool {
        self.hooks > 0
    }
}
