//! Telling clients of the hook's dialect: they know users, not sessions, each by messages of its own. Of a user with
//! several sessions they are shown the one that was seen last.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::presence::roster::{Lane, Roster, Seat, Touched};
use crate::presence::user;
use crate::protocol::presence::{hook_cursor, hook_join, hook_leave, hook_update};
use crate::protocol::{ClientId, Frame};

impl<L: Lane> Roster<L> {
    /// The users that what was touched is about, and whether they are known before it is published.
    pub(super) fn known(&self, touched: &BTreeMap<ClientId, Touched>) -> BTreeMap<Arc<str>, bool> {
        let seat = |client| self.clients.get(client).and_then(|id| self.seats.get(id));
        let keys = touched.keys().flat_map(|client| {
            let now = seat(client).map(|seat| &seat.key);
            self.shown.get(client).into_iter().chain(now)
        });
        keys.map(|key| (key.clone(), self.users.contains_key(key))).collect()
    }

    /// What has changed, after it was published.
    pub(super) fn hook_news(
        &self,
        before: &BTreeMap<Arc<str>, bool>,
        touched: &BTreeMap<ClientId, Touched>,
    ) -> Option<Arc<[Frame]>> {
        let mut frames = Vec::new();
        for (key, was) in before {
            let Some(sessions) = self.users.get(key) else {
                if *was {
                    frames.push(hook_leave(&self.room, key));
                }
                continue;
            };
            let mut news = Touched::default();
            for touched in sessions.iter().filter_map(|client| touched.get(client)) {
                news.seen |= touched.seen || touched.whole;
                news.cursor |= touched.cursor;
            }
            // One of several sessions is gone: another one is shown.
            let fewer = !news.seen && !news.cursor;
            if let Some(seat) = self.latest(key) {
                self.show(seat, !was, news.seen || fewer, news.cursor || fewer, &mut frames);
            }
        }
        (!frames.is_empty()).then(|| frames.into())
    }

    /// Everybody who is there.
    pub(super) fn hook_everything(&self) -> Vec<Frame> {
        let mut frames = Vec::new();
        for seat in self.users.keys().filter_map(|key| self.latest(key)) {
            self.show(seat, true, true, true, &mut frames);
        }
        frames
    }

    fn latest(&self, key: &str) -> Option<&Seat<L>> {
        let sessions = self.users.get(key)?.iter();
        let seats = sessions.filter_map(|client| self.seats.get(self.clients.get(client)?));
        seats.max_by_key(|seat| seat.seen)
    }

    fn show(&self, seat: &Seat<L>, join: bool, update: bool, cursor: bool, frames: &mut Vec<Frame>) {
        let user = user::with_id(&seat.user, &seat.key);
        let seen = seat.seen.as_millis();
        if join {
            frames.push(hook_join(&self.room, &user));
        }
        if join || update {
            frames.push(hook_update(&self.room, &user, seat.plain(), seen));
        }
        if (join || cursor)
            && let Some((x, y)) = place(&seat.data)
        {
            frames.push(hook_cursor(&self.room, &user, (&x, &y), seen));
        }
    }
}

/// The cursor in what a session shows, if it has numbers `x` and `y`.
fn place(data: &str) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Place<'a> {
        #[serde(borrow)]
        x: &'a RawValue,
        #[serde(borrow)]
        y: &'a RawValue,
    }
    if !data.trim_start().starts_with('{') {
        return None;
    }
    let Place { x, y } = serde_json::from_str(data).ok()?;
    let is_number = |value: &RawValue| value.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
    (is_number(x) && is_number(y)).then(|| (x.get().to_owned(), y.get().to_owned()))
}
