//! The rooms in memory: opens them on demand and closes the idle ones.
//!
//! A room is loaded without the directory's lock, and once, however many callers wait for it. Lock order: a room's
//! lock may be taken while the directory's is held, never the other way round.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::authority;
use crate::authority::{Authority, Permissions};
use crate::core::{Code, Reject};
use crate::proto::Dialect;
use crate::proto::room;
use crate::proto::{ClientId, JoinRequest, Limits, Violation, check_room_name, split_address};
use crate::server::fanout::queue::{CloseReason, Outbox, Queue};
use crate::server::membership::RoomAccessTable;
use crate::server::rooms::compaction::described;
use crate::server::rooms::hook_runner::HookRunner;
use crate::server::rooms::in_flight::{InFlight, InFlightBytes};
use crate::server::rooms::legacy_listeners::Listeners;
use crate::server::rooms::participant::Participant;
use crate::server::rooms::room::{Closed, Room, now};
use crate::server::rooms::room_session::RoomSession;
use crate::server::rooms::room_types::RoomTypes;
use crate::store;
use crate::store::NullStore;
use crate::store::RoomStore;

/// The bounds of the interval between two checks for idle rooms.
const IDLE_CHECKS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(10));

/// A room in memory, as [`Server::rooms`](crate::server::Server::rooms) lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveRoom {
    /// The room's name.
    pub name: Arc<str>,
    /// How many sessions have joined its state.
    pub sessions: usize,
    /// How many users are in it, by its state, a channel or its presence.
    pub users: usize,
    /// Whether a password is needed to enter.
    pub password: bool,
    /// The metadata that clients are sent when they join: JSON text.
    pub metadata: Option<Arc<str>>,
    /// When the room was created; `None` if its stored history does not say.
    pub created_at: Option<SystemTime>,
}

/// Why a room or channel could not be opened.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenRoomError {
    /// The name is empty, too long, or has control characters.
    #[error("`{room}` is not a valid room name: expected 1 to {limit} bytes without control characters")]
    BadName {
        /// The name that was asked for.
        room: Arc<str>,
        /// The longest name, in bytes.
        limit: usize,
    },
    /// No pattern matches the name, and untyped rooms are not allowed.
    #[error("no room `{room}` can be opened here: no pattern matches its name")]
    Unknown {
        /// The room.
        room: Arc<str>,
    },
    /// The room may exist, but has no channel of this name.
    #[error("room `{room}` has no channel `{channel}`")]
    UnknownChannel {
        /// The room.
        room: Arc<str>,
        /// The channel.
        channel: Arc<str>,
    },
    /// The room's state has another type than the one asked for.
    #[error("room `{room}` holds a `{found}`, expected a `{expected}`")]
    WrongType {
        /// The room.
        room: Arc<str>,
        /// The type asked for.
        expected: &'static str,
        /// The room's type.
        found: &'static str,
    },
    /// The store could not load the room.
    #[error(transparent)]
    Store(#[from] store::LoadError),
    /// The store loaded the room, but its records do not fit the room's state.
    #[error(transparent)]
    Load(#[from] authority::LoadError),
    /// The program's settings function or its `on_create` hook refused the room or failed.
    #[error("room `{room}` cannot be opened: {}", .violation.message)]
    Refused {
        /// The room.
        room: Arc<str>,
        /// The code and message that a client is sent.
        violation: Violation,
    },
    /// The state that the program begins the room with cannot be stored or sent.
    #[error("room `{room}` cannot begin with this state: {reject}")]
    BadInitial {
        /// The room.
        room: Arc<str>,
        /// The field, and what is wrong with its value.
        reject: Reject,
    },
    /// Opening failed in this process.
    #[error("room `{room}` cannot be opened: {message}")]
    Failed {
        /// The room.
        room: Arc<str>,
        /// What happened.
        message: &'static str,
    },
    /// The server is shutting down.
    #[error("the server is shutting down")]
    ShuttingDown,
}

impl OpenRoomError {
    /// The code and message that a client is sent.
    pub(crate) fn violation(&self) -> Violation {
        let code = match self {
            Self::BadName { .. } => Code::BadRoom,
            Self::UnknownChannel { .. } => Code::UnknownChannel,
            Self::Refused { violation, .. } => violation.code,
            Self::BadInitial { .. } => Code::RulesFailed,
            Self::Unknown { .. } | Self::WrongType { .. } => Code::UnknownRoom,
            Self::Store(_) | Self::Load(_) | Self::Failed { .. } => Code::Unavailable,
            Self::ShuttingDown => Code::ShuttingDown,
        };
        Violation::new(code, self.to_string())
    }
}

type Opened = Option<Result<Arc<Room>, OpenRoomError>>;

enum Slot {
    Opening(watch::Receiver<Opened>),
    Live(Arc<Room>),
    /// The room was closed and its changes are on their way to the store. The channel is closed when they have
    /// arrived.
    Closing(watch::Receiver<()>),
}

/// What a caller must await before the room is open.
enum Found {
    Opening(watch::Receiver<Opened>),
    Closing(watch::Receiver<()>),
}

/// The rooms of a server that are in memory.
pub(crate) struct Directory {
    this: Weak<Self>,
    room_types: RoomTypes,
    store: Arc<dyn RoomStore>,
    limits: Arc<Limits>,
    in_flight_bytes: InFlightBytes,
    idle: Duration,
    accesses: Arc<RoomAccessTable>,
    listeners: Arc<Listeners>,
    rooms: Mutex<Rooms>,
}

#[derive(Default)]
struct Rooms {
    slots: HashMap<Arc<str>, Slot>,
    closing: bool,
    /// Whether the task that closes idle rooms is running.
    checking_idle: bool,
    /// How many rooms were loaded so far. A room's number in compact frames is taken from it.
    loaded: u64,
}

impl Directory {
    pub(crate) fn new(
        room_types: RoomTypes,
        store: Arc<dyn RoomStore>,
        limits: Arc<Limits>,
        idle: Duration,
        accesses: Arc<RoomAccessTable>,
    ) -> Arc<Self> {
        let (listeners, rooms) = (Arc::default(), Mutex::default());
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            room_types,
            store,
            in_flight_bytes: InFlightBytes::new(limits.in_flight_bytes),
            limits,
            idle,
            accesses,
            listeners,
            rooms,
        })
    }

    /// The settings and members of each room.
    pub(crate) fn accesses(&self) -> &Arc<RoomAccessTable> {
        &self.accesses
    }

    pub(crate) fn store(&self) -> &Arc<dyn RoomStore> {
        &self.store
    }

    /// The legacy clients that receive the channels of their rooms.
    pub(crate) fn listeners(&self) -> &Arc<Listeners> {
        &self.listeners
    }

    /// A panic under the lock cannot leave the map half changed, so a poisoned lock is still usable.
    fn lock(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a room or channel with this address may exist.
    pub(crate) fn check_known(&self, address: &str) -> Result<(), Violation> {
        match self.room_types.of(address) {
            Some(_) => Ok(()),
            None => Err(self.unknown(address).violation()),
        }
    }

    /// How many rooms are in memory or being loaded, channels included.
    pub(crate) fn len(&self) -> usize {
        self.lock().slots.len()
    }

    /// The room of this name, loaded if it is not in memory. Cancel safe: a room that nobody awaits any more is
    /// loaded all the same, and closed when it has been idle.
    pub(crate) async fn open(&self, name: &str) -> Result<Arc<Room>, OpenRoomError> {
        let mut opening = loop {
            let found = {
                let mut rooms = self.lock();
                if rooms.closing {
                    return Err(OpenRoomError::ShuttingDown);
                }
                match rooms.slots.get(name) {
                    Some(Slot::Live(room)) => return Ok(room.clone()),
                    Some(Slot::Opening(opening)) => Found::Opening(opening.clone()),
                    Some(Slot::Closing(closing)) => Found::Closing(closing.clone()),
                    None => Found::Opening(self.begin(&mut rooms, name)?),
                }
            };
            match found {
                Found::Opening(opening) => break opening,
                // The sender never sends; it is dropped when the room has closed.
                Found::Closing(mut closing) => drop(closing.changed().await),
            }
        };
        match opening.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(opened)) => opened.clone(),
            Ok(None) | Err(_) => {
                Err(OpenRoomError::Failed { room: name.into(), message: "loading it panicked" })
            }
        }
    }

    /// Starts to load a room; the receiver is sent the result.
    fn begin(&self, rooms: &mut Rooms, name: &str) -> Result<watch::Receiver<Opened>, OpenRoomError> {
        let room: Arc<str> = name.into();
        let (of, channel) = split_address(name);
        for part in std::iter::once(of).chain(channel) {
            if !check_room_name(part, self.limits.room_name) {
                return Err(OpenRoomError::BadName { room: part.into(), limit: self.limits.room_name });
            }
        }
        if self.room_types.of(name).is_none() {
            return Err(self.unknown(name));
        }
        let Some(this) = self.this.upgrade() else { return Err(OpenRoomError::ShuttingDown) };
        if !rooms.checking_idle {
            rooms.checking_idle = true;
            tokio::spawn(close_idle_periodically(self.this.clone(), self.idle));
        }
        let (opened, opening) = watch::channel(None);
        rooms.slots.insert(room.clone(), Slot::Opening(opening.clone()));
        let slot = OpeningSlot { directory: this, room };
        tokio::spawn(async move {
            let result = slot.directory.load(slot.room.clone()).await;
            match &result {
                Ok(room) => slot.fill(room.clone()),
                // Dropping the slot empties it, so that the next caller tries again.
                Err(error) => {
                    tracing::error!(room = %slot.room, "{}", described(error));
                    drop(slot);
                }
            }
            opened.send_replace(Some(result));
        });
        Ok(opening)
    }

    /// The error for an address that matches no pattern.
    fn unknown(&self, address: &str) -> OpenRoomError {
        match split_address(address) {
            (room, Some(channel)) if self.room_types.of(room).is_some() => {
                OpenRoomError::UnknownChannel { room: room.into(), channel: channel.into() }
            }
            (room, _) => OpenRoomError::Unknown { room: room.into() },
        }
    }

    /// A number for a room in compact frames, unique in this process.
    fn next_number(&self) -> u64 {
        let mut rooms = self.lock();
        rooms.loaded += 1;
        rooms.loaded
    }

    /// Loads a room: settings first, then the store, then the state from what is stored or from the `on_create` hook.
    async fn load(&self, name: Arc<str>) -> Result<Arc<Room>, OpenRoomError> {
        let Some(kind) = self.room_types.of(&name) else { return Err(self.unknown(&name)) };
        let access = match self.accesses.open(split_address(&name).0).await {
            Ok(access) => access,
            Err(violation) => return Err(OpenRoomError::Refused { room: name, violation }),
        };
        let store = match kind.durable && !access.is_temporary() {
            true => self.store.clone(),
            false => Arc::new(NullStore),
        };
        let stored = store.load(name.clone()).await?;
        let mut state = match (&kind.hooks, &stored) {
            (None, _) => (kind.begin)(),
            (Some(hooks), Some(_)) => hooks.begin(),
            (Some(hooks), None) => match hooks.create(&name).await {
                Ok(state) => state,
                Err(violation) => return Err(OpenRoomError::Refused { room: name, violation }),
            },
        };
        if stored.is_none()
            && let Err(reject) = state.check_initial()
        {
            return Err(OpenRoomError::BadInitial { room: name, reject });
        }
        let limits = self.limits.clone();
        let authority = match &stored {
            Some(stored) => {
                let snapshot = stored.snapshot.as_ref().map(|snapshot| (snapshot.version, &*snapshot.bytes));
                let tail = stored.tail.iter().map(|entry| (entry.version, &*entry.bytes));
                Authority::load(name, stored.epoch, state, limits, snapshot, tail)?
            }
            None => match getrandom::u64() {
                Ok(epoch) => Authority::new(name, epoch, state, limits),
                Err(_) => {
                    let message = "the system has no randomness for the room's epoch";
                    return Err(OpenRoomError::Failed { room: name, message });
                }
            },
        };
        tracing::debug!(room = %authority.room(), version = authority.head(), "room opened");
        let in_flight = InFlight::new(self.limits.in_flight, self.in_flight_bytes.clone());
        let authority = authority.with_number(self.next_number()).beginning_at(now());
        let directory = self.this.clone();
        let on_reset = Box::new(move |room: &Arc<Room>| {
            if let Some(directory) = directory.upgrade() {
                directory.forget(room);
            }
        });
        let room = Room::new(authority, kind.type_name, store, on_reset, access, in_flight);
        Ok(Arc::new(match &kind.hooks {
            Some(hooks) => room.observed_by(Arc::new(HookRunner::new(hooks.clone()))),
            None => room,
        }))
    }

    /// Opens a room and joins it, after the `on_join` hook has agreed.
    ///
    /// Cancel safe: nothing is joined before it returns.
    pub(crate) async fn join(
        &self,
        name: &str,
        participant: Participant,
        dialect: Dialect,
        request: JoinRequest,
        permissions: Option<Arc<dyn Permissions>>,
        queue: Arc<Queue>,
    ) -> Result<Result<RoomSession, Violation>, OpenRoomError> {
        loop {
            let room = self.open(name).await?;
            if room.is_observed()
                && let Some(hooks) = self.room_types.of(name).and_then(|kind| kind.hooks.as_ref())
                && let Err(violation) = hooks.join(room.clone(), &participant).await
            {
                return Ok(Err(violation));
            }
            let client = ClientId::from(participant.client());
            let outbox = Outbox::new(queue.clone());
            if request.info {
                outbox.push_before_join(room::info(
                    name,
                    &participant.membership().access().details(room.created_at()),
                ));
            }
            match room.join(client, dialect, &request, permissions.clone(), outbox) {
                Ok(Ok(session)) => return Ok(Ok(RoomSession::new(room, session, participant, request.info))),
                Ok(Err(violation)) => {
                    room.left(Box::new(participant));
                    return Ok(Err(violation));
                }
                // The room ended meanwhile: the next turn opens a new one.
                Err(Closed) => self.forget(&room),
            }
        }
    }

    /// Whether a room or channel is in memory or being loaded.
    pub(crate) fn is_open(&self, address: &str) -> bool {
        self.lock().slots.contains_key(address)
    }

    /// The room and its channels, as far as they are in memory.
    pub(crate) fn with_channels(&self, name: &str) -> Vec<Arc<Room>> {
        let mut rooms = self.live();
        rooms.retain(|room| split_address(room.name()).0 == name);
        rooms
    }

    /// Opens a room and keeps it in memory until [`Room::release`]. Cancel safe.
    pub(crate) async fn hold(&self, name: &str) -> Result<Arc<Room>, OpenRoomError> {
        loop {
            let room = self.open(name).await?;
            match room.hold() {
                Ok(()) => return Ok(room),
                Err(Closed) => self.forget(&room),
            }
        }
    }

    /// Removes a room that has ended.
    pub(crate) fn forget(&self, room: &Arc<Room>) {
        let mut rooms = self.lock();
        if let Some(Slot::Live(live)) = rooms.slots.get(room.name())
            && Arc::ptr_eq(live, room)
        {
            rooms.slots.remove(room.name());
            self.listeners.closed(room.name());
        }
    }

    /// The rooms in memory, sorted by name, without their channels.
    pub(crate) fn rooms(&self) -> Vec<LiveRoom> {
        let of = |room: Arc<Room>| {
            let details = room.access().details(room.created_at());
            LiveRoom {
                name: room.name().clone(),
                sessions: room.sessions(),
                users: room.access().users(),
                password: details.password,
                metadata: details.metadata,
                created_at: details.created_at.map(|since| UNIX_EPOCH + Duration::from_millis(since)),
            }
        };
        let rooms = self.live().into_iter().filter(|room| split_address(room.name()).1.is_none());
        let mut rooms: Vec<_> = rooms.map(of).collect();
        rooms.sort_by(|one, other| one.name.cmp(&other.name));
        rooms
    }

    /// The rooms in memory, channels included.
    fn live(&self) -> Vec<Arc<Room>> {
        let live = |slot: &Slot| match slot {
            Slot::Live(room) => Some(room.clone()),
            Slot::Opening(_) | Slot::Closing(_) => None,
        };
        self.lock().slots.values().filter_map(live).collect()
    }

    /// Closes the rooms that have been idle.
    fn close_idle(&self) {
        for room in self.live() {
            // The snapshot is requested before the slot is free, so that a new load of the room comes after it.
            let mut rooms = self.lock();
            if let Some(compaction) = room.close_if_idle(self.idle) {
                rooms.slots.remove(room.name());
                self.listeners.closed(room.name());
                drop(rooms);
                if let Some(compaction) = compaction.now_or_waiting() {
                    tokio::spawn(compaction);
                }
            }
        }
    }

    /// Ends a room and its channels once their changes are durable. Whoever opens one of them meanwhile waits.
    pub(crate) async fn close_room(&self, name: &str, why: &CloseReason) {
        let is_of = |address: &str| split_address(address).0 == name;
        self.opened(is_of).await;
        let (rooms, closing): (Vec<_>, Vec<_>) = {
            let mut slots = self.lock();
            let closing = slots.slots.iter_mut().filter(|(address, _)| is_of(address));
            let closing = closing.filter_map(|(_, slot)| {
                let Slot::Live(room) = slot else { return None };
                let (closed, closing) = watch::channel(());
                let room = room.clone();
                *slot = Slot::Closing(closing);
                Some((room, closed))
            });
            closing.unzip()
        };
        let drained = rooms.iter().map(|room| room.clone().drain(why));
        let drained = futures_util::future::join_all(drained).await;
        for room in &rooms {
            self.lock().slots.remove(room.name());
            self.listeners.closed(room.name());
        }
        drop(closing);
        for compaction in drained.into_iter().flatten() {
            compaction.wait().await;
        }
    }

    /// Waits until no room whose address matches is being loaded.
    async fn opened(&self, is_of: impl Fn(&str) -> bool) {
        let opening: Vec<_> = {
            let rooms = self.lock();
            let opening = rooms.slots.iter().filter(|(address, _)| is_of(address));
            let opening = opening.filter_map(|(_, slot)| match slot {
                Slot::Opening(opening) => Some(opening.clone()),
                Slot::Live(_) | Slot::Closing(_) => None,
            });
            opening.collect()
        };
        for mut opening in opening {
            // A room that failed to load needs no closing.
            let _ = opening.wait_for(Option::is_some).await;
        }
    }

    /// Refuses to open more rooms, and ends all of them once their changes are durable.
    pub(crate) async fn close(&self, why: &CloseReason) {
        self.lock().closing = true;
        self.opened(|_| true).await;
        let rooms = self.live();
        let drained = futures_util::future::join_all(rooms.iter().map(|room| room.clone().drain(why))).await;
        rooms.iter().for_each(|room| self.forget(room));
        for compaction in drained.into_iter().flatten() {
            compaction.wait().await;
        }
    }
}

/// The slot of a room being loaded. If it is dropped before it is filled, for example because loading panicked, the
/// slot is emptied.
struct OpeningSlot {
    directory: Arc<Directory>,
    room: Arc<str>,
}

impl OpeningSlot {
    fn fill(&self, room: Arc<Room>) {
        let from = room.place();
        let mut rooms = self.directory.lock();
        rooms.slots.insert(self.room.clone(), Slot::Live(room));
        self.directory.listeners.opened(&self.room, from);
    }
}

impl Drop for OpeningSlot {
    fn drop(&mut self) {
        let mut rooms = self.directory.lock();
        if let Some(Slot::Opening(_)) = rooms.slots.get(&self.room) {
            rooms.slots.remove(&self.room);
        }
    }
}

/// Closes idle rooms periodically, until the directory is dropped.
async fn close_idle_periodically(directory: Weak<Directory>, idle: Duration) {
    let pause = (idle / 4).clamp(IDLE_CHECKS.0, IDLE_CHECKS.1);
    loop {
        tokio::time::sleep(pause).await;
        let Some(directory) = directory.upgrade() else { return };
        directory.close_idle();
    }
}
