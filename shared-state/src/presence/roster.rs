//! The server's state machine of presence: the sessions that are present in a room, and what each has been
//! sent. Driven by the server's presence task, one for each room; it has no queue, socket or clock of its
//! own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::core::Code;
use crate::presence::user;
use crate::proto::Dialect;
use crate::proto::presence::PresenceSet;
use crate::proto::{ClientId, Frame, Limits, RoomDetails, Violation};

/// Identifies a session in one [`Roster`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PresenceSessionId(u64);

/// The bounded queue of frames for a session.
pub trait PresenceOutbox {
    /// Queues all of `frames` or none. Returns `false` if they do not fit. The session then gets nothing
    /// until [`Roster::drained`] reports space, and then everything anew.
    fn push(&mut self, frames: &Arc<[Frame]>) -> bool;
}

/// The limits of a roster.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RosterConfig {
    /// The longest user and data together, in bytes of JSON.
    pub bytes: usize,
    /// The most sessions.
    pub seats: usize,
    /// How long changes are gathered before they are sent.
    pub interval: Duration,
}

impl From<&Limits> for RosterConfig {
    fn from(limits: &Limits) -> Self {
        Self { bytes: limits.presence, seats: limits.present, interval: limits.presence_interval }
    }
}

/// One session that is present, as the server's program sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Present {
    /// The public id of its client.
    pub client: ClientId,
    /// The user that it shows: JSON.
    pub user: Arc<str>,
    /// The data that it shows: JSON.
    pub data: Arc<str>,
    /// Whether it is hidden from the others.
    pub hidden: bool,
    /// Whether its user is away.
    pub away: bool,
}

/// How far a session's client is informed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// It has been sent everything up to the last flush.
    Live,
    /// It gets the full list at the next flush.
    Due,
    /// It gets the full list once its queue has space.
    Behind,
}

/// The messages that a legacy session is subscribed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hears {
    /// `presence:` and `cursor:`.
    pub(super) presence: bool,
    /// `room:`.
    pub(super) room: bool,
}

pub(super) struct PresenceSession<L> {
    pub(super) client: ClientId,
    /// The number of the client's connection: of two, the higher is the later one.
    connection: u64,
    pub(super) dialect: Dialect,
    pub(super) lane: L,
    pub(super) flow: Flow,
    /// For a legacy session: its subscriptions.
    pub(super) hears: Hears,
    /// For a live legacy session: the subscriptions whose full list it has not been sent yet.
    pub(super) late: Hears,
    /// The room's details, for `room:joined`.
    pub(super) details: RoomDetails,
    /// The users that a legacy session knew before it fell behind: those that have left since must be
    /// reported one by one.
    pub(super) told: BTreeSet<Arc<str>>,
    pub(super) user: Arc<str>,
    pub(super) key: Arc<str>,
    /// The data as the v1 protocol shows it.
    pub(super) data: Arc<str>,
    /// The data as the legacy protocol shows it, where that is different.
    plain: Option<Arc<str>>,
    /// The cursor of a legacy session.
    pub(super) cursor: Option<(f64, f64)>,
    pub(super) hidden: bool,
    pub(super) away: bool,
    /// When it was active last.
    pub(super) seen: Duration,
}

impl<L> PresenceSession<L> {
    /// The data without the cursor that the legacy protocol sends apart.
    pub(super) fn plain(&self) -> &str {
        self.plain.as_ref().unwrap_or(&self.data)
    }
}

/// What has changed about a session since the last flush.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Touched {
    /// More than its data.
    pub(super) whole: bool,
    /// Its data.
    pub(super) data: bool,
    /// Its data, or when it was active last: for legacy clients.
    pub(super) seen: bool,
    /// Its cursor: for legacy clients.
    pub(super) cursor: bool,
}

/// The sessions that are present in one room. `L` is the queue of a session.
pub struct Roster<L> {
    pub(super) room: Arc<str>,
    config: RosterConfig,
    pub(super) seats: BTreeMap<PresenceSessionId, PresenceSession<L>>,
    next_seat: u64,
    /// The current session of each client. Sessions of its older connections, which are about to end, are not
    /// shown.
    pub(super) clients: BTreeMap<ClientId, PresenceSessionId>,
    /// The clients that the others know, with their users' keys.
    pub(super) shown: BTreeMap<ClientId, Arc<str>>,
    /// The same clients by user.
    pub(super) users: BTreeMap<Arc<str>, BTreeSet<ClientId>>,
    pub(super) touched: BTreeMap<ClientId, Touched>,
    /// The users whose cursor legacy clients have been shown.
    pub(super) pointing: BTreeSet<Arc<str>>,
    /// Whether some session has to be sent the full list.
    pub(super) welcome: bool,
    pub(super) flushed: Option<Duration>,
}

fn bad(message: impl Into<String>) -> Violation {
    Violation::new(Code::BadMessage, message)
}

impl<L: PresenceOutbox> Roster<L> {
    /// An empty roster of `room`.
    #[must_use]
    pub fn new(room: Arc<str>, config: RosterConfig) -> Self {
        Self {
            room,
            config,
            seats: BTreeMap::new(),
            next_seat: 0,
            clients: BTreeMap::new(),
            shown: BTreeMap::new(),
            users: BTreeMap::new(),
            touched: BTreeMap::new(),
            pointing: BTreeSet::new(),
            welcome: false,
            flushed: None,
        }
    }

    /// The room's name.
    #[must_use]
    pub fn room(&self) -> &Arc<str> {
        &self.room
    }

    /// The number of sessions, hidden ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether there are no sessions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Every client's current session, hidden ones included, in the order of the clients' ids.
    pub fn present(&self) -> impl Iterator<Item = Present> {
        self.clients.iter().filter_map(|(client, id)| {
            let seat = self.seats.get(id)?;
            Some(Present {
                client: client.clone(),
                user: seat.user.clone(),
                data: seat.data.clone(),
                hidden: seat.hidden,
                away: seat.away,
            })
        })
    }

    /// Adds a session. It gets the full list at the next flush, and from then on the changes. `now` is the
    /// time since 1970, and never goes back.
    ///
    /// If the client has another session, of a connection whose end was not noticed yet, the session of the
    /// later `connection` counts. `connection` is a number that rises.
    ///
    /// # Errors
    /// `set` has no `user`, user and data are too long, or there are too many sessions.
    pub fn enter(
        &mut self,
        now: Duration,
        (client, connection): (ClientId, u64),
        dialect: Dialect,
        set: &PresenceSet<'_>,
        lane: L,
    ) -> Result<PresenceSessionId, Violation> {
        let Some(user) = set.user.map(RawValue::get) else {
            return Err(bad("the first `presence:set` in a room must contain the `user`"));
        };
        let limit = self.config.seats;
        if self.seats.len() >= limit && !self.clients.contains_key(&client) {
            let message = format!("at most {limit} sessions are present in a room");
            return Err(Violation::new(Code::TooManyPresent, message));
        }
        let data = set.data.map_or("null", RawValue::get);
        self.check(user, data)?;
        let id = PresenceSessionId(self.next_seat);
        self.next_seat += 1;
        let seat = PresenceSession {
            key: user::key(user, &client).into(),
            client: client.clone(),
            connection,
            dialect,
            lane,
            flow: Flow::Due,
            hears: Hears { presence: true, room: false },
            late: Hears::default(),
            details: RoomDetails::default(),
            told: BTreeSet::new(),
            user: user.into(),
            data: data.into(),
            plain: None,
            cursor: None,
            hidden: set.hidden.unwrap_or(false),
            away: set.away.unwrap_or(false),
            seen: now,
        };
        self.welcome = true;
        let other = self.clients.get(&client).and_then(|other| self.seats.get(other));
        let is_latest = other.is_none_or(|other| other.connection <= connection);
        self.seats.insert(id, seat);
        if !is_latest {
            return Ok(id);
        }
        self.clients.insert(client.clone(), id);
        let all = Touched { whole: true, data: true, seen: true, cursor: true };
        self.touched.insert(client, all);
        Ok(id)
    }

    fn check(&self, user: &str, data: &str) -> Result<(), Violation> {
        let (size, limit) = (user.len() + data.len(), self.config.bytes);
        if size > limit {
            let message = format!("`user` and `data` have at most {limit} bytes, found {size}");
            return Err(Violation::new(Code::PresenceTooLarge, message));
        }
        Ok(())
    }

    /// Changes what a session shows. Does nothing if the session has left.
    ///
    /// # Errors
    /// User and data are too long, or the user is another one; nothing was changed.
    pub fn set(
        &mut self,
        now: Duration,
        id: PresenceSessionId,
        set: &PresenceSet<'_>,
    ) -> Result<(), Violation> {
        let Some(seat) = self.seats.get(&id) else { return Ok(()) };
        let (user, new) = (set.user.map(RawValue::get), set.data.map(RawValue::get));
        if let Some(user) = user {
            same_user(seat, user)?;
        }
        self.check(user.unwrap_or(&seat.user), new.unwrap_or(&seat.data))?;
        let data = match (new, seat.cursor) {
            (Some(new), Some(at)) => Some(with_cursor(new, at)),
            _ => None,
        };
        let Some(seat) = self.seats.get_mut(&id) else { return Ok(()) };
        let mut touched =
            Touched { seen: new.is_some() || seat.dialect == Dialect::Legacy, ..Touched::default() };
        if let Some(user) = user
            && *user != *seat.user
        {
            seat.user = user.into();
            touched.whole = true;
        }
        if let Some(new) = new
            && new != seat.plain()
        {
            seat.plain = data.is_some().then(|| new.into());
            seat.data = data.unwrap_or_else(|| new.to_owned()).into();
            touched.data = true;
            touched.cursor = seat.dialect == Dialect::V1;
        }
        for (flag, new) in [(&mut seat.hidden, set.hidden), (&mut seat.away, set.away)] {
            if let Some(new) = new.filter(|new| new != flag) {
                *flag = new;
                touched.whole = true;
            }
        }
        seat.seen = now;
        self.touch(id, touched);
        Ok(())
    }

    /// Moves the cursor of a legacy session.
    ///
    /// # Errors
    /// `user` is not the session's user; nothing was changed.
    pub fn cursor(
        &mut self,
        now: Duration,
        id: PresenceSessionId,
        user: &RawValue,
        at: (f64, f64),
    ) -> Result<(), Violation> {
        let Some(seat) = self.seats.get(&id) else { return Ok(()) };
        same_user(seat, user.get())?;
        let Some(seat) = self.seats.get_mut(&id) else { return Ok(()) };
        seat.seen = now;
        seat.cursor = Some(at);
        let plain = seat.plain.get_or_insert_with(|| seat.data.clone()).clone();
        seat.data = with_cursor(&plain, at).into();
        self.touch(id, Touched { data: true, cursor: true, ..Touched::default() });
        Ok(())
    }

    /// Subscribes a legacy session to the room's users: it gets `room:joined`, with these `details`, at the
    /// next flush. If it has just `entered`, it is subscribed to nothing else.
    pub fn join_room(&mut self, id: PresenceSessionId, details: RoomDetails, entered: bool) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        seat.details = details;
        seat.hears.room = true;
        seat.hears.presence &= !entered;
        seat.late.room = true;
        self.welcome = true;
    }

    /// Subscribes a legacy session to presence messages.
    pub fn hear_presence(&mut self, id: PresenceSessionId) {
        if let Some(seat) = self.seats.get_mut(&id)
            && !seat.hears.presence
        {
            seat.hears.presence = true;
            seat.late.presence = true;
            self.welcome = true;
        }
    }

    /// Ends the presence of a legacy session that is subscribed to the room's users: it stays, but shows
    /// nothing and gets no presence messages. Returns whether the session stays. If not, nothing was changed,
    /// and the caller removes it.
    pub fn step_back(&mut self, id: PresenceSessionId) -> bool {
        let Some(seat) = self.seats.get_mut(&id).filter(|seat| seat.hears.room) else { return false };
        (seat.hears.presence, seat.late.presence) = (false, false);
        (seat.cursor, seat.plain, seat.data) = (None, None, "null".into());
        self.touch(id, Touched { data: true, seen: true, cursor: true, whole: false });
        true
    }

    /// Checks that `user`, an object with an id or the bare id, is the session's user.
    ///
    /// # Errors
    /// It is another user.
    pub fn is_own(&self, id: PresenceSessionId, user: &RawValue) -> Result<(), Violation> {
        self.seats.get(&id).map_or(Ok(()), |seat| same_user(seat, user.get()))
    }

    fn touch(&mut self, id: PresenceSessionId, new: Touched) {
        let Some(seat) = self.seats.get(&id) else { return };
        // Only the client's latest connection is shown.
        if self.clients.get(&seat.client) != Some(&id) || seat.hidden && !new.whole {
            return;
        }
        let touched = self.touched.entry(seat.client.clone()).or_default();
        touched.whole |= new.whole;
        touched.data |= new.data;
        touched.seen |= new.seen;
        touched.cursor |= new.cursor;
    }

    /// Removes a session, and returns its queue.
    pub fn leave(&mut self, id: PresenceSessionId) -> Option<L> {
        let seat = self.seats.remove(&id)?;
        if self.clients.get(&seat.client) == Some(&id) {
            self.clients.remove(&seat.client);
            self.touched.insert(seat.client, Touched::default());
        }
        Some(seat.lane)
    }

    /// Reports that a session's queue has space again.
    pub fn drained(&mut self, id: PresenceSessionId) {
        if let Some(seat) = self.seats.get_mut(&id)
            && seat.flow == Flow::Behind
        {
            seat.flow = Flow::Due;
            self.welcome = true;
        }
    }

    /// When to call [`tick`](Self::tick): at once after a quiet time, otherwise an interval after the last
    /// flush.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        (self.welcome || !self.touched.is_empty())
            .then(|| self.flushed.map_or(Duration::ZERO, |flushed| flushed + self.config.interval))
    }

    /// Sends everyone what has changed, if that is due.
    pub fn tick(&mut self, now: Duration) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.flushed = Some(now);
            self.flush();
        }
    }
}

fn same_user<L>(seat: &PresenceSession<L>, user: &str) -> Result<(), Violation> {
    let found = user::key(user, &seat.client);
    if found == *seat.key {
        return Ok(());
    }
    let found: String = found.chars().take(80).collect();
    let message = format!("this session is the user {}, and cannot be {found}; leave first", seat.key);
    Err(Violation::new(Code::OtherUser, message))
}

/// Data with a cursor in it, if it is an object or `null`; otherwise the data as it is.
fn with_cursor(data: &str, (x, y): (f64, f64)) -> String {
    let (Ok(x), Ok(y)) = (serde_json::value::to_raw_value(&x), serde_json::value::to_raw_value(&y)) else {
        return data.to_owned();
    };
    let empty = data.trim() == "null";
    let members = match empty {
        true => Ok(BTreeMap::new()),
        false => serde_json::from_str::<BTreeMap<String, &RawValue>>(data),
    };
    let Ok(mut members) = members else { return data.to_owned() };
    members.insert("x".to_owned(), &x);
    members.insert("y".to_owned(), &y);
    serde_json::to_string(&members).unwrap_or_else(|_| data.to_owned())
}
