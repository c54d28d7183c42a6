//! Presence over connections: which rooms have any, and a connection's part in them.
//!
//! A room's presence knows nothing of the room's state: it has a lock, a task and a lane in the queues of its own. It
//! is there as long as somebody takes part, whatever becomes of the room.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::value::RawValue;
use tokio::runtime::Handle;

use crate::core::Code;
use crate::presence::{PresenceOutbox, PresenceSessionId, Present, Roster, RosterConfig, is_known_by};
use crate::proto::Dialect;
use crate::proto::presence::{LegacyPresence, PresenceRequest, PresenceSet, reject};
use crate::proto::{ClientId, Frame, Limits, RoomDetails, Secret, Violation, server};
use crate::server::fanout::presence_queue::PresenceQueueId;
use crate::server::fanout::queue::Queue;
use crate::server::membership::Membership;

/// A session's lane.
struct Outlet {
    queue: Arc<Queue>,
    id: PresenceQueueId,
}

impl PresenceOutbox for Outlet {
    fn push(&mut self, frames: &Arc<[Frame]>) -> bool {
        self.queue.push_presence(self.id, frames)
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.queue.close_lane(self.id);
    }
}

/// The presence of the rooms that have any.
pub(super) struct PresenceRooms {
    this: Weak<Self>,
    config: RosterConfig,
    start: (Duration, Instant),
    open: Mutex<HashMap<Arc<str>, Weak<PresenceRoom>>>,
}

/// The presence of one room.
pub(super) struct PresenceRoom {
    name: Arc<str>,
    presence_rooms: Arc<PresenceRooms>,
    runtime: Handle,
    core: Mutex<Core>,
}

struct Core {
    roster: Roster<Outlet>,
    /// Whether the task that tells what has changed is running.
    telling: bool,
}

impl PresenceRooms {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            config: limits.into(),
            start: (since, Instant::now()),
            open: Mutex::default(),
        })
    }

    /// The time since 1970, as far as the system's clock was right when the server began; never goes back.
    fn now(&self) -> Duration {
        self.start.0 + self.start.1.elapsed()
    }

    /// Nothing that is done under the lock can leave the map half changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Weak<PresenceRoom>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A room's presence. Called in a runtime, whose tasks then tell of it.
    fn open(&self, room: &str) -> Option<Arc<PresenceRoom>> {
        let mut open = self.lock();
        if let Some(lobby) = open.get(room).and_then(Weak::upgrade) {
            return Some(lobby);
        }
        let name: Arc<str> = room.into();
        let lobby = Arc::new(PresenceRoom {
            name: name.clone(),
            presence_rooms: self.this.upgrade()?,
            runtime: Handle::current(),
            core: Mutex::new(Core { roster: Roster::new(name.clone(), self.config), telling: false }),
        });
        open.insert(name, Arc::downgrade(&lobby));
        Some(lobby)
    }

    /// Who is in a room.
    pub(super) fn present(&self, room: &str) -> Vec<Present> {
        let lobby = self.lock().get(room).and_then(Weak::upgrade);
        lobby.map_or_else(Vec::new, |lobby| lobby.lock().roster.present().collect())
    }
}

impl PresenceRoom {
    /// Only the state machine is changed under the lock.
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something, and tells it if it is time, or sees to it that it is told.
    fn act<R>(self: &Arc<Self>, act: impl FnOnce(&mut Roster<Outlet>, Duration) -> R) -> R {
        let mut core = self.lock();
        let now = self.presence_rooms.now();
        let done = act(&mut core.roster, now);
        core.roster.tick(now);
        if !core.telling && core.roster.deadline().is_some() {
            core.telling = true;
            self.runtime.spawn(self.clone().tell());
        }
        done
    }

    /// Tells what has changed, time and again as long as anything does.
    async fn tell(self: Arc<Self>) {
        loop {
            let wait = {
                let mut core = self.lock();
                let Some(due) = core.roster.deadline() else {
                    core.telling = false;
                    return;
                };
                due.saturating_sub(self.presence_rooms.now())
            };
            tokio::time::sleep(wait).await;
            self.lock().roster.tick(self.presence_rooms.now());
        }
    }
}

impl Drop for PresenceRoom {
    fn drop(&mut self) {
        let mut open = self.presence_rooms.lock();
        // Another one may have taken its place.
        if open.get(&self.name).is_some_and(|lobby| lobby.strong_count() == 0) {
            open.remove(&self.name);
        }
    }
}

/// A connection's part in one room's presence, until it is dropped.
struct RoomSession {
    lobby: Arc<PresenceRoom>,
    seat: PresenceSessionId,
    lane: PresenceQueueId,
    /// Lets it be in the room.
    _guest: Arc<Membership>,
}

impl Drop for RoomSession {
    fn drop(&mut self) {
        let lane = self.lobby.act(|roster, _| roster.leave(self.seat));
        drop(lane);
    }
}

/// What a frame asks of presence.
#[derive(Clone, Debug)]
pub(super) enum PresenceStep<'m> {
    V1(PresenceRequest<'m>),
    Hook(LegacyPresence<'m>),
    /// A client of the hook's dialect is among the room's users.
    Join {
        user: &'m RawValue,
        password: Option<Secret>,
        /// What it is told of the room.
        details: RoomDetails,
    },
    /// It is no longer.
    Leave(Option<&'m RawValue>),
}

impl PresenceStep<'_> {
    /// Whether it asks to take part, if the connection does not yet.
    pub(super) fn enters(&self) -> bool {
        match self {
            Self::V1(PresenceRequest::Leave) | Self::Hook(LegacyPresence::Leave(_)) | Self::Leave(_) => false,
            Self::V1(_) | Self::Hook(_) | Self::Join { .. } => true,
        }
    }

    /// The room's password, if it says one.
    pub(super) fn password(&self) -> Option<&Secret> {
        match self {
            Self::V1(PresenceRequest::Set(set)) => set.password.as_ref(),
            Self::Join { password, .. } => password.as_ref(),
            _ => None,
        }
    }

    /// What its sender is told if it is refused.
    pub(super) fn refused(&self, room: &str, Violation { code, message }: &Violation) -> Frame {
        match self {
            Self::V1(_) => reject(room, *code, message),
            Self::Hook(_) | Self::Join { .. } | Self::Leave(_) => server::room_error(room, *code, message),
        }
    }
}

/// In what way somebody says that they are there.
enum Manner<'a> {
    V1,
    /// By the hook's presence.
    Hook,
    /// By joining the room as the hook does, which is told these details of it.
    Room(&'a RoomDetails),
}

/// Leave to take part in a room's presence.
pub(super) struct Entry {
    /// As which user; `None`: as whom they say.
    pub(super) user: Option<String>,
    pub(super) membership: Arc<Membership>,
}

/// A connection's part in the presence of its rooms.
pub(super) struct PresenceSessions {
    presence_rooms: Arc<PresenceRooms>,
    limit: usize,
    /// Which connection it is.
    connection: u64,
    next_lane: PresenceQueueId,
    seats: BTreeMap<Arc<str>, RoomSession>,
}

impl PresenceSessions {
    pub(super) fn new(presence_rooms: Arc<PresenceRooms>, limits: &Limits, connection: u64) -> Self {
        Self {
            presence_rooms,
            limit: limits.rooms_per_connection,
            connection,
            next_lane: 0,
            seats: BTreeMap::new(),
        }
    }

    /// Whether it takes part in a room's presence.
    pub(super) fn is_in(&self, room: &str) -> bool {
        self.seats.contains_key(room)
    }

    /// Leaves a room's presence; says whether it took part.
    pub(super) fn leave(&mut self, room: &str) -> bool {
        self.seats.remove(room).is_some()
    }

    /// Leaves the rooms in whose presence it may not be any more.
    pub(super) fn retain(&mut self, mut may: impl FnMut(&Arc<str>) -> bool) {
        self.seats.retain(|room, _| may(room));
    }

    /// Leaves everywhere.
    pub(super) fn leave_all(&mut self) {
        self.seats.clear();
    }

    /// A lane has room again.
    pub(super) fn drained(&self, lane: PresenceQueueId) {
        if let Some(seat) = self.seats.values().find(|seat| seat.lane == lane) {
            seat.lobby.act(|roster, _| roster.drained(seat.seat));
        }
    }

    /// Does what a frame asks for; gives what its sender is to be told. `entry` says that the connection may take part in
    /// the room's presence, and as which user, if it does not yet.
    pub(super) fn step(
        &mut self,
        room: &str,
        step: &PresenceStep<'_>,
        client: &ClientId,
        queue: &Arc<Queue>,
        entry: Option<Entry>,
    ) -> Option<Frame> {
        let done = match step {
            PresenceStep::V1(PresenceRequest::Set(set)) => {
                self.set(room, set, client, Manner::V1, queue, entry)
            }
            PresenceStep::V1(PresenceRequest::Leave) => {
                self.seats.remove(room);
                Ok(())
            }
            PresenceStep::Hook(LegacyPresence::Update { user, data }) => {
                let set = PresenceSet { user: Some(user), data: *data, ..PresenceSet::default() };
                self.hear_presence(room);
                self.set(room, &set, client, Manner::Hook, queue, entry)
            }
            PresenceStep::Hook(LegacyPresence::Leave(user)) => match self.seats.get(room) {
                Some(seat) => {
                    let own = seat.lobby.act(|roster, _| {
                        roster.is_own(seat.seat, user).map(|()| roster.step_back(seat.seat))
                    });
                    own.map(|stays| {
                        if !stays {
                            self.seats.remove(room);
                        }
                    })
                }
                None => Ok(()),
            },
            PresenceStep::Join { user, details, .. } => {
                let set = PresenceSet { user: Some(user), ..PresenceSet::default() };
                self.set(room, &set, client, Manner::Room(details), queue, entry)
            }
            PresenceStep::Leave(user) => match (self.seats.get(room), user) {
                (Some(seat), Some(user)) => {
                    let own = seat.lobby.act(|roster, _| roster.is_own(seat.seat, user));
                    own.map(|()| drop(self.seats.remove(room)))
                }
                _ => {
                    self.seats.remove(room);
                    Ok(())
                }
            },
            PresenceStep::Hook(LegacyPresence::Cursor { user, x, y }) => {
                let set = PresenceSet { user: Some(user), ..PresenceSet::default() };
                self.hear_presence(room);
                let entered = match self.seats.contains_key(room) {
                    true => Ok(()),
                    false => self.set(room, &set, client, Manner::Hook, queue, entry),
                };
                entered.and_then(|()| {
                    let Some(seat) = self.seats.get(room) else { return Ok(()) };
                    seat.lobby.act(|roster, now| roster.cursor(now, seat.seat, user, (*x, *y)))
                })
            }
        };
        done.err().map(|refusal| step.refused(room, &refusal))
    }

    /// A client of the hook's dialect that says something of its presence hears of others'.
    fn hear_presence(&self, room: &str) {
        if let Some(seat) = self.seats.get(room) {
            seat.lobby.act(|roster, _| roster.hear_presence(seat.seat));
        }
    }

    fn set(
        &mut self,
        room: &str,
        set: &PresenceSet<'_>,
        client: &ClientId,
        manner: Manner<'_>,
        queue: &Arc<Queue>,
        entry: Option<Entry>,
    ) -> Result<(), Violation> {
        if let Some(seat) = self.seats.get(room) {
            return seat.lobby.act(|roster, now| {
                roster.set(now, seat.seat, set)?;
                if let Manner::Room(details) = manner {
                    roster.join_room(seat.seat, details.clone(), false);
                }
                Ok(())
            });
        }
        let Some(Entry { user, membership }) = entry else {
            return Err(Violation::new(Code::NotJoined, "the connection is not in the room"));
        };
        if let Some(id) = user
            && set.user.is_some_and(|user| !is_known_by(user.get(), &id))
        {
            let shown: String = id.chars().take(80).collect();
            return Err(Violation::new(Code::OtherUser, format!("this connection is the user `{shown}`")));
        }
        if self.seats.len() >= self.limit {
            let message = format!("a connection is present in at most {} rooms", self.limit);
            return Err(Violation::new(Code::TooManyRooms, message));
        }
        let Some(lobby) = self.presence_rooms.open(room) else {
            return Err(Violation::new(Code::ShuttingDown, "the server is shutting down"));
        };
        let lane = self.next_lane;
        self.next_lane += 1;
        let outlet = Outlet { queue: queue.clone(), id: lane };
        let who = (client.clone(), self.connection);
        // In one step: what is told of it comes after that.
        let seat = lobby.act(|roster, now| match manner {
            Manner::V1 => roster.enter(now, who, Dialect::V1, set, outlet),
            Manner::Hook => roster.enter(now, who, Dialect::Legacy, set, outlet),
            Manner::Room(details) => {
                let seat = roster.enter(now, who, Dialect::Legacy, set, outlet)?;
                roster.join_room(seat, details.clone(), true);
                Ok(seat)
            }
        })?;
        self.seats.insert(lobby.name.clone(), RoomSession { lobby, seat, lane, _guest: membership });
        Ok(())
    }
}
