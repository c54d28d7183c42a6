//! Which rooms are live: opens them on demand, lets go of the idle ones.
//!
//! A room is loaded off the lock, once however many wait for it. The lock here may be held while a room's is
//! taken, never the other way round.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::authority;
use crate::authority::{Authority, Permissions};
use crate::core::Code;
use crate::proto::Dialect;
use crate::proto::room;
use crate::proto::{ClientId, JoinRequest, Limits, Violation, check_room_name, split_address};
use crate::server::fanout::queue::{CloseReason, Outbox, Queue};
use crate::server::membership::RoomAccessTable;
use crate::server::rooms::compaction::described;
use crate::server::rooms::hook_runner::HookRunner;
use crate::server::rooms::legacy_listeners::Listeners;
use crate::server::rooms::participant::Participant;
use crate::server::rooms::room::{Closed, Room, now};
use crate::server::rooms::room_session::RoomSession;
use crate::server::rooms::room_types::RoomTypes;
use crate::store;
use crate::store::NullStore;
use crate::store::RoomStore;

/// The shortest and the longest time between two looks for idle rooms.
const LOOKS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(10));

/// A room that is in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveRoom {
    /// Its name.
    pub name: Arc<str>,
    /// How many connections have joined its state.
    pub sessions: usize,
    /// How many users are in it, by its state, a channel or its presence.
    pub users: usize,
    /// Whether a password is needed to come in.
    pub password: bool,
    /// What the program says of it to those who join: JSON.
    pub metadata: Option<Arc<str>>,
    /// When its history began; `None` if the store does not know.
    pub created_at: Option<SystemTime>,
}

/// A room that cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenRoomError {
    /// The name is empty, too long, or has control characters.
    #[error("`{room}` is no room name: 1 to {limit} bytes, no control characters")]
    BadName {
        /// What was asked for.
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
    /// There is such a room, and it has no such channel.
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
    /// The store has the room and cannot give it.
    #[error(transparent)]
    Store(#[from] store::LoadError),
    /// What the store has is not what this room's state can have been.
    #[error(transparent)]
    Load(#[from] authority::LoadError),
    /// The rules of this kind of rooms do not want it, or failed; or its settings are not to be had.
    #[error("room `{room}` cannot be opened: {}", .violation.message)]
    Refused {
        /// The room.
        room: Arc<str>,
        /// What whoever wants to be in it is told.
        violation: Violation,
    },
    /// Opening it failed in this program.
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
    /// What a client is told.
    pub(crate) fn violation(&self) -> Violation {
        let code = match self {
            Self::BadName { .. } => Code::BadRoom,
            Self::UnknownChannel { .. } => Code::UnknownChannel,
            Self::Refused { violation, .. } => violation.code,
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
    /// It was closed and its changes are on their way to the store. Ends with that.
    Closing(watch::Receiver<()>),
}

/// What is there of a room that is asked for.
enum Found {
    Opening(watch::Receiver<Opened>),
    Closing(watch::Receiver<()>),
}

/// The live rooms of a server.
pub(crate) struct Directory {
    this: Weak<Self>,
    room_types: RoomTypes,
    store: Arc<dyn RoomStore>,
    limits: Arc<Limits>,
    idle: Duration,
    accesses: Arc<RoomAccessTable>,
    listeners: Arc<Listeners>,
    rooms: Mutex<Rooms>,
}

#[derive(Default)]
struct Rooms {
    slots: HashMap<Arc<str>, Slot>,
    closing: bool,
    /// Whether the task that looks for idle rooms is running.
    looking: bool,
    /// How many rooms were loaded: their numbers in brief frames.
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
            limits,
            idle,
            accesses,
            listeners,
            rooms,
        })
    }

    /// What is said of the rooms, and who is in them.
    pub(crate) fn accesses(&self) -> &Arc<RoomAccessTable> {
        &self.accesses
    }

    pub(crate) fn store(&self) -> &Arc<dyn RoomStore> {
        &self.store
    }

    /// Who hears which channels without saying so.
    pub(crate) fn listeners(&self) -> &Arc<Listeners> {
        &self.listeners
    }

    /// Nothing that is done under the lock can leave the map half changed.
    fn lock(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there can be anything of this address.
    pub(crate) fn check_known(&self, address: &str) -> Result<(), Violation> {
        match self.room_types.of(address) {
            Some(_) => Ok(()),
            None => Err(self.unknown(address).violation()),
        }
    }

    /// How many rooms are in memory or on their way there.
    pub(crate) fn len(&self) -> usize {
        self.lock().slots.len()
    }

    /// The live room of this name, loaded if need be. Cancel safe: a room whose opening nobody awaits any more is
    /// opened all the same, and let go when it has been idle.
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
                // Nothing is ever told: it ends.
                Found::Closing(mut closing) => drop(closing.changed().await),
            }
        };
        match opening.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(opened)) => opened.clone(),
            Ok(None) | Err(_) => {
                Err(OpenRoomError::Failed { room: name.into(), message: "a panic while it was loaded" })
            }
        }
    }

    /// Starts to load a room.
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
        if !rooms.looking {
            rooms.looking = true;
            tokio::spawn(look_for_idle(self.this.clone(), self.idle));
        }
        let (opened, opening) = watch::channel(None);
        rooms.slots.insert(room.clone(), Slot::Opening(opening.clone()));
        let slot = OpeningSlot { directory: this, room };
        tokio::spawn(async move {
            let result = slot.directory.load(slot.room.clone()).await;
            match &result {
                Ok(room) => slot.fill(room.clone()),
                // The slot is emptied: the next who asks tries again.
                Err(error) => {
                    tracing::error!(room = %slot.room, "{}", described(error));
                    drop(slot);
                }
            }
            opened.send_replace(Some(result));
        });
        Ok(opening)
    }

    /// Why there is nothing of this address.
    fn unknown(&self, address: &str) -> OpenRoomError {
        match split_address(address) {
            (room, Some(channel)) if self.room_types.of(room).is_some() => {
                OpenRoomError::UnknownChannel { room: room.into(), channel: channel.into() }
            }
            (room, _) => OpenRoomError::Unknown { room: room.into() },
        }
    }

    fn next_number(&self) -> u64 {
        let mut rooms = self.lock();
        rooms.loaded += 1;
        rooms.loaded
    }

    async fn load(&self, name: Arc<str>) -> Result<Arc<Room>, OpenRoomError> {
        let Some(kind) = self.room_types.of(&name) else { return Err(self.unknown(&name)) };
        let house = match self.accesses.open(split_address(&name).0).await {
            Ok(house) => house,
            Err(violation) => return Err(OpenRoomError::Refused { room: name, violation }),
        };
        let store = match kind.durable && !house.is_temporary() {
            true => self.store.clone(),
            false => Arc::new(NullStore),
        };
        let stored = store.load(name.clone()).await?;
        let state = match (&kind.rules, &stored) {
            (None, _) => (kind.begin)(),
            (Some(rules), Some(_)) => rules.begin(),
            (Some(rules), None) => match rules.create(&name).await {
                Ok(state) => state,
                Err(violation) => return Err(OpenRoomError::Refused { room: name, violation }),
            },
        };
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
                    let message = "the system has no randomness for its epoch";
                    return Err(OpenRoomError::Failed { room: name, message });
                }
            },
        };
        tracing::debug!(room = %authority.room(), version = authority.head(), "room opened");
        let in_flight = self.limits.in_flight;
        let authority = authority.with_number(self.next_number()).beginning_at(now());
        let directory = self.this.clone();
        let on_reset = Box::new(move |room: &Arc<Room>| {
            if let Some(directory) = directory.upgrade() {
                directory.forget(room);
            }
        });
        let room = Room::new(authority, kind.type_name, store, on_reset, house, in_flight);
        Ok(Arc::new(match &kind.rules {
            Some(rules) => room.observed_by(Arc::new(HookRunner::new(rules.clone()))),
            None => room,
        }))
    }

    /// Opens a room and joins it. Cancel safe: until it returns, nothing is joined.
    pub(crate) async fn join(
        &self,
        name: &str,
        visitor: Participant,
        dialect: Dialect,
        request: JoinRequest,
        rights: Option<Arc<dyn Permissions>>,
        queue: Arc<Queue>,
    ) -> Result<Result<RoomSession, Violation>, OpenRoomError> {
        loop {
            let room = self.open(name).await?;
            let hooks = self.room_types.of(name).and_then(|kind| kind.rules.as_ref());
            if let Some(rules) = hooks
                && let Err(violation) = rules.join(room.clone(), &visitor).await
            {
                return Ok(Err(violation));
            }
            let client = ClientId::from(visitor.client());
            let outbox = Outbox::new(queue.clone());
            if request.info {
                outbox.tell_first(room::info(name, &visitor.membership().house().details(room.created_at())));
            }
            match room.join(client, dialect, &request, rights.clone(), outbox) {
                Ok(Ok(session)) => return Ok(Ok(RoomSession::new(room, session, visitor, request.info))),
                Ok(Err(violation)) => {
                    room.left(Box::new(visitor));
                    return Ok(Err(violation));
                }
                // It ended in between: the next one is another.
                Err(Closed) => self.forget(&room),
            }
        }
    }

    /// A room and its channels, as far as they are in memory.
    pub(crate) fn with_channels(&self, name: &str) -> Vec<Arc<Room>> {
        let mut rooms = self.live();
        rooms.retain(|room| split_address(room.name()).0 == name);
        rooms
    }

    /// Opens a room and holds it; [`Room::release`] lets go. Cancel safe.
    pub(crate) async fn hold(&self, name: &str) -> Result<Arc<Room>, OpenRoomError> {
        loop {
            let room = self.open(name).await?;
            match room.hold() {
                Ok(()) => return Ok(room),
                Err(Closed) => self.forget(&room),
            }
        }
    }

    /// Lets go of a room that is no more.
    pub(crate) fn forget(&self, room: &Arc<Room>) {
        let mut rooms = self.lock();
        if let Some(Slot::Live(live)) = rooms.slots.get(room.name())
            && Arc::ptr_eq(live, room)
        {
            rooms.slots.remove(room.name());
            self.listeners.closed(room.name());
        }
    }

    /// The rooms that are live, by name, without their channels.
    pub(crate) fn rooms(&self) -> Vec<LiveRoom> {
        let of = |room: Arc<Room>| {
            let details = room.house().details(room.created_at());
            LiveRoom {
                name: room.name().clone(),
                sessions: room.sessions(),
                users: room.house().users(),
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

    fn live(&self) -> Vec<Arc<Room>> {
        let live = |slot: &Slot| match slot {
            Slot::Live(room) => Some(room.clone()),
            Slot::Opening(_) | Slot::Closing(_) => None,
        };
        self.lock().slots.values().filter_map(live).collect()
    }

    fn close_idle(&self) {
        for room in self.live() {
            // The snapshot is asked for before anybody can ask the store for the room again.
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

    /// Ends a room and its channels, once their changes are durable. Who wants to be in one of them meanwhile waits.
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

    /// Waits until none of these is being opened.
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
            // One that failed is not there to be closed.
            let _ = opening.wait_for(Option::is_some).await;
        }
    }

    /// Opens no more rooms, and ends all there are once their changes are durable.
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

/// The slot of a room being loaded; dropped unfilled, it is emptied, also if loading panics.
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

/// Looks for idle rooms as long as there is a directory.
async fn look_for_idle(directory: Weak<Directory>, idle: Duration) {
    let pause = (idle / 4).clamp(LOOKS.0, LOOKS.1);
    loop {
        tokio::time::sleep(pause).await;
        let Some(directory) = directory.upgrade() else { return };
        directory.close_idle();
    }
}
