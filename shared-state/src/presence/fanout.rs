//! The roster's flush: everything that has changed as one message for all sessions, made once for each
//! dialect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::presence::legacy;
use crate::presence::roster::{Changed, Flow, Interests, PresenceOutbox, Roster, Sent};
use crate::proto::Dialect;
use crate::proto::presence::{changes, legacy_leave, push_entry, push_left, push_update, sync};
use crate::proto::{ClientId, Frame};

impl<L: PresenceOutbox> Roster<L> {
    /// Returns what was sent.
    pub(super) fn flush(&mut self) -> Sent {
        self.sync_due = false;
        let changed = std::mem::take(&mut self.changed);
        let has = |dialect, flow| {
            self.sessions
                .values()
                .any(|session| session.dialect == dialect && flow == (session.flow == Flow::Due))
        };
        let has_legacy = has(Dialect::Legacy, false) || has(Dialect::Legacy, true);
        let due = has(Dialect::V1, true);
        // Whether some legacy session has to be sent the full list of what it is subscribed to.
        let unsynced = |interests: fn(Interests) -> bool| {
            self.sessions.values().any(|session| match session.flow {
                Flow::Live => interests(session.unsynced),
                Flow::Due => session.dialect == Dialect::Legacy && interests(session.interests),
                Flow::Behind => false,
            })
        };
        let (presence_lists_due, room_lists_due) =
            (unsynced(|interests| interests.presence), unsynced(|interests| interests.room));
        let before = if has_legacy { self.known(&changed) } else { BTreeMap::new() };
        let news = self.publish(&changed);
        let legacy_changes =
            if has_legacy { self.legacy_changes(&before, &changed) } else { Default::default() };
        let full_list = due.then(|| self.full_list());
        let legacy_full_list = if presence_lists_due { self.legacy_full_list() } else { Vec::new() };
        let legacy_users = if room_lists_due { self.legacy_users() } else { Vec::new() };
        let mut sent = Sent::default();
        let mut push = |outbox: &mut L, frames: &Arc<[Frame]>| {
            let is_taken = outbox.push(frames);
            if is_taken {
                sent.add(frames);
            }
            is_taken
        };
        let Self { room, sessions, users, cursor_users, .. } = self;
        for session in sessions.values_mut() {
            match (session.flow, session.dialect) {
                (Flow::Behind, _) => {}
                (Flow::Live, Dialect::V1) => {
                    if let Some(news) = &news
                        && !push(&mut session.outbox, news)
                    {
                        session.flow = Flow::Behind;
                    }
                }
                (Flow::Live, Dialect::Legacy) => {
                    let unsynced = std::mem::take(&mut session.unsynced);
                    let interests = Interests {
                        presence: session.interests.presence && !unsynced.presence,
                        room: session.interests.room && !unsynced.room,
                    };
                    let mut frames = legacy_changes.of(interests);
                    if unsynced != Interests::default() {
                        let joined = unsynced.room.then(|| legacy::joined(room, session, &legacy_users));
                        let all = legacy_full_list.iter().filter(|_| unsynced.presence).cloned();
                        frames = joined.into_iter().chain(frames.iter().cloned()).chain(all).collect();
                    }
                    if !frames.is_empty() && !push(&mut session.outbox, &frames) {
                        session.flow = Flow::Behind;
                        if interests.presence {
                            let is_new = |key: &Arc<str>| before.get(key) == Some(&false);
                            let was = before.iter().filter(|(_, was)| **was).map(|(key, _)| key);
                            session.known_users =
                                users.keys().filter(|key| !is_new(key)).chain(was).cloned().collect();
                        }
                    }
                }
                (Flow::Due, Dialect::V1) => {
                    let taken = full_list.as_ref().is_some_and(|list| push(&mut session.outbox, list));
                    session.flow = if taken { Flow::Live } else { Flow::Behind };
                }
                (Flow::Due, Dialect::Legacy) => {
                    session.unsynced = Interests::default();
                    let joined = session.interests.room.then(|| legacy::joined(room, session, &legacy_users));
                    // The legacy protocol can remove a cursor only by `presence:leave`.
                    let gone = |key: &&Arc<str>| !users.contains_key(*key) || !cursor_users.contains(*key);
                    let gone = session.known_users.iter().filter(gone).map(|key| legacy_leave(room, key));
                    let presence =
                        gone.chain(legacy_full_list.iter().cloned()).filter(|_| session.interests.presence);
                    let frames: Arc<[Frame]> = joined.into_iter().chain(presence).collect();
                    if frames.is_empty() || push(&mut session.outbox, &frames) {
                        session.flow = Flow::Live;
                        session.known_users = BTreeSet::new();
                    } else {
                        session.flow = Flow::Behind;
                    }
                }
            }
        }
        sent
    }

    /// Updates what the others are shown; returns the frames for sessions that know the state before.
    fn publish(&mut self, changed: &BTreeMap<ClientId, Changed>) -> Option<Arc<[Frame]>> {
        let (mut joined, mut updated, mut left) = (String::new(), String::new(), String::new());
        for (client, changed) in changed {
            let session = self
                .clients
                .get(client)
                .and_then(|id| self.sessions.get(id))
                .filter(|session| !session.hidden);
            let known = self.shown.get(client);
            match (session, known) {
                (None, None) => {}
                (None, Some(_)) => {
                    push_left(&mut left, client);
                    self.hide(client);
                }
                (Some(session), known) => {
                    if known.is_none() || changed.whole {
                        push_entry(&mut joined, client, &session.user, &session.data, session.away);
                    } else if changed.data {
                        push_update(&mut updated, client, &session.data);
                    }
                    if known != Some(&session.key) {
                        let key = session.key.clone();
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

    fn full_list(&self) -> Arc<[Frame]> {
        let mut peers = String::new();
        for client in self.shown.keys() {
            if let Some(session) = self.clients.get(client).and_then(|id| self.sessions.get(id)) {
                push_entry(&mut peers, client, &session.user, &session.data, session.away);
            }
        }
        [sync(&self.room, &peers)].into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::presence::roster::RosterConfig;
    use crate::proto::presence::PresenceSet;

    struct Open;

    impl PresenceOutbox for Open {
        fn push(&mut self, _: &Arc<[Frame]>) -> bool {
            true
        }
    }

    #[test]
    fn changes_that_cost_more_are_gathered_for_longer() {
        let interval = Duration::from_millis(50);
        let data = format!("\"{}\"", "x".repeat(4000));
        let data = serde_json::from_str(&data).expect("JSON");
        let pause = |sessions: u64| {
            let mut roster =
                Roster::new("room".into(), RosterConfig { bytes: 10_000, seats: 10_000, interval });
            for at in 0..sessions {
                let client = ClientId::from(format!("client-{at}").as_str());
                let set = PresenceSet { user: Some(data), ..PresenceSet::default() };
                roster.enter(interval, (client, at), Dialect::V1, &set, Open).expect("space");
            }
            roster.tick(interval);
            roster.sync_due = true;
            roster.deadline().expect("something is due") - interval
        };
        assert_eq!(pause(1), interval);
        assert_eq!(pause(10), interval);
        assert!((interval * 3 / 2..interval * 4).contains(&pause(40)), "{:?}", pause(40));
        assert_eq!(pause(400), Duration::from_secs(1));
    }
}
