//! The client's state machine, no I/O.
//!
//! Owns a room's **confirmed** state, the **pending** changes of this client in order, and the **view** the app
//! reads: confirmed with pending on top. Messages, local writes and the time come in; frames, events, answers
//! and the next deadline go out. It knows no socket, no clock, no task and no randomness. Driven by the client
//! and by the simulation.
//!
//! # Which order is promised
//! Changes are sent, and applied, in the order in which they were written. A debounced or throttled write is
//! kept back, and then sent as if it was written at that moment; so others may see a later write to *another*
//! field before it. It is never overtaken where that could be seen: a change that touches the same field, a
//! transaction that reads it, and, in a struct with a rule over the whole state, any other change, first sends
//! what is kept back. Plain sets of one field that were never sent fold into one, at the place of the first.
//!
//! # What undoing means
//! A user takes back their own changes only, the latest first, and each is taken back as a new change on what there
//! is now: what others did since stays. What others have overwritten, or this user may no longer write, is left as
//! it is and skipped.
//!
//! # Why a user never sees their own field flicker
//! A remote change is applied to confirmed. In the view, a field without pending changes takes it as well; a
//! field with pending changes is rebuilt as confirmed with those on top, before anybody can look.

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

/// Names a write until it is answered. Writes that were folded into one share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(u64);

/// What a replica may hold.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ReplicaConfig {
    /// The most changes that wait for an answer, sent or not. Default 10,000.
    pub max_changes: usize,
    /// The most bytes of such changes. Default 8 MiB.
    pub max_bytes: usize,
    /// The most events kept for an app that does not take them. Default 4,096.
    pub max_events: usize,
    /// The most updates that can be undone, and redone. Default 1,000.
    pub max_undo: usize,
    /// Writes that follow each other faster than this are undone together. Default 500 ms.
    pub undo_pause: Duration,
    /// The number under which this client's edits of texts are made: random, from 16 to 2^53 - 1, of this replica
    /// alone. With 0, the default, they are sent by position, and what others type meanwhile moves them.
    pub writer: u64,
    /// Whether the room may send [brief](crate::proto::compact) frames. Default true.
    pub brief: bool,
    /// Whether the room is asked for its [details](crate::proto::RoomDetails). Default false.
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

/// Whether the room can be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No connection.
    Offline,
    /// Asked to join; the state has not come yet.
    Joining,
    /// Changes go both ways.
    Live,
}

/// A client's copy of a room's state.
pub struct Replica<S: SharedState> {
    room: Arc<str>,
    config: ReplicaConfig,
    initial: S,
    phase: Phase,
    /// The history the confirmed state belongs to; `None` before the first state came.
    epoch: Option<u64>,
    version: u64,
    confirmed: S,
    view: S,
    queue: Queue<S>,
    held: Vec<Held<S>>,
    /// Per field, how many updates of `queue` and `held` touch it.
    touching: Vec<u32>,
    /// Per field, when a throttled update was last sent on.
    sent_at: Vec<Option<Duration>>,
    window: usize,
    max_frame: usize,
    negotiation: SchemaNegotiation,
    rights: RoomPermissions,
    /// The audience that the last whole state was for.
    audience: Option<u64>,
    /// What the room is joined with, if it asks for one.
    password: Option<Secret>,
    /// What brief frames can be about, by number.
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
    /// A replica of `room` that shows `initial` until the room's state comes.
    ///
    /// Fields that nobody has written in an untyped room keep their value from `initial`, so every client of
    /// such a room should begin with the same.
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

    /// The version that is confirmed; 0 before the first state came.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The random id of the room's history; `None` before the first state came.
    #[must_use]
    pub const fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// How many changes wait for their answer, sent or not.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queue.len() + self.held.len()
    }

    /// Whether the room's state has come over the present connection.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// The next frame to send.
    pub fn poll_frame(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    /// The next thing that happened to the state.
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

    /// The next write that was answered.
    pub fn poll_answer(&mut self) -> Option<(WriteId, Result<u64, Rejected>)> {
        self.answers.pop_front()
    }

    /// When [`tick`](Self::tick) has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.held.iter().map(|held| held.due).min()
    }

    /// Sends on what was kept back long enough.
    pub fn tick(&mut self, now: Duration) {
        while let Some(at) = self.held.iter().position(|held| held.due <= now) {
            self.release(at, now);
        }
        self.send_ready();
    }

    /// Sends on everything that is kept back by debounce or throttle.
    pub fn flush(&mut self, now: Duration) {
        while !self.held.is_empty() {
            self.release(0, now);
        }
        self.send_ready();
    }

    /// The longest frame the server takes, in bytes. A change that is longer is refused here, with
    /// [`Code::FrameTooLarge`], when its turn comes: the server would end the connection, again each time that it is
    /// sent. No limit before the first call.
    pub const fn limit_frames(&mut self, bytes: usize) {
        self.max_frame = bytes;
    }

    /// What the room is joined with from now on.
    pub fn set_password(&mut self, password: Option<Secret>) {
        self.password = password;
    }

    /// A connection stands that allows `window` unanswered changes: asks to join.
    pub fn connected(&mut self, window: usize) {
        self.window = window.max(1);
        // Whoever was put out does not come back by themselves.
        if self.refusal().is_some_and(|refusal| refusal.code == Code::Kicked) {
            return;
        }
        self.negotiation.begin();
        self.rejoin();
    }

    /// The connection is gone. Everything pending stays.
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
            // The app does not take its events: it is told how many it missed, and reads the state instead.
            self.missed_events += self.events.len() as u64;
            self.events.clear();
        }
        self.events.push_back(Event { origin, version, from, updates });
    }

    /// Makes a field of the view confirmed with everything pending on top.
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

/// Applies what is pending to what lies under it.
fn put_on<S: SharedState>(view: &mut S, update: &mut PendingUpdate<S>) {
    update.applies = view.check_op(&update.typed).is_ok();
    view.apply(update.typed.clone());
}

/// Everything that is pending, in the order in which it lies on the confirmed state.
fn pending<'a, S: SharedState>(
    queue: &'a mut Queue<S>,
    held: &'a mut [Held<S>],
) -> impl Iterator<Item = &'a mut PendingUpdate<S>> {
    let queued = queue.iter_mut().flat_map(|change| &mut change.updates);
    queued.chain(held.iter_mut().map(|held| &mut held.update))
}

/// Everything that is pending, in the order in which it lies on the confirmed state.
fn on_top<'a, S: SharedState>(
    queue: &'a Queue<S>,
    held: &'a [Held<S>],
) -> impl Iterator<Item = &'a PendingUpdate<S>> {
    let queued = queue.iter().flat_map(|change| &change.updates);
    queued.chain(held.iter().map(|held| &held.update))
}
