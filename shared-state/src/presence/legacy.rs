//! The roster's messages for legacy clients. They know users, not sessions, and get a message for each user.
//! Of a user with several sessions they are shown the one that was active last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::presence::roster::{Changed, Interests, PresenceOutbox, PresenceSession, Roster};
use crate::presence::user;
use crate::proto::presence::{
    legacy_cursor, legacy_join, legacy_joined, legacy_leave, legacy_update, legacy_user_joined,
    legacy_user_left,
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
    pub(super) fn of(&self, interests: Interests) -> Arc<[Frame]> {
        match interests {
            Interests { presence: true, room: true } => self.both.clone(),
            Interests { presence: true, room: false } => self.presence.clone(),
            Interests { presence: false, room: true } => self.room.clone(),
            Interests { presence: false, room: false } => Arc::default(),
        }
    }
}

impl<L: PresenceOutbox> Roster<L> {
    /// The users that the changes are about, and whether the others know them before the changes are
    /// published.
    pub(super) fn known(&self, changed: &BTreeMap<ClientId, Changed>) -> BTreeMap<Arc<str>, bool> {
        let session = |client| self.clients.get(client).and_then(|id| self.sessions.get(id));
        let keys = changed.keys().flat_map(|client| {
            let now = session(client).map(|session| &session.key);
            self.shown.get(client).into_iter().chain(now)
        });
        keys.map(|key| (key.clone(), self.users.contains_key(key))).collect()
    }

    /// The frames for the changes, after they were published.
    pub(super) fn legacy_changes(
        &mut self,
        before: &BTreeMap<Arc<str>, bool>,
        changed: &BTreeMap<ClientId, Changed>,
    ) -> LegacyFrames {
        let (mut frames, mut room) = (Vec::new(), Vec::new());
        for (key, was) in before {
            let Some(sessions) = self.users.get(key) else {
                if *was {
                    self.cursor_users.remove(key);
                    frames.push(legacy_leave(&self.room, key));
                    room.push(legacy_user_left(&self.room, key));
                }
                continue;
            };
            let mut news = Changed::default();
            for changed in sessions.iter().filter_map(|client| changed.get(client)) {
                news.seen |= changed.seen || changed.whole;
                news.cursor |= changed.cursor;
            }
            // One of the user's sessions has left: another one is shown.
            let fewer = !news.seen && !news.cursor;
            let Some(session) = self.latest(key) else { continue };
            let points = session.cursor_position().is_some();
            // The legacy protocol can remove a cursor only by `presence:leave`.
            let anew = !points && self.cursor_users.contains(key);
            if anew {
                frames.push(legacy_leave(&self.room, key));
            }
            if !was {
                room.push(legacy_user_joined(&self.room, &user::with_id(&session.user, key)));
            }
            self.push_user(session, !was || anew, news.seen || fewer, news.cursor || fewer, &mut frames);
            if points {
                self.cursor_users.insert(key.clone());
            } else {
                self.cursor_users.remove(key);
            }
        }
        LegacyFrames::new(frames, room)
    }

    /// The room's users, as legacy clients are shown them.
    pub(super) fn legacy_users(&self) -> Vec<String> {
        let sessions = self.users.keys().filter_map(|key| self.latest(key));
        sessions.map(|session| user::with_id(&session.user, &session.key)).collect()
    }

    /// The frames for everyone who is present.
    pub(super) fn legacy_full_list(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut cursor_users = BTreeSet::new();
        for session in self.users.keys().filter_map(|key| self.latest(key)) {
            self.push_user(session, true, true, true, &mut frames);
            if session.cursor_position().is_some() {
                cursor_users.insert(session.key.clone());
            }
        }
        self.cursor_users = cursor_users;
        frames
    }

    fn latest(&self, key: &str) -> Option<&PresenceSession<L>> {
        let sessions = self.users.get(key)?.iter();
        let sessions = sessions.filter_map(|client| self.sessions.get(self.clients.get(client)?));
        sessions.max_by_key(|session| session.seen)
    }

    fn push_user(
        &self,
        session: &PresenceSession<L>,
        join: bool,
        update: bool,
        cursor: bool,
        frames: &mut Vec<Frame>,
    ) {
        let user = user::with_id(&session.user, &session.key);
        let seen = session.seen.as_millis();
        if join {
            frames.push(legacy_join(&self.room, &user));
        }
        if join || update {
            frames.push(legacy_update(&self.room, &user, session.plain(), seen));
        }
        if (join || cursor)
            && let Some((x, y)) = session.cursor_position()
        {
            frames.push(legacy_cursor(&self.room, &user, (&x, &y), seen));
        }
    }
}

/// The `room:joined` frame for a session.
pub(super) fn joined<L>(room: &str, session: &PresenceSession<L>, users: &[String]) -> Frame {
    legacy_joined(room, users, &session.details)
}

impl<L> PresenceSession<L> {
    /// The session's cursor, if it has one: set by a legacy client, or the numbers `x` and `y` in its data.
    fn cursor_position(&self) -> Option<(String, String)> {
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
