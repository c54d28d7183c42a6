//! The client's state machine for one room, without I/O.
//!
//! Owns a room's **confirmed** state, the **pending** changes of this client in order, and the **view** that
//! the app reads: the confirmed state with the pending changes on top. Messages, local writes and the time
//! come in; frames, events, answers and the next deadline go out. It has no socket, clock, task or randomness
//! of its own. The client's tasks and the simulation drive it.
//!
//! # Which order is guaranteed
//! Changes are sent, and applied, in the order in which they were written. A debounced or throttled write is
//! delayed, and then sent as if it had been written at that moment, so others may see a later write to
//! *another* field before it. A delayed write is never overtaken where that could be observed: the delayed
//! writes are sent first when a change touches the same field, when a transaction reads that field, and, in a
//! struct with a rule over the whole state, before any other change. Plain sets of one field that were never
//! sent are folded into one, in the place of the first.
//!
//! # What undo does
//! Undo takes back this user's own changes only, the latest first. Each is taken back by a new change made on
//! the current state, so what others did since stays. Updates that others have overwritten, or that this user
//! may no longer write, are skipped.
//!
//! # Why a user's own field never flickers
//! A remote change is applied to the confirmed state. In the view, a field without pending changes gets the
//! same update; a field with pending changes is rebuilt from the confirmed state and those changes before the
//! app can read it.

mod delayed;
mod event;
mod link;
mod pending;
mod permissions;
mod receive;
mod schema;
mod transact;
mod undo;
mod write;

pub use crate::core::{Rejected, WriteError};
pub use event::{Event, Origin};
pub use link::{Backoff, HeartbeatTimeout, Link, LinkConfig, LinkEvent};
pub use permissions::RoomPermissions;
pub use transact::{Read, Transaction};

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::core::Code;
use crate::core::{FieldId, SharedState};
use crate::proto::compact::Header;
use crate::proto::{Frame, Secret};

use delayed::Held;
use pending::{PendingUpdate, Queue};
use schema::SchemaNegotiation;
use undo::UndoHistory;

/// Identifies a write until it is answered. Writes that were folded into one change share an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(u64);

/// The limits and options of a [`Replica`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ReplicaConfig {
    /// The most changes that may wait for an answer, sent or not. Default 10,000.
    pub max_changes: usize,
    /// The most bytes of queued changes. Delayed writes are not counted. Default 8 MiB.
    pub max_bytes: usize,
    /// The most events stored for an app that does not take them. Default 4,096.
    pub max_events: usize,
    /// The most updates that can be undone, and the most that can be redone. Default 1,000.
    pub max_undo: usize,
    /// A write that comes sooner than this after the one before is undone together with it. Default 500 ms.
    pub undo_pause: Duration,
    /// The client id under which this replica edits texts: random, from 16 to 2^53 - 1, used by no other
    /// replica. With 0, the default, edits are sent as positions, which refer to the text as it is when the
    /// server applies them.
    pub writer: u64,
    /// Whether the room may send [compact](crate::proto::compact) frames. Default true.
    pub brief: bool,
    /// Whether to ask the room for its [details](crate::proto::RoomDetails). Default false.
    pub info: bool,
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self {
            max_changes: 10_000,
            max_bytes: 8 << 20,
            max_events: 4096,
            max_undo: 1000,
            undo_pause: Duration::from_millis(500),
            writer: 0,
            brief: true,
            info: false,
        }
    }
}

/// How far the replica has come in joining its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not connected, or the room refused this replica.
    Offline,
    /// The join was sent; the state has not arrived yet.
    Joining,
    /// Joined: changes are sent and received.
    Live,
}

/// A client's copy of a room's state.
pub struct Replica<S: SharedState> {
    room: Arc<str>,
    config: ReplicaConfig,
    initial: S,
    phase: Phase,
    /// The epoch of the confirmed state; `None` before the first state arrived.
    epoch: Option<u64>,
    version: u64,
    confirmed: S,
    view: S,
    queue: Queue<S>,
    held: Vec<Held<S>>,
    /// Per field, how many changes of `queue` and `held` touch it.
    touching: Vec<u32>,
    /// Per field, when an update was last queued for sending. Throttling counts from here.
    sent_at: Vec<Option<Duration>>,
    window: usize,
    max_frame: usize,
    negotiation: SchemaNegotiation,
    rights: RoomPermissions,
    /// The audience for which the last full state was made.
    audience: Option<u64>,
    /// The room's password, if it has one.
    password: Option<Secret>,
    /// The headers of compact frames, by number.
    subjects: BTreeMap<u8, Header>,
    history: UndoHistory<S>,
    next_write: u64,
    next_seq: u64,
    frames: VecDeque<Frame>,
    events: VecDeque<Event<S>>,
    missed_events: u64,
    answers: VecDeque<(WriteId, Result<u64, Rejected>)>,
}

impl<S: SharedState> Replica<S> {
    /// A replica of `room` that shows `initial` until the room's state arrives.
    ///
    /// Fields that nobody has written in an untyped room keep their value from `initial`, so every client of
    /// such a room should start with the same `initial`.
    #[must_use]
    pub fn new(room: Arc<str>, initial: S, config: ReplicaConfig) -> Self {
        Self {
            room,
            config,
            phase: Phase::Offline,
            epoch: None,
            version: 0,
            confirmed: initial.clone(),
            view: initial.clone(),
            initial,
            queue: Queue::new(S::FIELDS.len()),
            held: Vec::new(),
            touching: vec![0; S::FIELDS.len()],
            sent_at: vec![None; S::FIELDS.len()],
            window: 1,
            max_frame: usize::MAX,
            negotiation: SchemaNegotiation::new::<S>(),
            rights: RoomPermissions::default(),
            audience: None,
            password: None,
            subjects: BTreeMap::new(),
            history: UndoHistory::new(config.max_undo, config.undo_pause),
            next_write: 0,
            next_seq: 1,
            frames: VecDeque::new(),
            events: VecDeque::new(),
            missed_events: 0,
            answers: VecDeque::new(),
        }
    }

    /// The room's name.
    #[must_use]
    pub fn room(&self) -> &Arc<str> {
        &self.room
    }

    /// The state as the app should see it: confirmed, with this client's pending changes on top.
    #[must_use]
    pub const fn state(&self) -> &S {
        &self.view
    }

    /// The state at [`version`](Self::version), the same for every client.
    #[must_use]
    pub const fn confirmed(&self) -> &S {
        &self.confirmed
    }

    /// The version of the confirmed state; 0 before the first state arrived.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The room's epoch, the random id of its history; `None` before the first state arrived.
    #[must_use]
    pub const fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// How many changes wait for their answer, sent or not.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queue.len() + self.held.len()
    }

    /// Whether the room's state has arrived over the current connection.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// The next frame to send.
    pub fn poll_frame(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    /// The next event: a visible change of the state.
    pub fn poll_event(&mut self) -> Option<Event<S>> {
        if self.missed_events > 0 {
            let missed = std::mem::take(&mut self.missed_events);
            return Some(Event {
                origin: Origin::Lagged(missed),
                version: None,
                from: None,
                updates: Vec::new(),
            });
        }
        self.events.pop_front()
    }

    /// The next answer to a write: the version that contains it, or why it was refused.
    pub fn poll_answer(&mut self) -> Option<(WriteId, Result<u64, Rejected>)> {
        self.answers.pop_front()
    }

    /// When [`tick`](Self::tick) has to be called: when the first delayed write is due. `None`: nothing is
    /// delayed.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.held.iter().map(|held| held.due).min()
    }

    /// Sends the delayed writes that are due.
    pub fn tick(&mut self, now: Duration) {
        while let Some(at) = self.held.iter().position(|held| held.due <= now) {
            self.release(at, now);
        }
        self.send_ready();
    }

    /// Sends everything that debounce or throttle delays.
    pub fn flush(&mut self, now: Duration) {
        while !self.held.is_empty() {
            self.release(0, now);
        }
        self.send_ready();
    }

    /// Sets the longest frame that the server accepts, in bytes. A longer change is refused here with
    /// [`Code::FrameTooLarge`] when its turn comes, because the server would close the connection each time
    /// it received that change. There is no limit before the first call.
    pub const fn limit_frames(&mut self, bytes: usize) {
        self.max_frame = bytes;
    }

    /// Sets the password for the next joins.
    pub fn set_password(&mut self, password: Option<Secret>) {
        self.password = password;
    }

    /// The connection is ready and allows `window` unanswered changes. Sends the request to join, unless this
    /// client was kicked.
    pub fn connected(&mut self, window: usize) {
        self.window = window.max(1);
        // A kicked client does not come back by itself.
        if self.refusal().is_some_and(|refusal| refusal.code == Code::Kicked) {
            return;
        }
        self.negotiation.begin();
        self.rejoin();
    }

    /// The connection is lost. Everything pending stays, and is sent again after the next join.
    pub fn disconnected(&mut self) {
        self.phase = Phase::Offline;
        self.queue.unsend();
        self.frames.clear();
    }

    fn event(
        &mut self,
        origin: Origin,
        version: Option<u64>,
        from: Option<Arc<str>>,
        updates: Vec<S::Update>,
    ) {
        if updates.is_empty() {
            return;
        }
        if self.events.len() >= self.config.max_events {
            // The app does not take its events: replace them by a count, after which the app reads the state.
            self.missed_events += self.events.len() as u64;
            self.events.clear();
        }
        self.events.push_back(Event { origin, version, from, updates });
    }

    /// Rebuilds a field of the view: the confirmed value with everything pending on top.
    fn rebuild(&mut self, field: FieldId) {
        self.view.copy_field(&self.confirmed, field);
        if self.touching[field] == 0 {
            return;
        }
        for update in
            pending(&mut self.queue, &mut self.held).filter(|update| S::field(&update.typed) == field)
        {
            put_on(&mut self.view, update);
        }
    }
}

/// Applies a pending update to the view, and records whether it still can be applied there.
fn put_on<S: SharedState>(view: &mut S, update: &mut PendingUpdate<S>) {
    update.applies = view.check_op(&update.typed).is_ok();
    view.apply(update.typed.clone());
}

/// All pending updates, in the order in which they lie on the confirmed state.
fn pending<'a, S: SharedState>(
    queue: &'a mut Queue<S>,
    held: &'a mut [Held<S>],
) -> impl Iterator<Item = &'a mut PendingUpdate<S>> {
    let queued = queue.iter_mut().flat_map(|change| &mut change.updates);
    queued.chain(held.iter_mut().map(|held| &mut held.update))
}

/// All pending updates, in the order in which they lie on the confirmed state.
fn on_top<'a, S: SharedState>(
    queue: &'a Queue<S>,
    held: &'a [Held<S>],
) -> impl Iterator<Item = &'a PendingUpdate<S>> {
    let queued = queue.iter().flat_map(|change| &change.updates);
    queued.chain(held.iter().map(|held| &held.update))
}
