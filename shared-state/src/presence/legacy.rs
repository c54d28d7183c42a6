//! The roster's messages for legacy clients. They know users, not sessions, and get a message for each user.
//! Of a user with several sessions they are shown the one that was active last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::presence::roster::{Hears, PresenceOutbox, PresenceSession, Roster, Touched};
use crate::presence::user;
use crate::proto::presence::{
    hook_cursor, hook_join, hook_joined, hook_leave, hook_update, hook_user_joined, hook_user_left,
};
use crate::proto::{ClientId, Frame};

/// Frames by what a session is subscribed to, made once for all sessions with the same subscriptions.
#[derive(Default)]
pub(super) struct LegacyFrames {
    presence: Arc<[Frame]>,
    room: Arc<[Frame]>,
    both: Arc<[Frame]>,
}

impl LegacyFrames {
    fn new(presence: Vec<Frame>, room: Vec<Frame>) -> Self {
        let (presence, room): (Arc<[Frame]>, Arc<[Frame]>) = (presence.into(), room.into());
        // The `room:` frames are rare, so `both` mostly shares the `presence` frames.
        let both = match room.is_empty() {
            true => presence.clone(),
            false => room.iter().chain(&*presence).cloned().collect(),
        };
        Self { presence, room, both }
    }

    /// The frames for a session with these subscriptions.
    pub(super) fn of(&self, hears: Hears) -> Arc<[Frame]> {
        match hears {
            Hears { presence: true, room: true } => self.both.clone(),
            Hears { presence: true, room: false } => self.presence.clone(),
            Hears { presence: false, room: true } => self.room.clone(),
            Hears { presence: false, room: false } => Arc::default(),
        }
    }
}

impl<L: PresenceOutbox> Roster<L> {
    /// The users that the changes are about, and whether the others know them before the changes are
    /// published.
    pub(super) fn known(&self, touched: &BTreeMap<ClientId, Touched>) -> BTreeMap<Arc<str>, bool> {
        let seat = |client| self.clients.get(client).and_then(|id| self.seats.get(id));
        let keys = touched.keys().flat_map(|client| {
            let now = seat(client).map(|seat| &seat.key);
            self.shown.get(client).into_iter().chain(now)
        });
        keys.map(|key| (key.clone(), self.users.contains_key(key))).collect()
    }

    /// The frames for the changes, after they were published.
    pub(super) fn hook_news(
        &mut self,
        before: &BTreeMap<Arc<str>, bool>,
        touched: &BTreeMap<ClientId, Touched>,
    ) -> LegacyFrames {
        let (mut frames, mut room) = (Vec::new(), Vec::new());
        for (key, was) in before {
            let Some(sessions) = self.users.get(key) else {
                if *was {
                    self.pointing.remove(key);
                    frames.push(hook_leave(&self.room, key));
                    room.push(hook_user_left(&self.room, key));
                }
                continue;
            };
            let mut news = Touched::default();
            for touched in sessions.iter().filter_map(|client| touched.get(client)) {
                news.seen |= touched.seen || touched.whole;
                news.cursor |= touched.cursor;
            }
            // One of the user's sessions has left: another one is shown.
            let fewer = !news.seen && !news.cursor;
            let Some(seat) = self.latest(key) else { continue };
            let points = seat.place().is_some();
            // The legacy protocol can remove a cursor only by `presence:leave`.
            let anew = !points && self.pointing.contains(key);
            if anew {
                frames.push(hook_leave(&self.room, key));
            }
            if !was {
                room.push(hook_user_joined(&self.room, &user::with_id(&seat.user, key)));
            }
            self.show(seat, !was || anew, news.seen || fewer, news.cursor || fewer, &mut frames);
            if points {
                self.pointing.insert(key.clone());
            } else {
                self.pointing.remove(key);
            }
        }
        LegacyFrames::new(frames, room)
    }

    /// The room's users, as legacy clients are shown them.
    pub(super) fn hook_users(&self) -> Vec<String> {
        let seats = self.users.keys().filter_map(|key| self.latest(key));
        seats.map(|seat| user::with_id(&seat.user, &seat.key)).collect()
    }

    /// The frames for everyone who is present.
    pub(super) fn hook_everything(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut pointing = BTreeSet::new();
        for seat in self.users.keys().filter_map(|key| self.latest(key)) {
            self.show(seat, true, true, true, &mut frames);
            if seat.place().is_some() {
                pointing.insert(seat.key.clone());
            }
        }
        self.pointing = pointing;
        frames
    }

    fn latest(&self, key: &str) -> Option<&PresenceSession<L>> {
        let sessions = self.users.get(key)?.iter();
        let seats = sessions.filter_map(|client| self.seats.get(self.clients.get(client)?));
        seats.max_by_key(|seat| seat.seen)
    }

    fn show(
        &self,
        seat: &PresenceSession<L>,
        join: bool,
        update: bool,
        cursor: bool,
        frames: &mut Vec<Frame>,
    ) {
        let user = user::with_id(&seat.user, &seat.key);
        let seen = seat.seen.as_millis();
        if join {
            frames.push(hook_join(&self.room, &user));
        }
        if join || update {
            frames.push(hook_update(&self.room, &user, seat.plain(), seen));
        }
        if (join || cursor)
            && let Some((x, y)) = seat.place()
        {
            frames.push(hook_cursor(&self.room, &user, (&x, &y), seen));
        }
    }
}

/// The `room:joined` frame for a session.
pub(super) fn joined<L>(room: &str, seat: &PresenceSession<L>, users: &[String]) -> Frame {
    hook_joined(room, users, &seat.details)
}

impl<L> PresenceSession<L> {
    /// The session's cursor, if it has one: set by a legacy client, or the numbers `x` and `y` in its data.
    fn place(&self) -> Option<(String, String)> {
        #[derive(Deserialize)]
        struct Place<'a> {
            #[serde(borrow)]
            x: &'a RawValue,
            #[serde(borrow)]
            y: &'a RawValue,
        }
        if let Some((x, y)) = self.cursor {
            return Some((serde_json::to_string(&x).ok()?, serde_json::to_string(&y).ok()?));
        }
        if !self.data.trim_start().starts_with('{') {
            return None;
        }
        let Place { x, y } = serde_json::from_str(&self.data).ok()?;
        let is_number =
            |value: &RawValue| value.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
        (is_number(x) && is_number(y)).then(|| (x.get().to_owned(), y.get().to_owned()))
    }
}
