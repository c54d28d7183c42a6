//! Telling: what has changed as one message for everybody, made once for each dialect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::authority::Dialect;
use crate::presence::roster::{Flow, Lane, Roster, Touched};
use crate::protocol::presence::{changes, push_entry, push_left, push_update, sync};
use crate::protocol::{ClientId, Frame};

impl<L: Lane> Roster<L> {
    pub(super) fn flush(&mut self) {
        self.welcome = false;
        let touched = std::mem::take(&mut self.touched);
        let has = |dialect, flow| {
            self.seats.values().any(|seat| seat.dialect == dialect && flow == (seat.flow == Flow::Due))
        };
        let hooks = has(Dialect::Hook, false) || has(Dialect::Hook, true);
        let due = has(Dialect::V1, true);
        let hooks_due = has(Dialect::Hook, true);
        let before = if hooks { self.known(&touched) } else { BTreeMap::new() };
        let news = self.publish(&touched);
        let hook_news = if hooks { self.hook_news(&before, &touched) } else { None };
        let everything = due.then(|| self.everything());
        let hook_everything = hooks_due.then(|| self.hook_everything());
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
                (Flow::Live, Dialect::Hook) => {
                    if let Some(news) = &hook_news
                        && !seat.lane.push(news)
                    {
                        seat.flow = Flow::Behind;
                        let is_new = |key: &Arc<str>| before.get(key) == Some(&false);
                        let was = before.iter().filter(|(_, was)| **was).map(|(key, _)| key);
                        seat.told = users.keys().filter(|key| !is_new(key)).chain(was).cloned().collect();
                    }
                }
                (Flow::Due, Dialect::V1) => {
                    let taken = everything.as_ref().is_some_and(|everything| seat.lane.push(everything));
                    seat.flow = if taken { Flow::Live } else { Flow::Behind };
                }
                (Flow::Due, Dialect::Hook) => {
                    // Nothing but leaving takes a cursor away.
                    let gone =
                        seat.told.iter().filter(|key| !users.contains_key(*key) || !pointing.contains(*key));
                    let gone: Vec<_> =
                        gone.map(|key| crate::protocol::presence::hook_leave(room, key)).collect();
                    let everything = hook_everything.as_deref().unwrap_or_default();
                    let frames: Arc<[Frame]> = gone.into_iter().chain(everything.iter().cloned()).collect();
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

    /// Notes what the others are shown from now on; what that changes for those who know the rest.
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
