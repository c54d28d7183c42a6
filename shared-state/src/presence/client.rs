//! The client's state machine of presence: what this client shows of itself, and the others. Driven by the
//! client's task, one for each room.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::core::read_back::encode_checked;
use crate::core::{Code, Reject};
use crate::presence::{Peer, PresenceEvent, UserSessions, user};
use crate::proto::presence::{PeerEntry, PresenceNews, leave, set};
use crate::proto::{ClientId, ClientLimits, Frame, Refusal, Secret, Violation};

/// How a client takes part in a room's presence.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PresenceOptions {
    /// The shortest time between two messages about what this client shows. Of several changes within this
    /// time the latest is sent. Default 50 ms.
    pub throttle: Duration,
    /// How long the user may be without input before they are away. `None`: they are never away by
    /// themselves. Default 5 minutes.
    pub away_after: Option<Duration>,
    /// Whether this client is hidden from the others. Default false.
    pub hidden: bool,
    /// The most events stored for an app that does not take them. Default 1,024.
    pub events: usize,
}

impl Default for PresenceOptions {
    fn default() -> Self {
        let (throttle, away_after) = (Duration::from_millis(50), Some(Duration::from_secs(300)));
        Self { throttle, away_after, hidden: false, events: 1024 }
    }
}

impl PresenceOptions {
    /// Sets [`throttle`](Self::throttle).
    #[must_use]
    pub const fn throttle(mut self, throttle: Duration) -> Self {
        self.throttle = throttle;
        self
    }

    /// Sets [`away_after`](Self::away_after).
    #[must_use]
    pub const fn away_after(mut self, after: Option<Duration>) -> Self {
        self.away_after = after;
        self
    }

    /// Sets [`hidden`](Self::hidden) for the start.
    #[must_use]
    pub const fn hidden(mut self, hidden: bool) -> Self {
        self.hidden = hidden;
        self
    }
}

/// Why a presence could not be joined or changed. What was shown before stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// The user or the data has no JSON form, or reads back from it as another value or not at all.
    #[error("the user or the data cannot be sent: {0}")]
    Unsendable(#[source] serde_json::Error),
    /// The client has ended, or the presence could not be joined in the first place.
    #[error("the presence in room `{room}` is closed")]
    Closed {
        /// The room's name.
        room: Arc<str>,
    },
    /// This client has joined with other types.
    #[error("this client is present in room `{room}` with `{held}`, so it cannot be with `{asked}`")]
    OtherType {
        /// The room's name.
        room: Arc<str>,
        /// The types of the user and the data, as a tuple.
        held: &'static str,
        /// The requested types, as a tuple.
        asked: &'static str,
    },
    /// The server would refuse it.
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// The name is not valid for a room.
    #[error("invalid room name {name:?}: expected 1 to 128 bytes without control characters")]
    Name {
        /// The requested name.
        name: Arc<str>,
    },
}

/// How long to wait after a refusal before trying again.
const RETRY: Duration = Duration::from_secs(5);

/// A peer, and the JSON that it was decoded from.
struct KnownPeer<U, D> {
    user: Box<str>,
    data: Box<str>,
    away: bool,
    /// `None`: the JSON is not of these types.
    peer: Option<Peer<U, D>>,
}

/// The presence of one room, from one client's side.
pub struct PresenceClient<U, D> {
    room: Arc<str>,
    options: PresenceOptions,
    user: Arc<U>,
    user_json: String,
    data: Arc<D>,
    data_json: String,
    hidden: bool,
    /// Set by the app.
    away: bool,
    /// There was no input for too long.
    idle: bool,
    input: Duration,
    /// This client's public id, once it is known.
    id: Option<ClientId>,
    connected: bool,
    live: bool,
    sent: Option<Duration>,
    /// When to try again after a refusal.
    retry: Option<Duration>,
    /// This client was kicked, and does not come back by itself.
    kicked: bool,
    /// The server refused to let this client in. It does not try again over this connection by itself.
    denied: bool,
    /// The server refused this client for a reason that does not pass by itself.
    refused: bool,
    /// The room's password, if it has one.
    password: Option<Secret>,
    /// The server's limits.
    limits: ClientLimits,
    /// What has to be sent to the server.
    unsent: Unsent,
    known: BTreeMap<ClientId, KnownPeer<U, D>>,
    events: VecDeque<PresenceEvent<U, D>>,
    missed: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Unsent {
    user: bool,
    data: bool,
    hidden: bool,
    away: bool,
}

impl Unsent {
    const ALL: Self = Self { user: true, data: true, hidden: true, away: true };
}

impl<U, D> PresenceClient<U, D>
where
    U: Serialize + DeserializeOwned,
    D: Serialize + DeserializeOwned,
{
    /// Joins the presence of `room` as `user`, showing `data`. `now` is the time since any fixed moment, and
    /// never goes back.
    ///
    /// # Errors
    /// The user or the data has no JSON form.
    pub fn new(
        now: Duration,
        room: Arc<str>,
        user: U,
        data: D,
        options: PresenceOptions,
    ) -> Result<Self, PresenceError> {
        let (user_json, _) = encode_checked(&user).map_err(PresenceError::Unsendable)?;
        let (data_json, _) = encode_checked(&data).map_err(PresenceError::Unsendable)?;
        Ok(Self::with_json(now, room, (user, user_json), (data, data_json), options))
    }

    /// As [`new`](Self::new), with the JSON of the user and the data.
    pub(crate) fn with_json(
        now: Duration,
        room: Arc<str>,
        (user, user_json): (U, String),
        (data, data_json): (D, String),
        options: PresenceOptions,
    ) -> Self {
        Self {
            room,
            options,
            user: Arc::new(user),
            user_json,
            data: Arc::new(data),
            data_json,
            hidden: options.hidden,
            away: false,
            idle: false,
            input: now,
            id: None,
            connected: false,
            live: false,
            sent: None,
            retry: None,
            kicked: false,
            denied: false,
            refused: false,
            password: None,
            limits: ClientLimits::default(),
            unsent: Unsent::ALL,
            known: BTreeMap::new(),
            events: VecDeque::new(),
            missed: 0,
        }
    }

    /// The room's name.
    #[must_use]
    pub fn room(&self) -> &Arc<str> {
        &self.room
    }

    /// The data that this client shows.
    #[must_use]
    pub fn me(&self) -> &Arc<D> {
        &self.data
    }

    /// The user that this client shows.
    #[must_use]
    pub fn user(&self) -> &Arc<U> {
        &self.user
    }

    /// Whether this client is hidden from the others.
    #[must_use]
    pub const fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Whether the user is away: set by the app, or without input for too long.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        self.away || self.idle
    }

    /// Whether the others are up to date: they have arrived over the current connection.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.live
    }

    /// Whether the server refuses this client for a reason that does not pass by itself: the room does not
    /// exist, this client may not be in it, or what it shows is too large.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        self.refused
    }

    /// The others, in the order of their ids.
    pub fn others(&self) -> impl Iterator<Item = &Peer<U, D>> {
        self.known.values().filter_map(|known| known.peer.as_ref())
    }

    /// How many other sessions are not shown, because their user or data is not of these types.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.known.values().filter(|known| known.peer.is_none()).count()
    }

    /// Everyone by user; this client is included unless it is hidden.
    #[must_use]
    pub fn users(&self) -> Vec<UserSessions<U, D>> {
        let mut users: BTreeMap<String, Vec<Peer<U, D>>> = BTreeMap::new();
        let id = self.id.clone().unwrap_or_default();
        if !self.hidden {
            let me = Peer {
                id: id.clone(),
                user: self.user.clone(),
                data: self.data.clone(),
                away: self.is_away(),
            };
            users.entry(user::key(&self.user_json, &id)).or_default().push(me);
        }
        for (id, known) in &self.known {
            if let Some(peer) = &known.peer {
                users.entry(user::key(&known.user, id)).or_default().push(peer.clone());
            }
        }
        let users = users.into_values().filter_map(|mut sessions| {
            sessions.sort_by(|a, b| a.id.cmp(&b.id));
            let user = sessions.first()?.user.clone();
            Some(UserSessions { user, sessions })
        });
        users.collect()
    }

    /// Sets the server's limits. There are none before the first call.
    pub const fn set_limits(&mut self, limits: ClientLimits) {
        self.limits = limits;
    }

    /// Shows other data. Counts as input.
    ///
    /// # Errors
    /// The data has no JSON form, or is longer or deeper than the server accepts; nothing was changed.
    pub fn set(&mut self, now: Duration, data: D) -> Result<(), PresenceError> {
        let (json, _) = encode_checked(&data).map_err(PresenceError::Unsendable)?;
        self.limits.check_presence(&self.user_json, &json)?;
        self.check_frame(&json)?;
        self.input(now);
        self.data = Arc::new(data);
        if json != self.data_json {
            self.data_json = json;
            self.unsent.data = true;
            if self.denied && self.refused && !self.kicked {
                // What was refused is not sent any more.
                self.resend_all();
            }
        }
        Ok(())
    }

    /// Checks what this client shows against the server's limits, after these were set. What exceeds them counts as refused by
    /// the server, which is not asked.
    ///
    /// # Errors
    /// User and data are too long, nest too deep, or do not fit into a frame.
    pub fn check_limits(&mut self, now: Duration) -> Result<(), Violation> {
        let checked = self.limits.check_presence(&self.user_json, &self.data_json);
        match checked.and_then(|()| self.check_frame(&self.data_json)) {
            Ok(()) => Ok(()),
            Err(reject) => {
                self.receive(now, PresenceNews::Rejected(Violation::new(reject.code, reject.message)))
            }
        }
    }

    /// Checks the length of the frame that shows everything, with this data.
    fn check_frame(&self, data: &str) -> Result<(), Reject> {
        let password = self.password.as_ref().map(Secret::reveal);
        let frame = set(&self.room, Some(&self.user_json), Some(data), Some(true), Some(true), password);
        self.limits.check_frame(frame.len())
    }

    /// Reports input of the user, for example a key press. Ends an away that began by itself.
    pub const fn input(&mut self, now: Duration) {
        self.input = now;
        if self.idle {
            self.idle = false;
            self.unsent.away = true;
        }
    }

    /// Hides this client from the others, or shows it.
    pub const fn set_hidden(&mut self, hidden: bool) {
        self.unsent.hidden |= self.hidden != hidden;
        self.hidden = hidden;
    }

    /// Marks the user as away, whatever their input, or ends that.
    pub const fn set_away(&mut self, away: bool) {
        let before = self.is_away();
        self.away = away;
        self.unsent.away |= before != self.is_away();
    }

    /// The connection is ready, and this client has the public id `id`.
    pub fn connected(&mut self, id: ClientId) {
        if self.id.as_ref() != Some(&id) {
            // Under another id the server may have listed this client as a peer.
            self.known.remove(&id);
        }
        self.id = Some(id);
        if self.kicked {
            return;
        }
        self.connected = true;
        self.resend_all();
    }

    /// Sends everything anew, as the server may know nothing of this client.
    const fn resend_all(&mut self) {
        self.denied = false;
        self.refused = false;
        self.unsent = Unsent::ALL;
        self.sent = None;
        self.retry = None;
    }

    /// Sets the password for the next joins.
    pub fn set_password(&mut self, password: Option<Secret>) {
        self.password = password;
    }

    /// Tries to join again, if the server refused: because of a wrong password, or because the room was full
    /// or closed.
    pub const fn retry_join(&mut self) {
        if self.denied {
            self.resend_all();
        }
    }

    /// The connection is lost. The others stay as they were last; those that leave meanwhile are reported
    /// after the next connection.
    pub const fn disconnected(&mut self) {
        self.connected = false;
        self.retry = None;
        self.live = false;
    }

    /// When to call [`tick`](Self::tick), and then [`poll_frame`](Self::poll_frame).
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let idle = self.options.away_after.filter(|_| !self.idle).map(|after| self.input + after);
        let send = (self.connected && self.retry.is_none() && self.unsent != Unsent::default())
            .then(|| self.sent.map_or(Duration::ZERO, |sent| sent + self.options.throttle))
            .filter(|_| !self.denied);
        idle.into_iter().chain(send).chain(self.retry).min()
    }

    /// Marks the user as away if that is due, and ends the wait after a refusal.
    pub fn tick(&mut self, now: Duration) {
        if self.retry.is_some_and(|retry| retry <= now) {
            self.retry = None;
        }
        if let Some(after) = self.options.away_after
            && !self.idle
            && self.input + after <= now
        {
            let before = self.is_away();
            self.idle = true;
            self.unsent.away |= !before;
        }
    }

    /// The frame to send now, if any.
    pub fn poll_frame(&mut self, now: Duration) -> Option<Frame> {
        let due = self.sent.is_none_or(|sent| sent + self.options.throttle <= now);
        if !self.connected || self.denied || self.retry.is_some() || self.unsent == Unsent::default() || !due
        {
            return None;
        }
        let unsent = std::mem::take(&mut self.unsent);
        self.sent = Some(now);
        Some(set(
            &self.room,
            unsent.user.then_some(&*self.user_json),
            unsent.data.then_some(&*self.data_json),
            unsent.hidden.then_some(self.hidden),
            unsent.away.then_some(self.is_away()),
            self.password.as_ref().filter(|_| unsent.user).map(Secret::reveal),
        ))
    }

    /// The message that leaves the presence.
    #[must_use]
    pub fn leave(&self) -> Frame {
        leave(&self.room)
    }

    /// Processes a message of the server.
    ///
    /// # Errors
    /// The server refused what this client shows.
    pub fn receive(&mut self, now: Duration, news: PresenceNews<'_>) -> Result<(), Violation> {
        match news {
            PresenceNews::Sync(peers) => {
                self.live = true;
                self.refused = false;
                let there: std::collections::BTreeSet<_> = peers.iter().map(|peer| peer.id.clone()).collect();
                let gone: Vec<_> =
                    self.known.keys().filter(|id| !there.contains(id.as_ref())).cloned().collect();
                gone.iter().for_each(|id| self.remove(id));
                peers.iter().for_each(|peer| self.upsert(peer));
            }
            // Changes before the first list have nothing to apply to.
            PresenceNews::Changes { .. } if !self.live => {}
            PresenceNews::Changes { joined, updated, left } => {
                left.iter().for_each(|id| self.remove(id));
                joined.iter().for_each(|peer| self.upsert(peer));
                for (id, data) in updated {
                    if let Some((id, old)) = self.known.remove_entry(&*id) {
                        let away = old.away;
                        self.store(id, Some(old), None, data.get(), away);
                    }
                }
            }
            PresenceNews::Rejected(violation) if violation.code == Code::Kicked => {
                self.kicked = true;
                self.refused = true;
                self.disconnected();
                return Err(violation);
            }
            PresenceNews::Rejected(violation)
                if violation.code == Code::RoomClosed || Refusal::of(violation.code) == Refusal::Waits =>
            {
                self.denied = true;
                self.live = false;
                self.refused = violation.code == Code::RoomClosed;
                return Err(violation);
            }
            PresenceNews::Rejected(violation)
                if matches!(
                    violation.code,
                    Code::PresenceTooLarge | Code::FrameTooLarge | Code::TooDeep | Code::BadMessage
                ) =>
            {
                // Sent again, it would be refused again.
                self.denied = !self.live;
                self.refused = !self.live;
                return Err(violation);
            }
            PresenceNews::Rejected(violation) => {
                if matches!(violation.code, Code::Forbidden | Code::Banned) {
                    // The server says that only to sessions that are not present, so this client no longer
                    // is.
                    self.live = false;
                }
                if !self.live {
                    // The server knows nothing of this client.
                    self.unsent = Unsent::ALL;
                    self.retry = Some(now + RETRY);
                    let passes = matches!(
                        violation.code,
                        Code::TooManyPresent | Code::TooOften | Code::Unavailable | Code::RulesFailed
                    );
                    self.refused = !passes;
                }
                return Err(violation);
            }
        }
        Ok(())
    }

    fn upsert(&mut self, peer: &PeerEntry<'_>) {
        if self.id.as_deref() == Some(&*peer.id) {
            return;
        }
        let (id, old) = match self.known.remove_entry(&*peer.id) {
            Some((id, old)) => (id, Some(old)),
            None => (peer.id.as_ref().into(), None),
        };
        self.store(id, old, Some(peer.user.get()), peer.data.get(), peer.away);
    }

    /// Stores what a peer shows. `user` is `None` if it is unchanged.
    fn store(
        &mut self,
        id: ClientId,
        old: Option<KnownPeer<U, D>>,
        user: Option<&str>,
        data: &str,
        away: bool,
    ) {
        let old_peer = old.as_ref().and_then(|old| old.peer.clone());
        let (old_user, old_data, was_away) = match old {
            Some(old) => (Some(old.user), Some(old.data), old.away),
            None => (None, None, false),
        };
        let same_user = user.is_none() || user == old_user.as_deref();
        let same_data = Some(data) == old_data.as_deref();
        let user_json = match (old_user, user) {
            (Some(old), _) if same_user => old,
            (_, user) => user.unwrap_or("null").into(),
        };
        let data_json = old_data.filter(|_| same_data).unwrap_or_else(|| data.into());
        let user = match &old_peer {
            Some(peer) if same_user => Some(peer.user.clone()),
            _ => serde_json::from_str(&user_json).ok().map(Arc::new),
        };
        let data = match &old_peer {
            Some(peer) if same_data => Some(peer.data.clone()),
            _ => serde_json::from_str(&data_json).ok().map(Arc::new),
        };
        let peer = user.zip(data).map(|(user, data)| Peer { id: id.clone(), user, data, away });
        match (old_peer, &peer) {
            (None, Some(peer)) => self.event(PresenceEvent::Joined(peer.clone())),
            (Some(_), Some(_)) if same_user && same_data && was_away == away => {}
            (Some(_), Some(peer)) => self.event(PresenceEvent::Updated(peer.clone())),
            (Some(old), None) => self.event(PresenceEvent::Left(old)),
            (None, None) => {}
        }
        self.known.insert(id, KnownPeer { user: user_json, data: data_json, away, peer });
    }

    fn remove(&mut self, id: &str) {
        if let Some(KnownPeer { peer: Some(peer), .. }) = self.known.remove(id) {
            self.event(PresenceEvent::Left(peer));
        }
    }

    fn event(&mut self, event: PresenceEvent<U, D>) {
        if self.events.len() >= self.options.events {
            self.missed += self.events.len() as u64;
            self.events.clear();
        }
        self.events.push_back(event);
    }

    /// The next event about the others.
    pub fn poll_event(&mut self) -> Option<PresenceEvent<U, D>> {
        match std::mem::take(&mut self.missed) {
            0 => self.events.pop_front(),
            missed => Some(PresenceEvent::Lagged(missed)),
        }
    }
}
