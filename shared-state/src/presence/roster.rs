//! The server's part: who takes part in a room's presence, and what each has been told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::core::Code;
use crate::presence::user;
use crate::proto::Dialect;
use crate::proto::presence::PresenceSet;
use crate::proto::{ClientId, Frame, Limits, RoomDetails, Violation};

/// A session's part in one room's presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PresenceSessionId(u64);

/// Where the frames for a session go: a short queue.
pub trait PresenceOutbox {
    /// Queues frames, all or none. `false`: they were not taken, the queue is full. The session is then told nothing
    /// until [`Roster::drained`] says that there is room again, and then everything anew.
    fn push(&mut self, frames: &Arc<[Frame]>) -> bool;
}

/// What a roster may cost.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RosterConfig {
    /// The longest presence, user and data together, in bytes of JSON.
    pub bytes: usize,
    /// The most sessions.
    pub seats: usize,
    /// The time in which changes are gathered.
    pub interval: Duration,
}

impl From<&Limits> for RosterConfig {
    fn from(limits: &Limits) -> Self {
        Self { bytes: limits.presence, seats: limits.present, interval: limits.presence_interval }
    }
}

/// One session that is present, for the server's program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Present {
    /// The public name of its client.
    pub client: ClientId,
    /// Who it says it is: JSON.
    pub user: Arc<str>,
    /// What it shows: JSON.
    pub data: Arc<str>,
    /// Whether it is not shown to others.
    pub hidden: bool,
    /// Whether its user has been without input for a time.
    pub away: bool,
}

/// What a session knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// What was told last.
    Live,
    /// To be told everything when it is time.
    Due,
    /// The same, once its lane has room.
    Behind,
}

/// Which of the hook's messages a session of its dialect hears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hears {
    /// `presence:` and `cursor:`.
    pub(super) presence: bool,
    /// `room:`.
    pub(super) room: bool,
}

pub(super) struct PresenceSession<L> {
    pub(super) client: ClientId,
    /// Which connection of the client it is: of two, the higher is the later one.
    connection: u64,
    pub(super) dialect: Dialect,
    pub(super) lane: L,
    pub(super) flow: Flow,
    /// Of a session of the hook's dialect: what it hears.
    pub(super) hears: Hears,
    /// Of that, what it has not been told everything of yet, though it is live.
    pub(super) late: Hears,
    /// What `room:joined` has beside the users.
    pub(super) details: RoomDetails,
    /// The users that a session of the hook's dialect was told of before it fell behind: it must be told of those
    /// who are gone one by one.
    pub(super) told: BTreeSet<Arc<str>>,
    pub(super) user: Arc<str>,
    pub(super) key: Arc<str>,
    /// What the v1 protocol shows of it.
    pub(super) data: Arc<str>,
    /// What the hook's dialect shows of it, where that is something else.
    plain: Option<Arc<str>>,
    /// The cursor of a session of the hook's dialect.
    pub(super) cursor: Option<(f64, f64)>,
    pub(super) hidden: bool,
    pub(super) away: bool,
    /// When it last said something.
    pub(super) seen: Duration,
}

impl<L> PresenceSession<L> {
    /// Its data without the cursor that the hook's dialect has beside it.
    pub(super) fn plain(&self) -> &str {
        self.plain.as_ref().unwrap_or(&self.data)
    }
}

/// What of a session has changed since everybody was told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Touched {
    /// More than its data.
    pub(super) whole: bool,
    /// Its data.
    pub(super) data: bool,
    /// Its data or the time it was last seen: for the hook's dialect.
    pub(super) seen: bool,
    /// Its cursor: for the hook's dialect.
    pub(super) cursor: bool,
}

/// Who is here. `L` is where frames for a session go.
pub struct Roster<L> {
    pub(super) room: Arc<str>,
    config: RosterConfig,
    pub(super) seats: BTreeMap<PresenceSessionId, PresenceSession<L>>,
    next_seat: u64,
    /// The seat of each client; of an older connection's, which is about to end, nothing is shown.
    pub(super) clients: BTreeMap<ClientId, PresenceSessionId>,
    /// Those whom the others know, with their users' keys.
    pub(super) shown: BTreeMap<ClientId, Arc<str>>,
    /// The same by user.
    pub(super) users: BTreeMap<Arc<str>, BTreeSet<ClientId>>,
    pub(super) touched: BTreeMap<ClientId, Touched>,
    /// The users of whom clients of the hook's dialect were shown a cursor.
    pub(super) pointing: BTreeSet<Arc<str>>,
    /// Some session is to be told everything.
    pub(super) welcome: bool,
    pub(super) flushed: Option<Duration>,
}

fn bad(message: impl Into<String>) -> Violation {
    Violation::new(Code::BadMessage, message)
}

impl<L: PresenceOutbox> Roster<L> {
    /// Nobody is in `room` yet.
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

    /// How many sessions take part, hidden ones too.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Every session that takes part, hidden ones too, in the order of their clients' names.
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

    /// Lets a session take part. It is told who is there when it is time, and from then on what changes. `now` is the
    /// time since 1970, and never goes back.
    ///
    /// If the client has another seat, of a connection whose end was not noticed yet, that of the later `connection`, a
    /// number that rises, is the one that counts.
    ///
    /// # Errors
    /// There is no `user`, it is too long, or there are too many sessions.
    pub fn enter(
        &mut self,
        now: Duration,
        (client, connection): (ClientId, u64),
        dialect: Dialect,
        set: &PresenceSet<'_>,
        lane: L,
    ) -> Result<PresenceSessionId, Violation> {
        let Some(user) = set.user.map(RawValue::get) else {
            return Err(bad("the first `presence:set` in a room says the `user`"));
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

    /// A session has something new to show. One that is no longer there is ignored.
    ///
    /// # Errors
    /// It is too long, or its user is another one: nothing was changed.
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

    /// A session of the hook's dialect has moved its cursor.
    ///
    /// # Errors
    /// `user` is not the session's: nothing was changed.
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

    /// A session of the hook's dialect is among the room's users and hears who else is: by `room:joined`, which has
    /// these `details` beside the users, when it is time. One that has just `entered` hears nothing else.
    pub fn join_room(&mut self, id: PresenceSessionId, details: RoomDetails, entered: bool) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        seat.details = details;
        seat.hears.room = true;
        seat.hears.presence &= !entered;
        seat.late.room = true;
        self.welcome = true;
    }

    /// A session of the hook's dialect hears of presence.
    pub fn hear_presence(&mut self, id: PresenceSessionId) {
        if let Some(seat) = self.seats.get_mut(&id)
            && !seat.hears.presence
        {
            seat.hears.presence = true;
            seat.late.presence = true;
            self.welcome = true;
        }
    }

    /// A session of the hook's dialect has nothing more to show. Whether it stays, because it is among the room's users.
    pub fn step_back(&mut self, id: PresenceSessionId) -> bool {
        let Some(seat) = self.seats.get_mut(&id).filter(|seat| seat.hears.room) else { return false };
        (seat.hears.presence, seat.late.presence) = (false, false);
        (seat.cursor, seat.plain, seat.data) = (None, None, "null".into());
        self.touch(id, Touched { data: true, seen: true, cursor: true, whole: false });
        true
    }

    /// Whether `user`, an object with an id or the bare id, is the session's.
    ///
    /// # Errors
    /// It is not.
    pub fn is_own(&self, id: PresenceSessionId, user: &RawValue) -> Result<(), Violation> {
        self.seats.get(&id).map_or(Ok(()), |seat| same_user(seat, user.get()))
    }

    fn touch(&mut self, id: PresenceSessionId, new: Touched) {
        let Some(seat) = self.seats.get(&id) else { return };
        // Nothing is shown of a connection that has a successor.
        if self.clients.get(&seat.client) != Some(&id) || seat.hidden && !new.whole {
            return;
        }
        let touched = self.touched.entry(seat.client.clone()).or_default();
        touched.whole |= new.whole;
        touched.data |= new.data;
        touched.seen |= new.seen;
        touched.cursor |= new.cursor;
    }

    /// A session takes part no longer; gives its lane back.
    pub fn leave(&mut self, id: PresenceSessionId) -> Option<L> {
        let seat = self.seats.remove(&id)?;
        if self.clients.get(&seat.client) == Some(&id) {
            self.clients.remove(&seat.client);
            self.touched.insert(seat.client, Touched::default());
        }
        Some(seat.lane)
    }

    /// A session's lane has room again.
    pub fn drained(&mut self, id: PresenceSessionId) {
        if let Some(seat) = self.seats.get_mut(&id)
            && seat.flow == Flow::Behind
        {
            seat.flow = Flow::Due;
            self.welcome = true;
        }
    }

    /// When [`tick`](Self::tick) has something to do: at once after a quiet time, else an interval after it last had.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        (self.welcome || !self.touched.is_empty())
            .then(|| self.flushed.map_or(Duration::ZERO, |flushed| flushed + self.config.interval))
    }

    /// Tells everybody what has changed, if it is time.
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

/// Data with a cursor in it: an object with `x` and `y`, or data that can have neither as it is.
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
