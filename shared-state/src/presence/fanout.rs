//! The roster's flush: everything that has changed as one message for all sessions, made once for each
//! dialect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::presence::legacy;
use crate::presence::roster::{Flow, Hears, PresenceOutbox, Roster, Touched};
use crate::proto::Dialect;
use crate::proto::presence::{changes, hook_leave, push_entry, push_left, push_update, sync};
use crate::proto::{ClientId, Frame};

impl<L: PresenceOutbox> Roster<L> {
    pub(super) fn flush(&mut self) {
        self.welcome = false;
        let touched = std::mem::take(&mut self.touched);
        let has = |dialect, flow| {
            self.seats.values().any(|seat| seat.dialect == dialect && flow == (seat.flow == Flow::Due))
        };
        let hooks = has(Dialect::Legacy, false) || has(Dialect::Legacy, true);
        let due = has(Dialect::V1, true);
        // Whether some legacy session has to be sent the full list of what it is subscribed to.
        let late = |hears: fn(Hears) -> bool| {
            self.seats.values().any(|seat| match seat.flow {
                Flow::Live => hears(seat.late),
                Flow::Due => seat.dialect == Dialect::Legacy && hears(seat.hears),
                Flow::Behind => false,
            })
        };
        let (hooks_due, rooms_due) = (late(|hears| hears.presence), late(|hears| hears.room));
        let before = if hooks { self.known(&touched) } else { BTreeMap::new() };
        let news = self.publish(&touched);
        let hook_news = if hooks { self.hook_news(&before, &touched) } else { Default::default() };
        let everything = due.then(|| self.everything());
        let hook_everything = if hooks_due { self.hook_everything() } else { Vec::new() };
        let hook_users = if rooms_due { self.hook_users() } else { Vec::new() };
        let Self { room, seats, users, pointing, .. } = self;
        for seat in seats.values_mut() {
            match (seat.flow, seat.dialect) {
                (Flow::Behind, _) => {}
                (Flow::Live, Dialect::V1) => {
                    if let Some(news) = &news
                        && !seat.lane.push(news)
                    {
                        seat.flow = Flow::Behind;
                    }
                }
                (Flow::Live, Dialect::Legacy) => {
                    let late = std::mem::take(&mut seat.late);
                    let told = Hears {
                        presence: seat.hears.presence && !late.presence,
                        room: seat.hears.room && !late.room,
                    };
                    let mut frames = hook_news.of(told);
                    if late != Hears::default() {
                        let joined = late.room.then(|| legacy::joined(room, seat, &hook_users));
                        let all = hook_everything.iter().filter(|_| late.presence).cloned();
                        frames = joined.into_iter().chain(frames.iter().cloned()).chain(all).collect();
                    }
                    if !frames.is_empty() && !seat.lane.push(&frames) {
                        seat.flow = Flow::Behind;
                        if told.presence {
                            let is_new = |key: &Arc<str>| before.get(key) == Some(&false);
                            let was = before.iter().filter(|(_, was)| **was).map(|(key, _)| key);
                            seat.told = users.keys().filter(|key| !is_new(key)).chain(was).cloned().collect();
                        }
                    }
                }
                (Flow::Due, Dialect::V1) => {
                    let taken = everything.as_ref().is_some_and(|everything| seat.lane.push(everything));
                    seat.flow = if taken { Flow::Live } else { Flow::Behind };
                }
                (Flow::Due, Dialect::Legacy) => {
                    seat.late = Hears::default();
                    let joined = seat.hears.room.then(|| legacy::joined(room, seat, &hook_users));
                    // The legacy protocol can remove a cursor only by `presence:leave`.
                    let gone = |key: &&Arc<str>| !users.contains_key(*key) || !pointing.contains(*key);
                    let gone = seat.told.iter().filter(gone).map(|key| hook_leave(room, key));
                    let presence =
                        gone.chain(hook_everything.iter().cloned()).filter(|_| seat.hears.presence);
                    let frames: Arc<[Frame]> = joined.into_iter().chain(presence).collect();
                    if frames.is_empty() || seat.lane.push(&frames) {
                        seat.flow = Flow::Live;
                        seat.told = BTreeSet::new();
                    } else {
                        seat.flow = Flow::Behind;
                    }
                }
            }
        }
    }

    /// Updates what the others are shown; returns the frames for sessions that know the state before.
    fn publish(&mut self, touched: &BTreeMap<ClientId, Touched>) -> Option<Arc<[Frame]>> {
        let (mut joined, mut updated, mut left) = (String::new(), String::new(), String::new());
        for (client, touched) in touched {
            let seat = self.clients.get(client).and_then(|id| self.seats.get(id)).filter(|seat| !seat.hidden);
            let known = self.shown.get(client);
            match (seat, known) {
                (None, None) => {}
                (None, Some(_)) => {
                    push_left(&mut left, client);
                    self.hide(client);
                }
                (Some(seat), known) => {
                    if known.is_none() || touched.whole {
                        push_entry(&mut joined, client, &seat.user, &seat.data, seat.away);
                    } else if touched.data {
                        push_update(&mut updated, client, &seat.data);
                    }
                    if known != Some(&seat.key) {
                        let key = seat.key.clone();
                        self.hide(client);
                        self.users.entry(key.clone()).or_default().insert(client.clone());
                        self.shown.insert(client.clone(), key);
                    }
                }
            }
        }
        let quiet = joined.is_empty() && updated.is_empty() && left.is_empty();
        (!quiet).then(|| [changes(&self.room, &joined, &updated, &left)].into())
    }

    fn hide(&mut self, client: &ClientId) {
        let Some(key) = self.shown.remove(client) else { return };
        if let Some(sessions) = self.users.get_mut(&key) {
            sessions.remove(client);
            if sessions.is_empty() {
                self.users.remove(&key);
            }
        }
    }

    fn everything(&self) -> Arc<[Frame]> {
        let mut peers = String::new();
        for client in self.shown.keys() {
            if let Some(seat) = self.clients.get(client).and_then(|id| self.seats.get(id)) {
                push_entry(&mut peers, client, &seat.user, &seat.data, seat.away);
            }
        }
        [sync(&self.room, &peers)].into()
    }
}
