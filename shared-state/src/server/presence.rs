//! Presence on the server: the rooms that have any, and each connection's sessions in them.
//!
//! Owns the [`Roster`] of each room, with a lock, a task that sends what has changed, and a presence queue in each
//! connection, all independent of the room's state. A room's presence exists as long as it has a session, whether or
//! not the room is in memory. Called by connections through [`PresenceSessions`], which check access before.

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
use crate::server::fanout::wakes::Wakes;
use crate::server::membership::Membership;

/// Where the roster puts a session's frames: a presence queue of the connection. Closed on drop.
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
        self.queue.close_presence(self.id);
    }
}

/// The rooms of a server that have presence.
pub(super) struct PresenceRooms {
    this: Weak<Self>,
    config: RosterConfig,
    start: (Duration, Instant),
    /// The open ones. Weak, because a room's presence ends with its last session.
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
    /// Whether the task that sends changes is running.
    notifying: bool,
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

    /// The time since 1970 according to the system's clock when the server began. Never goes back.
    fn now(&self) -> Duration {
        self.start.0 + self.start.1.elapsed()
    }

    /// A panic under the lock cannot leave the map half changed, so a poisoned lock is still usable.
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Weak<PresenceRoom>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A room's presence, made if there is none. Must be called in a runtime, which then runs the task that sends
    /// changes. `None` if the server has been dropped.
    fn open(&self, room: &str) -> Option<Arc<PresenceRoom>> {
        let mut open = self.lock();
        if let Some(room_presence) = open.get(room).and_then(Weak::upgrade) {
            return Some(room_presence);
        }
        let name: Arc<str> = room.into();
        let room_presence = Arc::new(PresenceRoom {
            name: name.clone(),
            presence_rooms: self.this.upgrade()?,
            runtime: Handle::current(),
            core: Mutex::new(Core { roster: Roster::new(name.clone(), self.config), notifying: false }),
        });
        open.insert(name, Arc::downgrade(&room_presence));
        Some(room_presence)
    }

    /// The sessions in a room's presence.
    pub(super) fn present(&self, room: &str) -> Vec<Present> {
        let room_presence = self.lock().get(room).and_then(Weak::upgrade);
        room_presence.map_or_else(Vec::new, |room_presence| room_presence.lock().roster.present().collect())
    }
}

impl PresenceRoom {
    /// Only the roster is changed under the lock.
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the roster. Sends what is due now, and starts the task that sends the rest when it is due.
    fn act<R>(self: &Arc<Self>, act: impl FnOnce(&mut Roster<Outlet>, Duration) -> R) -> R {
        // Dropped after the lock is released.
        let _wakes = Wakes::gather(&self.runtime);
        let mut core = self.lock();
        let now = self.presence_rooms.now();
        let done = act(&mut core.roster, now);
        core.roster.tick(now);
        if !core.notifying && core.roster.deadline().is_some() {
            core.notifying = true;
            self.runtime.spawn(self.clone().notify_changes());
        }
        done
    }

    /// Sends changes whenever they are due, until there are none left.
    async fn notify_changes(self: Arc<Self>) {
        loop {
            let wait = {
                let mut core = self.lock();
                let Some(due) = core.roster.deadline() else {
                    core.notifying = false;
                    return;
                };
                due.saturating_sub(self.presence_rooms.now())
            };
            tokio::time::sleep(wait).await;
            let _wakes = Wakes::gather(&self.runtime);
            self.lock().roster.tick(self.presence_rooms.now());
        }
    }
}

impl Drop for PresenceRoom {
    fn drop(&mut self) {
        let mut open = self.presence_rooms.lock();
        // A new one of this name may have replaced it.
        if open.get(&self.name).is_some_and(|room_presence| room_presence.strong_count() == 0) {
            open.remove(&self.name);
        }
    }
}

/// A connection's session in one room's presence. Leaves on drop.
struct PresenceSession {
    room: Arc<PresenceRoom>,
    id: PresenceSessionId,
    queue_id: PresenceQueueId,
    /// It only receives the presence of others.
    only_watches: bool,
    /// Keeps the connection in the room.
    _membership: Arc<Membership>,
}

impl Drop for PresenceSession {
    fn drop(&mut self) {
        let outlet = self.room.act(|roster, _| roster.leave(self.id));
        drop(outlet);
    }
}

/// What a frame asks of presence.
#[derive(Clone, Debug)]
pub(super) enum PresenceAction<'m> {
    V1(PresenceRequest<'m>),
    Legacy(LegacyPresence<'m>),
    /// A legacy client's `room:join`.
    Join {
        user: &'m RawValue,
        password: Option<Secret>,
        /// The room's details, which the client is sent.
        details: RoomDetails,
    },
    /// A legacy client's `room:leave`, with the user if the message names one.
    Leave(Option<&'m RawValue>),
}

impl PresenceAction<'_> {
    /// Whether this makes the connection take part in the room's presence, if it does not yet.
    pub(super) fn enters(&self) -> bool {
        match self {
            Self::V1(PresenceRequest::Leave) | Self::Legacy(LegacyPresence::Leave(_)) | Self::Leave(_) => {
                false
            }
            Self::V1(_) | Self::Legacy(_) | Self::Join { .. } => true,
        }
    }

    /// The room's password, if the frame has one.
    pub(super) fn password(&self) -> Option<&Secret> {
        match self {
            Self::V1(PresenceRequest::Set(set)) => set.password.as_ref(),
            Self::Join { password, .. } => password.as_ref(),
            _ => None,
        }
    }

    /// The frame that refuses the request.
    pub(super) fn refused(&self, room: &str, Violation { code, message }: &Violation) -> Frame {
        match self {
            Self::V1(_) => reject(room, *code, message),
            Self::Legacy(_) | Self::Join { .. } | Self::Leave(_) => server::room_error(room, *code, message),
        }
    }
}

/// By which message a session enters.
enum EnterBy<'a> {
    V1,
    /// A legacy client's presence message.
    LegacyPresence,
    /// A legacy client's `room:join`, which is answered with these details.
    LegacyJoin(&'a RoomDetails),
}

/// Permission to take part in a room's presence.
pub(super) struct PresenceEntry {
    /// The user id that the session must use; `None`: the one the client claims.
    pub(super) user: Option<String>,
    pub(super) membership: Arc<Membership>,
}

/// A connection's sessions in the presence of its rooms.
pub(super) struct PresenceSessions {
    presence_rooms: Arc<PresenceRooms>,
    limit: usize,
    /// The connection's number.
    connection: u64,
    next_queue: PresenceQueueId,
    sessions: BTreeMap<Arc<str>, PresenceSession>,
}

impl PresenceSessions {
    pub(super) fn new(presence_rooms: Arc<PresenceRooms>, limits: &Limits, connection: u64) -> Self {
        Self {
            presence_rooms,
            limit: limits.rooms_per_connection,
            connection,
            next_queue: 0,
            sessions: BTreeMap::new(),
        }
    }

    /// Whether the connection takes part in a room's presence.
    pub(super) fn is_in(&self, room: &str) -> bool {
        self.session(room).is_some()
    }

    /// The session in a room's presence, if it does not only watch.
    fn session(&self, room: &str) -> Option<&PresenceSession> {
        self.sessions.get(room).filter(|session| !session.only_watches)
    }

    /// Lets a legacy client that has joined a room's state see the presence of others, whether or not it shows a user
    /// itself.
    pub(super) fn watch(
        &mut self,
        room: &str,
        client: &ClientId,
        queue: &Arc<Queue>,
        membership: Arc<Membership>,
    ) {
        if self.sessions.contains_key(room) {
            return self.receive_presence(room);
        }
        // Whoever cannot watch now is not told: it has not asked for anything.
        let _ = self.enter(room, client, queue, membership, true, Roster::watch);
    }

    /// Opens a session in a room's presence, which `enter` adds to the roster.
    fn enter(
        &mut self,
        room: &str,
        client: &ClientId,
        queue: &Arc<Queue>,
        membership: Arc<Membership>,
        only_watches: bool,
        enter: impl FnOnce(
            &mut Roster<Outlet>,
            Duration,
            (ClientId, u64),
            Outlet,
        ) -> Result<PresenceSessionId, Violation>,
    ) -> Result<(), Violation> {
        // A session that only watched is replaced.
        self.sessions.remove(room);
        if self.sessions.len() >= self.limit {
            let message = format!("a connection is present in at most {} rooms", self.limit);
            return Err(Violation::new(Code::TooManyRooms, message));
        }
        let Some(presence) = self.presence_rooms.open(room) else {
            return Err(Violation::new(Code::ShuttingDown, "the server is shutting down"));
        };
        let queue_id = self.next_queue;
        self.next_queue += 1;
        let outlet = Outlet { queue: queue.clone(), id: queue_id };
        let who = (client.clone(), self.connection);
        let id = presence.act(|roster, now| enter(roster, now, who, outlet))?;
        self.sessions.insert(
            presence.name.clone(),
            PresenceSession { room: presence, id, queue_id, only_watches, _membership: membership },
        );
        Ok(())
    }

    /// Leaves a room's presence. Returns whether the connection took part.
    pub(super) fn leave(&mut self, room: &str) -> bool {
        self.sessions.remove(room).is_some_and(|session| !session.only_watches)
    }

    /// Leaves the presence of the rooms for which `may` is false.
    pub(super) fn retain(&mut self, mut may: impl FnMut(&Arc<str>) -> bool) {
        self.sessions.retain(|room, _| may(room));
    }

    /// Leaves the presence of every room.
    pub(super) fn leave_all(&mut self) {
        self.sessions.clear();
    }

    /// A presence queue that had refused frames is empty: the roster may send to its session again.
    pub(super) fn drained(&self, queue_id: PresenceQueueId) {
        if let Some(session) = self.sessions.values().find(|session| session.queue_id == queue_id) {
            session.room.act(|roster, _| roster.drained(session.id));
        }
    }

    /// Performs what a frame asks for; returns the frame that refuses it, if it is refused. `entry` is needed if the
    /// connection does not take part in the room's presence yet and the frame makes it do so.
    pub(super) fn apply(
        &mut self,
        room: &str,
        action: &PresenceAction<'_>,
        client: &ClientId,
        queue: &Arc<Queue>,
        entry: Option<PresenceEntry>,
    ) -> Option<Frame> {
        let done = match action {
            PresenceAction::V1(PresenceRequest::Set(set)) => {
                self.set(room, set, client, EnterBy::V1, queue, entry)
            }
            PresenceAction::V1(PresenceRequest::Leave) => {
                self.sessions.remove(room);
                Ok(())
            }
            PresenceAction::Legacy(LegacyPresence::Update { user, data }) => {
                let set = PresenceSet { user: Some(user), data: *data, ..PresenceSet::default() };
                self.receive_presence(room);
                self.set(room, &set, client, EnterBy::LegacyPresence, queue, entry)
            }
            PresenceAction::Legacy(LegacyPresence::Leave(user)) => match self.session(room) {
                Some(session) => {
                    let own = session.room.act(|roster, _| {
                        roster.is_own(session.id, user).map(|()| roster.step_back(session.id))
                    });
                    own.map(|stays| {
                        if !stays {
                            self.sessions.remove(room);
                        }
                    })
                }
                None => Ok(()),
            },
            PresenceAction::Join { user, details, .. } => {
                let set = PresenceSet { user: Some(user), ..PresenceSet::default() };
                self.set(room, &set, client, EnterBy::LegacyJoin(details), queue, entry)
            }
            PresenceAction::Leave(user) => match (self.session(room), user) {
                (Some(session), Some(user)) => {
                    let own = session.room.act(|roster, _| roster.is_own(session.id, user));
                    own.map(|()| drop(self.sessions.remove(room)))
                }
                _ => {
                    self.sessions.remove(room);
                    Ok(())
                }
            },
            PresenceAction::Legacy(LegacyPresence::Cursor { user, x, y }) => {
                let set = PresenceSet { user: Some(user), ..PresenceSet::default() };
                self.receive_presence(room);
                let entered = match self.is_in(room) {
                    true => Ok(()),
                    false => self.set(room, &set, client, EnterBy::LegacyPresence, queue, entry),
                };
                entered.and_then(|()| {
                    let Some(session) = self.session(room) else { return Ok(()) };
                    session.room.act(|roster, now| roster.cursor(now, session.id, user, (*x, *y)))
                })
            }
        };
        done.err().map(|refusal| action.refused(room, &refusal))
    }

    /// A legacy client that sends a presence message is sent the presence of others from then on.
    fn receive_presence(&self, room: &str) {
        if let Some(session) = self.session(room) {
            session.room.act(|roster, _| roster.hear_presence(session.id));
        }
    }

    fn set(
        &mut self,
        room: &str,
        set: &PresenceSet<'_>,
        client: &ClientId,
        by: EnterBy<'_>,
        queue: &Arc<Queue>,
        entry: Option<PresenceEntry>,
    ) -> Result<(), Violation> {
        if let Some(session) = self.session(room) {
            return session.room.act(|roster, now| {
                roster.set(now, session.id, set)?;
                if let EnterBy::LegacyJoin(details) = by {
                    roster.join_room(session.id, details.clone(), false);
                }
                Ok(())
            });
        }
        let Some(PresenceEntry { user, membership }) = entry else {
            return Err(Violation::new(Code::NotJoined, "the connection is not in the room"));
        };
        if let Some(id) = user
            && set.user.is_some_and(|user| !is_known_by(user.get(), &id))
        {
            let shown: String = id.chars().take(80).collect();
            return Err(Violation::new(Code::OtherUser, format!("this connection is the user `{shown}`")));
        }
        // Both under one lock, so that the first frames sent to the session already account for the join.
        self.enter(room, client, queue, membership, false, |roster, now, who, outlet| match by {
            EnterBy::V1 => roster.enter(now, who, Dialect::V1, set, outlet),
            EnterBy::LegacyPresence => roster.enter(now, who, Dialect::Legacy, set, outlet),
            EnterBy::LegacyJoin(details) => {
                let id = roster.enter(now, who, Dialect::Legacy, set, outlet)?;
                roster.join_room(id, details.clone(), true);
                Ok(id)
            }
        })
    }
}
