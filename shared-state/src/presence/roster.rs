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
use crate::proto::{ClientId, Frame, Limits, RoomDetails, Violation, check_presence_size};

/// The bytes that a room sends its sessions in a second. Where everyone is told more, the changes are gathered for longer.
const BYTES_PER_SECOND: u64 = 64 << 20;

/// What a message to a session counts for beside its own bytes.
const PER_MESSAGE: u64 = 256;

/// The longest time for which changes are gathered.
const LONGEST_GATHERED: Duration = Duration::from_secs(1);

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
    /// How long changes are gathered before they are sent, at least: where sending them costs more, longer, up to a second.
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
pub(super) struct Interests {
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
    pub(super) outbox: L,
    pub(super) flow: Flow,
    /// For a legacy session: its subscriptions.
    pub(super) interests: Interests,
    /// For a live legacy session: the subscriptions whose full list it has not been sent yet.
    pub(super) unsynced: Interests,
    /// The room's details, for `room:joined`.
    pub(super) details: RoomDetails,
    /// The users that a legacy session knew before it fell behind: those that have left since must be
    /// reported one by one.
    pub(super) known_users: BTreeSet<Arc<str>>,
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
    /// It only receives the presence of others: it has shown no user, and does not count as present.
    only_watches: bool,
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
pub(super) struct Changed {
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
    pub(super) sessions: BTreeMap<PresenceSessionId, PresenceSession<L>>,
    next_session: u64,
    /// The current session of each client. Sessions of its older connections, which are about to end, are not
    /// shown.
    pub(super) clients: BTreeMap<ClientId, PresenceSessionId>,
    /// The clients that the others know, with their users' keys.
    pub(super) shown: BTreeMap<ClientId, Arc<str>>,
    /// The same clients by user.
    pub(super) users: BTreeMap<Arc<str>, BTreeSet<ClientId>>,
    pub(super) changed: BTreeMap<ClientId, Changed>,
    /// The users whose cursor legacy clients have been shown.
    pub(super) cursor_users: BTreeSet<Arc<str>>,
    /// Whether some session has to be sent the full list.
    pub(super) sync_due: bool,
    flushed: Option<Flushed>,
}

/// When changes were sent last, and for how long those that come after are gathered.
#[derive(Clone, Copy, Debug)]
struct Flushed {
    at: Duration,
    gather: Duration,
}

/// How much was sent to sessions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent(u64);

impl Sent {
    pub(super) fn add(&mut self, frames: &[Frame]) {
        let bytes = |frame: &Frame| frame.as_bytes().len() as u64 + PER_MESSAGE;
        self.0 = frames.iter().map(bytes).fold(self.0, u64::saturating_add);
    }

    /// How long changes are gathered after this was sent, in whole milliseconds.
    fn pause(self) -> Duration {
        Duration::from_millis(self.0.saturating_mul(1_000) / BYTES_PER_SECOND).min(LONGEST_GATHERED)
    }
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
            sessions: BTreeMap::new(),
            next_session: 0,
            clients: BTreeMap::new(),
            shown: BTreeMap::new(),
            users: BTreeMap::new(),
            changed: BTreeMap::new(),
            cursor_users: BTreeSet::new(),
            sync_due: false,
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
        self.sessions.len()
    }

    /// Whether there are no sessions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Every client's current session, hidden ones included, in the order of the clients' ids.
    pub fn present(&self) -> impl Iterator<Item = Present> {
        self.clients.iter().filter_map(|(client, id)| {
            let session = self.sessions.get(id).filter(|session| !session.only_watches)?;
            Some(Present {
                client: client.clone(),
                user: session.user.clone(),
                data: session.data.clone(),
                hidden: session.hidden,
                away: session.away,
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
        outbox: L,
    ) -> Result<PresenceSessionId, Violation> {
        let Some(user) = set.user.map(RawValue::get) else {
            return Err(bad("the first `presence:set` in a room must contain the `user`"));
        };
        self.check_seat(&client)?;
        let data = set.data.map_or("null", RawValue::get);
        self.check(user, data)?;
        Ok(self.insert(now, (client, connection), dialect, (user, data, set), outbox))
    }

    /// Adds a legacy session that receives the presence of others and shows nothing. `now` is as in
    /// [`enter`](Self::enter).
    ///
    /// # Errors
    /// There are too many sessions.
    pub fn watch(
        &mut self,
        now: Duration,
        who: (ClientId, u64),
        outbox: L,
    ) -> Result<PresenceSessionId, Violation> {
        self.check_seat(&who.0)?;
        let set = PresenceSet { hidden: Some(true), ..PresenceSet::default() };
        let id = self.insert(now, who, Dialect::Legacy, ("null", "null", &set), outbox);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.only_watches = true;
        }
        Ok(id)
    }

    /// Checks that there is space for a session of a client.
    fn check_seat(&self, client: &ClientId) -> Result<(), Violation> {
        let limit = self.config.seats;
        if self.sessions.len() >= limit && !self.clients.contains_key(client) {
            let message = format!("at most {limit} sessions are present in a room");
            return Err(Violation::new(Code::TooManyPresent, message));
        }
        Ok(())
    }

    fn insert(
        &mut self,
        now: Duration,
        (client, connection): (ClientId, u64),
        dialect: Dialect,
        (user, data, set): (&str, &str, &PresenceSet<'_>),
        outbox: L,
    ) -> PresenceSessionId {
        let id = PresenceSessionId(self.next_session);
        self.next_session += 1;
        let session = PresenceSession {
            key: user::key(user, &client).into(),
            client: client.clone(),
            connection,
            dialect,
            outbox,
            flow: Flow::Due,
            interests: Interests { presence: true, room: false },
            unsynced: Interests::default(),
            details: RoomDetails::default(),
            known_users: BTreeSet::new(),
            user: user.into(),
            data: data.into(),
            plain: None,
            cursor: None,
            hidden: set.hidden.unwrap_or(false),
            away: set.away.unwrap_or(false),
            only_watches: false,
            seen: now,
        };
        self.sync_due = true;
        let other = self.clients.get(&client).and_then(|other| self.sessions.get(other));
        let is_latest = other.is_none_or(|other| other.connection <= connection);
        self.sessions.insert(id, session);
        if !is_latest {
            return id;
        }
        self.clients.insert(client.clone(), id);
        let all = Changed { whole: true, data: true, seen: true, cursor: true };
        self.changed.insert(client, all);
        id
    }

    fn check(&self, user: &str, data: &str) -> Result<(), Violation> {
        check_presence_size(user, data, self.config.bytes)
            .map_err(|reject| Violation::new(reject.code, reject.message))
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
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        let (user, new) = (set.user.map(RawValue::get), set.data.map(RawValue::get));
        if let Some(user) = user {
            same_user(session, user)?;
        }
        self.check(user.unwrap_or(&session.user), new.unwrap_or(&session.data))?;
        let data = match (new, session.cursor) {
            (Some(new), Some(at)) => Some(with_cursor(new, at)),
            _ => None,
        };
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        let mut changed =
            Changed { seen: new.is_some() || session.dialect == Dialect::Legacy, ..Changed::default() };
        if let Some(user) = user
            && *user != *session.user
        {
            session.user = user.into();
            changed.whole = true;
        }
        if let Some(new) = new
            && new != session.plain()
        {
            session.plain = data.is_some().then(|| new.into());
            session.data = data.unwrap_or_else(|| new.to_owned()).into();
            changed.data = true;
            changed.cursor = session.dialect == Dialect::V1;
        }
        for (flag, new) in [(&mut session.hidden, set.hidden), (&mut session.away, set.away)] {
            if let Some(new) = new.filter(|new| new != flag) {
                *flag = new;
                changed.whole = true;
            }
        }
        session.seen = now;
        self.mark_changed(id, changed);
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
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        same_user(session, user.get())?;
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        session.seen = now;
        session.cursor = Some(at);
        let plain = session.plain.get_or_insert_with(|| session.data.clone()).clone();
        session.data = with_cursor(&plain, at).into();
        self.mark_changed(id, Changed { data: true, cursor: true, ..Changed::default() });
        Ok(())
    }

    /// Subscribes a legacy session to the room's users: it gets `room:joined`, with these `details`, at the
    /// next flush. If it has just `entered`, it is subscribed to nothing else.
    pub fn join_room(&mut self, id: PresenceSessionId, details: RoomDetails, entered: bool) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.details = details;
        session.interests.room = true;
        session.interests.presence &= !entered;
        session.unsynced.room = true;
        self.sync_due = true;
    }

    /// Subscribes a legacy session to presence messages.
    pub fn hear_presence(&mut self, id: PresenceSessionId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && !session.interests.presence
        {
            session.interests.presence = true;
            session.unsynced.presence = true;
            self.sync_due = true;
        }
    }

    /// Ends the presence of a legacy session that is subscribed to the room's users: it stays, but shows
    /// nothing and gets no presence messages. Returns whether the session stays. If not, nothing was changed,
    /// and the caller removes it.
    pub fn step_back(&mut self, id: PresenceSessionId) -> bool {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.interests.room) else {
            return false;
        };
        (session.interests.presence, session.unsynced.presence) = (false, false);
        (session.cursor, session.plain, session.data) = (None, None, "null".into());
        self.mark_changed(id, Changed { data: true, seen: true, cursor: true, whole: false });
        true
    }

    /// Checks that `user`, an object with an id or the bare id, is the session's user.
    ///
    /// # Errors
    /// It is another user.
    pub fn is_own(&self, id: PresenceSessionId, user: &RawValue) -> Result<(), Violation> {
        self.sessions.get(&id).map_or(Ok(()), |session| same_user(session, user.get()))
    }

    fn mark_changed(&mut self, id: PresenceSessionId, new: Changed) {
        let Some(session) = self.sessions.get(&id) else { return };
        // Only the client's latest connection is shown.
        if self.clients.get(&session.client) != Some(&id) || session.hidden && !new.whole {
            return;
        }
        let changed = self.changed.entry(session.client.clone()).or_default();
        changed.whole |= new.whole;
        changed.data |= new.data;
        changed.seen |= new.seen;
        changed.cursor |= new.cursor;
    }

    /// Removes a session, and returns its queue.
    pub fn leave(&mut self, id: PresenceSessionId) -> Option<L> {
        let session = self.sessions.remove(&id)?;
        if self.clients.get(&session.client) == Some(&id) {
            self.clients.remove(&session.client);
            self.changed.insert(session.client, Changed::default());
        }
        Some(session.outbox)
    }

    /// Reports that a session's queue has space again.
    pub fn drained(&mut self, id: PresenceSessionId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && session.flow == Flow::Behind
        {
            session.flow = Flow::Due;
            self.sync_due = true;
        }
    }

    /// When to call [`tick`](Self::tick): at once after a quiet time, otherwise an interval after the last
    /// flush, which is longer the more that has sent.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        (self.sync_due || !self.changed.is_empty())
            .then(|| self.flushed.map_or(Duration::ZERO, |flushed| flushed.at + flushed.gather))
    }

    /// Sends everyone what has changed, if that is due.
    pub fn tick(&mut self, now: Duration) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            let sent = self.flush();
            self.flushed = Some(Flushed { at: now, gather: sent.pause().max(self.config.interval) });
        }
    }
}

fn same_user<L>(session: &PresenceSession<L>, user: &str) -> Result<(), Violation> {
    let found = user::key(user, &session.client);
    if found == *session.key {
        return Ok(());
    }
    let found: String = found.chars().take(80).collect();
    let message = format!("this session is the user {}, and cannot be {found}; leave first", session.key);
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
