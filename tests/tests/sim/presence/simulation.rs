//! Presence against a simple model: whichever connections break, lag or return, at rest every client sees
//! exactly the sessions that are present, and never a hidden one. `SHARED_STATE_SEED=n` runs one seed alone,
//! `SHARED_STATE_SEEDS=n` sets the number of seeds.

#![allow(missing_docs, clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use shared_state::presence::{
    PresenceClient, PresenceEvent, PresenceOptions, PresenceOutbox, PresenceSessionId, Roster, User,
};
use shared_state::proto::authority::Dialect;
use shared_state::proto::legacy::LegacyMessage;
use shared_state::proto::presence::{LegacyPresence, PresenceRequest, PresenceSet};
use shared_state::proto::{ClientMessage, Envelope, Frame, Limits, ServerMessage};
use shared_state_tests::seeds;

const CLIENTS: usize = 7;
const HOOKS: usize = 3;
const STEPS: usize = 400;

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Arc<[Frame]>>,
    refused: bool,
}

#[derive(Clone, Default)]
struct TestLane(Rc<RefCell<Waiting>>);

impl PresenceOutbox for TestLane {
    fn push(&mut self, frames: &Arc<[Frame]>) -> bool {
        let mut waiting = self.0.borrow_mut();
        waiting.refused |= waiting.frames.len() >= 2;
        if !waiting.refused {
            waiting.frames.push_back(frames.clone());
        }
        !waiting.refused
    }
}

/// A connection, as both ends see it.
struct Link {
    number: u64,
    client: Arc<str>,
    up: VecDeque<String>,
    lane: TestLane,
    seat: Option<PresenceSessionId>,
}

struct V1 {
    name: Arc<str>,
    attendance: PresenceClient<User, i64>,
    value: i64,
    hidden: bool,
    away: bool,
    /// Hidden from the others for the whole run.
    secret: bool,
    /// The others, as its events report them.
    told: BTreeMap<Arc<str>, (i64, bool)>,
    link: Option<Link>,
}

#[derive(Default)]
struct Hook {
    user: String,
    value: Option<i64>,
    cursor: Option<f64>,
    link: Option<Link>,
    /// The others that it sees: the data and the cursor by user.
    seen: BTreeMap<String, (Value, Option<f64>)>,
}

struct World {
    rng: Rng,
    now: Duration,
    roster: Roster<TestLane>,
    clients: Vec<V1>,
    hooks: Vec<Hook>,
    /// Connections whose end the server has not noticed yet.
    ghosts: Vec<Link>,
    connections: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let now = Duration::from_secs(1_000_000_000);
        let clients = (0..CLIENTS)
            .map(|n| {
                let secret = n == 0;
                // Some of them are the same user.
                let user = if secret { "secret".to_owned() } else { format!("user-{}", n % 5) };
                let mut options = PresenceOptions::default().hidden(secret).away_after(None);
                options.events = rng.usize(2..40);
                V1 {
                    name: format!("client-{n}").into(),
                    attendance: PresenceClient::new(now, "room".into(), User::new(user), 0, options).unwrap(),
                    value: 0,
                    hidden: secret,
                    away: false,
                    secret,
                    told: BTreeMap::new(),
                    link: None,
                }
            })
            .collect();
        let hooks = (0..HOOKS).map(|n| Hook { user: format!("hook-{n}"), ..Hook::default() }).collect();
        let limits = Limits::default();
        let roster = Roster::new("room".into(), (&limits).into());
        Self { rng, now, roster, clients, hooks, ghosts: Vec::new(), connections: 0 }
    }

    fn connect(&mut self, client: Arc<str>) -> Link {
        self.connections += 1;
        Link { number: self.connections, client, up: VecDeque::new(), lane: TestLane::default(), seat: None }
    }

    /// The server processes a frame of a connection.
    fn serve(roster: &mut Roster<TestLane>, now: Duration, link: &mut Link, dialect: Dialect, text: &str) {
        let envelope = Envelope::read(text).unwrap();
        let set = match dialect {
            Dialect::V1 => match ClientMessage::read(&envelope).unwrap() {
                ClientMessage::Presence(PresenceRequest::Set(set)) => set,
                _ => panic!("{text}"),
            },
            Dialect::Legacy => match LegacyMessage::read(&envelope).unwrap() {
                LegacyMessage::Presence(LegacyPresence::Update { user, data }) => {
                    PresenceSet { user: Some(user), data, ..PresenceSet::default() }
                }
                LegacyMessage::Presence(LegacyPresence::Cursor { user, x, y }) => {
                    roster.cursor(now, link.seat.unwrap(), user, (x, y)).unwrap();
                    return;
                }
                _ => panic!("{text}"),
            },
        };
        match link.seat {
            Some(seat) => roster.set(now, seat, &set).unwrap(),
            None => {
                let who = (link.client.clone(), link.number);
                link.seat = Some(roster.enter(now, who, dialect, &set, link.lane.clone()).unwrap());
            }
        }
    }

    /// The server notices the end of a connection.
    fn end(&mut self, mut link: Link) {
        if let Some(seat) = link.seat.take() {
            self.roster.leave(seat);
        }
    }

    fn lose(&mut self, link: Link) {
        match self.rng.bool() {
            true => self.end(link),
            false => self.ghosts.push(link),
        }
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(self.rng.u64(0..30));
        let at = self.rng.usize(0..CLIENTS);
        match self.rng.u8(0..20) {
            0 => {
                if let Some(link) = self.clients[at].link.take() {
                    self.clients[at].attendance.disconnected();
                    self.lose(link);
                }
            }
            1..=2 if self.clients[at].link.is_none() => {
                let link = self.connect(self.clients[at].name.clone());
                let client = &mut self.clients[at];
                client.attendance.connected(client.name.clone());
                client.link = Some(link);
            }
            3..=7 => {
                let client = &mut self.clients[at];
                client.value += 1;
                client.attendance.set(self.now, client.value).unwrap();
            }
            8 if !self.clients[at].secret => {
                let client = &mut self.clients[at];
                client.hidden = !client.hidden;
                client.attendance.set_hidden(client.hidden);
            }
            9 => {
                let client = &mut self.clients[at];
                client.away = !client.away;
                client.attendance.set_away(client.away);
            }
            10 if !self.ghosts.is_empty() => {
                let at = self.rng.usize(0..self.ghosts.len());
                let ghost = self.ghosts.swap_remove(at);
                self.end(ghost);
            }
            // Frames that a connection sent before it was lost may be read late.
            11 if !self.ghosts.is_empty() => {
                let at = self.rng.usize(0..self.ghosts.len());
                if self.ghosts[at].client.starts_with("client")
                    && let Some(text) = self.ghosts[at].up.pop_front()
                {
                    Self::serve(&mut self.roster, self.now, &mut self.ghosts[at], Dialect::V1, &text);
                }
            }
            12..=14 => self.hook_step(),
            _ => {}
        }
        self.roster.tick(self.now);
        let (mut clients, mut hooks) = (std::mem::take(&mut self.clients), std::mem::take(&mut self.hooks));
        for client in &mut clients {
            client.attendance.tick(self.now);
            let Some(link) = &mut client.link else { continue };
            link.up.extend(client.attendance.poll_frame(self.now).map(|frame| frame.as_str().to_owned()));
            if self.rng.bool() {
                self.up(link, Dialect::V1);
            }
            if self.rng.u8(0..4) == 0 {
                Self::down_v1(&mut self.roster, self.now, client);
            }
        }
        for hook in &mut hooks {
            let Some(link) = &mut hook.link else { continue };
            self.up(link, Dialect::Legacy);
            if self.rng.u8(0..4) == 0 {
                Self::down_hook(&mut self.roster, hook);
            }
        }
        (self.clients, self.hooks) = (clients, hooks);
    }

    fn hook_step(&mut self) {
        let at = self.rng.usize(0..HOOKS);
        match (self.hooks[at].link.take(), self.rng.u8(0..8)) {
            (None, _) => {
                let link = self.connect(format!("hook-{at}-{}", self.connections).into());
                let hook = &mut self.hooks[at];
                (hook.value, hook.cursor) = (None, None);
                hook.seen.clear();
                hook.link = Some(link);
                let join = json!({"user": {"id": hook.user}, "room": "room"});
                self.hook_says(at, "presence:join", join);
            }
            (Some(link), 0) => self.lose(link),
            (link, 1..=3) => {
                let hook = &mut self.hooks[at];
                hook.link = link;
                hook.cursor = Some(hook.cursor.unwrap_or(0.0) + 1.0);
                let cursor = json!({"user": {"id": hook.user}, "x": hook.cursor, "y": 0, "timestamp": 1});
                self.hook_says(at, "cursor:move", cursor);
            }
            (link, _) => {
                let hook = &mut self.hooks[at];
                hook.link = link;
                hook.value = Some(hook.value.unwrap_or(0) + self.rng.i64(0..2));
                let update = json!({"user": {"id": hook.user}, "data": hook.value, "lastSeen": 1});
                self.hook_says(at, "presence:update", update);
            }
        }
    }

    fn hook_says(&mut self, at: usize, kind: &str, payload: Value) {
        let frame = json!({"type": kind, "room": "room", "payload": payload, "timestamp": 1});
        if let Some(link) = &mut self.hooks[at].link {
            link.up.push_back(frame.to_string());
        }
    }

    fn up(&mut self, link: &mut Link, dialect: Dialect) {
        while let Some(text) = link.up.pop_front() {
            Self::serve(&mut self.roster, self.now, link, dialect, &text);
        }
    }

    /// Takes the frames that wait for a connection.
    fn take(roster: &mut Roster<TestLane>, link: &Link) -> Vec<Frame> {
        let mut waiting = link.lane.0.borrow_mut();
        let frames = std::mem::take(&mut waiting.frames);
        if std::mem::take(&mut waiting.refused) {
            drop(waiting);
            roster.drained(link.seat.unwrap());
        }
        frames.iter().flat_map(|frames| frames.iter().cloned()).collect()
    }

    fn down_v1(roster: &mut Roster<TestLane>, now: Duration, client: &mut V1) {
        let Some(link) = &client.link else { return };
        for frame in Self::take(roster, link) {
            let text = frame.as_str();
            assert!(client.secret || !text.contains("secret"), "somebody hidden is shown: {text}");
            let Ok(ServerMessage::Presence(_, news)) = ServerMessage::read(text) else { panic!("{text}") };
            client.attendance.receive(now, news).unwrap();
        }
        while let Some(event) = client.attendance.poll_event() {
            match event {
                PresenceEvent::Joined(peer) => {
                    assert!(
                        client.told.insert(peer.id.clone(), (*peer.data, peer.away)).is_none(),
                        "joined twice"
                    );
                }
                PresenceEvent::Updated(peer) => {
                    assert!(
                        client.told.insert(peer.id.clone(), (*peer.data, peer.away)).is_some(),
                        "not joined"
                    );
                }
                PresenceEvent::Left(peer) => {
                    assert!(client.told.remove(&peer.id).is_some(), "left twice");
                }
                PresenceEvent::Lagged(_) => {
                    let others = client.attendance.others();
                    client.told = others.map(|peer| (peer.id.clone(), (*peer.data, peer.away))).collect();
                    while client.attendance.poll_event().is_some() {}
                }
                _ => {}
            }
        }
    }

    fn down_hook(roster: &mut Roster<TestLane>, hook: &mut Hook) {
        let Some(link) = &hook.link else { return };
        for frame in Self::take(roster, link) {
            let text = frame.as_str();
            assert!(!text.contains("secret"), "somebody hidden is shown: {text}");
            let frame: Value = serde_json::from_str(text).unwrap();
            let payload = &frame["payload"];
            let id = |user: &Value| user["id"].as_str().unwrap().to_owned();
            match frame["type"].as_str().unwrap() {
                "presence:join" => {
                    // A cursor stays until its user leaves.
                    hook.seen.entry(id(&payload["user"])).or_insert((Value::Null, None));
                }
                "presence:update" => {
                    hook.seen.get_mut(&id(&payload["user"])).expect("joined before").0 =
                        payload["data"].clone();
                }
                "cursor:move" => {
                    hook.seen.get_mut(&id(&payload["user"])).expect("joined before").1 =
                        payload["x"].as_f64();
                }
                "presence:leave" => {
                    assert!(hook.seen.remove(payload.as_str().unwrap()).is_some(), "left twice: {text}");
                }
                other => panic!("{other}"),
            }
        }
    }

    /// Delivers everything, without further actions.
    fn settle(&mut self) {
        for ghost in std::mem::take(&mut self.ghosts) {
            self.end(ghost);
        }
        let (mut clients, mut hooks) = (std::mem::take(&mut self.clients), std::mem::take(&mut self.hooks));
        for _ in 0..20 {
            self.now += Duration::from_millis(100);
            for client in &mut clients {
                let Some(link) = &mut client.link else { continue };
                link.up.extend(client.attendance.poll_frame(self.now).map(|frame| frame.as_str().to_owned()));
                self.up(link, Dialect::V1);
            }
            for hook in &mut hooks {
                if let Some(link) = &mut hook.link {
                    self.up(link, Dialect::Legacy);
                }
            }
            self.roster.tick(self.now);
            for client in &mut clients {
                Self::down_v1(&mut self.roster, self.now, client);
            }
            for hook in &mut hooks {
                Self::down_hook(&mut self.roster, hook);
            }
        }
        assert_eq!(self.roster.deadline(), None, "it is never quiet");
        (self.clients, self.hooks) = (clients, hooks);
    }

    fn check(&self) {
        let there = self.clients.iter().filter(|client| client.link.is_some() && !client.hidden);
        let there: BTreeMap<_, _> = there.map(|client| (client.name.clone(), client)).collect();
        let hooks = self.hooks.iter().filter(|hook| hook.link.is_some());
        let hooks: BTreeMap<_, _> = hooks.map(|hook| (hook.user.clone(), hook)).collect();
        for client in self.clients.iter().filter(|client| client.link.is_some()) {
            let mut expected: BTreeMap<Arc<str>, (i64, bool)> =
                there.iter().map(|(name, other)| (name.clone(), (other.value, other.away))).collect();
            expected.remove(&client.name);
            for hook in hooks.values() {
                let name = &hook.link.as_ref().unwrap().client;
                // A legacy client that has not shown a number yet is not readable as one.
                if let Some(value) = hook.value {
                    expected.insert(name.clone(), (value, false));
                }
            }
            let others = client.attendance.others();
            let found: BTreeMap<_, _> =
                others.map(|peer| (peer.id.clone(), (*peer.data, peer.away))).collect();
            assert_eq!(found, expected, "what {} sees", client.name);
            assert_eq!(client.told, expected, "what {} was told", client.name);
            let ids: BTreeSet<_> = there.values().map(|other| other.attendance.user().id.clone()).collect();
            let readable = hooks.values().filter(|hook| hook.value.is_some()).count();
            assert_eq!(client.attendance.users().len(), ids.len() + readable, "users of {}", client.name);
        }
        for hook in hooks.values() {
            let ids = there.values().map(|client| client.attendance.user().id.clone());
            let expected: BTreeSet<_> = ids.chain(hooks.keys().cloned()).collect();
            let found: BTreeSet<_> = hook.seen.keys().cloned().collect();
            assert_eq!(found, expected, "whom {} sees", hook.user);
            for (id, (data, cursor)) in &hook.seen {
                if let Some(other) = hooks.get(id) {
                    assert_eq!(
                        (data, cursor),
                        (&json!(other.value), &other.cursor),
                        "{id} as seen by {}",
                        hook.user
                    );
                } else {
                    let values = there.values().filter(|client| client.attendance.user().id == *id);
                    let values: Vec<_> = values.map(|client| json!(client.value)).collect();
                    assert!(values.contains(data), "{id} shows {data}, expected one of {values:?}");
                }
            }
        }
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..4 {
        for _ in 0..STEPS / 4 {
            world.step();
        }
        world.settle();
        world.check();
    }
}

#[test]
fn when_it_is_quiet_everybody_sees_who_is_there_and_nobody_else() {
    seeds::run(300, run);
}
