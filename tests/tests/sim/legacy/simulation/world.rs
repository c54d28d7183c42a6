//! A room, its disk, its users, and the faults between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use shared_state::proto::authority::{
    Authority, Dialect, LogEntry, RoomState, SessionId, Submitted, Typed, Untyped,
};
use shared_state::proto::legacy::LegacyMessage;
use shared_state::proto::replica::{Replica, ReplicaConfig, WriteId};
use shared_state::proto::{ClientMessage, Envelope, JoinRequest, Limits, ServerMessage};
use shared_state::testing::{LegacyClient, sample_update};
use shared_state_tests::Tube;

use super::page::{PLAIN, Page, initial, object, page, sample};

pub(crate) struct Wire {
    up: VecDeque<String>,
    down: Tube,
    session: Option<SessionId>,
}

pub(crate) enum Mind {
    Hook(LegacyClient),
    Typed(Box<Replica<Page>>),
}

pub(crate) struct User {
    name: String,
    pub(crate) mind: Mind,
    wire: Option<Wire>,
    waiting: BTreeSet<WriteId>,
    /// The state frames received, without the answers to requests for the state.
    pub(crate) told: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    pub(crate) versions: u64,
    pub(crate) lost: u64,
    pub(crate) refused: u64,
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.versions += other.versions;
        self.lost += other.lost;
        self.refused += other.refused;
    }
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    seed: u64,
    typed: bool,
    pub(crate) now: u64,
    limits: Arc<Limits>,
    authority: Authority<Tube>,
    disk: Vec<LogEntry>,
    appending: VecDeque<LogEntry>,
    pub(crate) users: Vec<User>,
    pub(crate) report: Report,
    pub(crate) trace: VecDeque<String>,
}

impl World {
    pub(crate) fn new(seed: u64, hooks: usize, replicas: usize, typed: bool) -> Self {
        let limits = Arc::new(Limits::default());
        let mut world = Self {
            rng: Rng::with_seed(seed),
            seed,
            typed,
            now: 1_700_000_000_000,
            authority: Authority::new("room".into(), 7, fresh(typed), limits.clone()),
            limits,
            disk: Vec::new(),
            appending: VecDeque::new(),
            users: Vec::new(),
            report: Report::default(),
            trace: VecDeque::new(),
        };
        for _ in 0..hooks {
            world.add(Mind::Hook(LegacyClient::new("room", page())));
        }
        for at in 0..replicas {
            world.add(world.replica(at));
        }
        world
    }

    fn replica(&self, at: usize) -> Mind {
        let mut config = ReplicaConfig::default();
        config.writer = 1000 + at as u64;
        Mind::Typed(Box::new(Replica::new(Arc::from("room"), initial(), config)))
    }

    fn add(&mut self, mind: Mind) -> usize {
        let name = format!("user-{}------------", self.users.len());
        self.users.push(User { name, mind, wire: None, waiting: BTreeSet::new(), told: 0 });
        self.users.len() - 1
    }

    fn note(&mut self, line: String) {
        if self.trace.len() > 80 {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        let trace: String = self.trace.iter().map(|line| format!("  {line}\n")).collect();
        panic!("seed {}, typed {}: {what}\n{trace}", self.seed, self.typed)
    }

    pub(crate) fn step(&mut self) {
        let at = self.rng.usize(..self.users.len());
        match self.rng.u16(..1000) {
            0..=199 => self.write(at),
            200..=219 => (0..self.rng.usize(..30)).for_each(|_| self.write(at)),
            220..=459 => self.deliver_up(at),
            460..=699 => self.deliver_down(at),
            700..=859 => self.finish_append(),
            860..=889 => self.now += self.rng.u64(..20),
            890..=939 => self.connect(at),
            940..=959 => self.disconnect(at),
            960..=969 => self.crash(),
            970..=979 => {
                // The client sends without waiting for answers for a while.
                (0..self.rng.usize(..40)).for_each(|_| self.deliver_up(at));
            }
            _ => self.hostile(),
        }
        self.settle();
    }

    fn write(&mut self, at: usize) {
        let (wild, now) = (self.typed || self.rng.u8(..8) == 0, Duration::ZERO);
        let rng = &mut self.rng;
        let user = &mut self.users[at];
        match &mut user.mind {
            Mind::Hook(hook) if rng.u8(..4) == 0 => {
                hook.merge((0..rng.usize(..4)).map(|_| sample(rng, wild && self.typed)).collect());
            }
            Mind::Hook(hook) => {
                let (key, value) = sample(rng, wild);
                // An untyped room accepts anything, so wild values go to a field that the typed clients do
                // not have.
                let key = if self.typed || !wild { key } else { "free".to_owned() };
                hook.set(&key, value);
            }
            Mind::Typed(replica) => {
                let Some(update) = sample_update(rng, replica.state()) else { return };
                if let Ok(id) = replica.write(now, vec![update]) {
                    user.waiting.insert(id);
                }
            }
        }
        self.settle();
    }

    fn connect(&mut self, at: usize) {
        if self.users[at].wire.is_some() {
            return;
        }
        // While a page connects, more time passes than it can count versions; the legacy clock relies on
        // that.
        self.now += 5;
        // Slow readers of the v1 protocol are tested by another simulation.
        let is_hook = matches!(self.users[at].mind, Mind::Hook(_));
        let capacity = if !is_hook || self.rng.bool() { 1000 } else { 1 + self.rng.usize(..12) };
        let user = &mut self.users[at];
        user.wire = Some(Wire { up: VecDeque::new(), down: Tube::new(capacity), session: None });
        match &mut user.mind {
            Mind::Hook(hook) => hook.connected(),
            Mind::Typed(replica) => replica.connected(self.limits.window),
        }
    }

    fn disconnect(&mut self, at: usize) {
        for _ in 0..self.rng.usize(..3) {
            self.deliver_up(at);
        }
        self.cut(at);
    }

    fn cut(&mut self, at: usize) {
        let user = &mut self.users[at];
        let Some(wire) = user.wire.take() else { return };
        match &mut user.mind {
            Mind::Hook(hook) => hook.disconnected(),
            Mind::Typed(replica) => replica.disconnected(),
        }
        if let Some(session) = wire.session {
            self.authority.leave(session);
        }
        self.report.lost += wire.up.len() as u64;
        self.note(format!("{at} is cut off"));
    }

    pub(crate) fn deliver_up(&mut self, at: usize) {
        let Some(wire) = &mut self.users[at].wire else { return };
        let Some(frame) = wire.up.pop_front() else { return };
        self.note(format!("{at} > {frame}"));
        let user = &self.users[at];
        let name = user.name.clone();
        let wire = user.wire.as_ref().unwrap();
        let (tube, session) = (wire.down.clone(), wire.session);
        let session = match &user.mind {
            Mind::Hook(_) => self.take_hook(&name, session, tube, &frame),
            Mind::Typed(_) => self.take_v1(&name, session, tube, &frame),
        };
        self.users[at].wire.as_mut().unwrap().session = session;
    }

    fn take_v1(
        &mut self,
        name: &str,
        session: Option<SessionId>,
        tube: Tube,
        frame: &str,
    ) -> Option<SessionId> {
        let envelope = Envelope::read(frame).unwrap();
        match ClientMessage::read(&envelope).unwrap() {
            ClientMessage::Join(request) => {
                if let Some(old) = session {
                    self.authority.leave(old);
                }
                Some(self.authority.join(name.into(), Dialect::V1, &request, tube).unwrap())
            }
            ClientMessage::Change(change) => {
                if let Some(session) = session
                    && let Submitted::Accepted(append) = self.authority.submit(session, &change)
                {
                    self.appending.push_back(append);
                }
                session
            }
            other => panic!("{other:?}"),
        }
    }

    /// What a connection does with a frame of the legacy protocol.
    fn take_hook(
        &mut self,
        name: &str,
        session: Option<SessionId>,
        tube: Tube,
        frame: &str,
    ) -> Option<SessionId> {
        self.authority.set_time(self.now);
        let envelope = Envelope::read(frame).unwrap();
        let Ok(message) = LegacyMessage::read(&envelope) else { return session };
        let session = session.unwrap_or_else(|| {
            let join = JoinRequest::default();
            self.authority.join(name.into(), Dialect::Legacy, &join, tube).unwrap()
        });
        let update = |key: &str, value: &Value| json!({"key": key.replace('~', "~0").replace('/', "~1"), "value": value});
        let (updates, version) = match message {
            LegacyMessage::SyncRequest => {
                self.authority.legacy_sync(session);
                return Some(session);
            }
            LegacyMessage::Update { key, value, version } => {
                (json!([update(&key, &value.get().parse().unwrap())]), version)
            }
            LegacyMessage::Merge { data, version } => {
                let data: BTreeMap<String, Value> = serde_json::from_str(data.get()).unwrap();
                (data.iter().map(|(key, value)| update(key, value)).collect(), version)
            }
            other => panic!("{other:?}"),
        };
        match self.authority.submit_legacy(session, &updates.to_string(), version) {
            Submitted::Accepted(append) => self.appending.push_back(append),
            Submitted::Answered => self.report.refused += 1,
        }
        Some(session)
    }

    fn deliver_down(&mut self, at: usize) {
        let Some(wire) = &self.users[at].wire else { return };
        let frame = wire.down.pop();
        let Some(frame) = frame else { return };
        if wire.down.is_empty()
            && let Some(session) = wire.session
        {
            self.authority.set_time(self.now);
            self.authority.drained(session);
        }
        self.note(format!("{at} < {frame:?}"));
        let user = &mut self.users[at];
        let received = match &mut user.mind {
            Mind::Hook(hook) => {
                user.told += u64::from(frame.as_str().contains("\"state:"));
                hook.receive(frame.as_str())
            }
            Mind::Typed(replica) => match ServerMessage::of(&frame) {
                Ok(ServerMessage::Room(_, message) | ServerMessage::Numbered(_, message)) => {
                    replica.receive(message).map_err(|error| error.to_string())
                }
                other => Err(format!("{other:?}")),
            },
        };
        if let Err(error) = received {
            self.fail(&error);
        }
    }

    pub(crate) fn finish_append(&mut self) {
        if let Some(append) = self.appending.pop_front() {
            let version = append.version;
            self.disk.push(append);
            self.authority.set_time(self.now);
            self.authority.committed(version);
        }
    }

    /// The server's process dies; some of its appends in flight reach the disk. Then it starts again.
    fn crash(&mut self) {
        self.note("the server dies".to_owned());
        for at in 0..self.users.len() {
            self.cut(at);
        }
        for _ in 0..self.rng.usize(..4) {
            self.disk.extend(self.appending.pop_front());
        }
        self.appending.clear();
        let tail = self.disk.iter().map(|append| (append.version, &append.entry[..]));
        self.authority =
            Authority::load("room".into(), 7, fresh(self.typed), self.limits.clone(), None, tail).unwrap();
    }

    /// A client that sends invalid messages connects and leaves.
    fn hostile(&mut self) {
        let tube = Tube::new(4);
        let mut session = None;
        for _ in 0..self.rng.usize(1..5) {
            let versions = [
                "1e308",
                "-1",
                "\"7\"",
                "0",
                "1.5",
                "null",
                "[]",
                "9007199254740991",
                "9007199254740000",
                "99999999999999999999",
                "1",
                "2",
            ];
            let version = versions[self.rng.usize(..versions.len())];
            let (key, value) = sample(&mut self.rng, self.typed);
            let (key, room) = (json!(key), "room");
            let frame = match self.rng.u8(..4) {
                0 => format!(r#"{{"type":"state:sync:request","room":"{room}","payload":{{}}}}"#),
                1 => format!(
                    r#"{{"type":"state:merge","room":"{room}","payload":{{"data":{{{key}:{value}}},"version":{version}}}}}"#
                ),
                _ => format!(
                    r#"{{"type":"state:update","room":"{room}","payload":{{"key":{key},"value":{value},"version":{version}}}}}"#
                ),
            };
            self.note(format!("mallory > {frame}"));
            session = self.take_hook("mallory", session, tube.clone(), &frame);
            while let Some(frame) = tube.pop() {
                let frame: Value = serde_json::from_str(frame.as_str()).unwrap();
                if let Some(version) = frame["payload"].get("version") {
                    assert!(version.as_u64().is_some_and(|version| version < 1 << 53), "{frame}");
                }
            }
        }
        if let Some(session) = session {
            self.authority.leave(session);
        }
    }

    pub(crate) fn settle(&mut self) {
        let durable = self.disk.len() as u64;
        for at in 0..self.users.len() {
            let user = &mut self.users[at];
            while let Some(frame) = match &mut user.mind {
                Mind::Hook(hook) => hook.poll_frame(),
                Mind::Typed(replica) => replica.poll_frame().map(|frame| frame.as_str().to_owned()),
            } {
                if let Some(wire) = &mut user.wire {
                    wire.up.push_back(frame);
                }
            }
            let Mind::Typed(replica) = &mut user.mind else { continue };
            while replica.poll_event().is_some() {}
            while let Some((id, answer)) = replica.poll_answer() {
                user.waiting.remove(&id);
                if answer.is_ok_and(|version| version > durable) {
                    self.fail("G2: what was acknowledged is not on the disk");
                }
            }
        }
    }

    /// Ends the faults: every client is connected, and everything is delivered.
    pub(crate) fn calm(&mut self) {
        for at in 0..self.users.len() {
            self.connect(at);
            if let Mind::Typed(replica) = &mut self.users[at].mind {
                replica.flush(Duration::ZERO);
            }
        }
        self.settle();
        for _ in 0..100_000 {
            let mut quiet = self.appending.is_empty();
            self.finish_append();
            for at in 0..self.users.len() {
                let wire = self.users[at].wire.as_ref().unwrap();
                quiet &= wire.up.is_empty() && wire.down.is_empty();
                // Slower than they write, or not.
                for _ in 0..self.rng.usize(..3) {
                    self.deliver_up(at);
                    self.settle();
                }
                for _ in 0..self.rng.usize(..3) {
                    self.deliver_down(at);
                    self.settle();
                }
            }
            if quiet {
                return;
            }
        }
        self.fail("it never came to rest");
    }

    pub(crate) fn finish(&mut self) {
        self.calm();
        let before = self.users.len();
        self.add(Mind::Hook(LegacyClient::new("room", page())));
        self.add(self.replica(before));
        self.calm();
        self.report.versions = self.authority.head();

        let mut data = String::new();
        self.authority.state().write_plain(&mut data);
        let room = object(serde_json::from_str(&data).unwrap());
        let mut last = BTreeMap::new();
        for append in &self.disk {
            let entry: Value = serde_json::from_slice(&append.entry).unwrap();
            for update in entry["u"].as_array().unwrap() {
                last.insert(update["key"].as_str().unwrap().to_owned(), update["value"].clone());
            }
        }
        for key in PLAIN {
            if let Some(value) = last.get(key).filter(|value| value.get("beyond").is_none())
                && comparable(&room[key]) != comparable(value)
            {
                self.fail(&format!("G2: {key} is {}, and was written {value} last", room[key]));
            }
        }
        let initial = page();
        for (at, user) in self.users.iter().enumerate() {
            let shown = match &user.mind {
                Mind::Hook(hook) => hook.state().clone(),
                Mind::Typed(replica) => {
                    if !user.waiting.is_empty() {
                        self.fail(&format!("{at} has no answer to {:?}", user.waiting));
                    }
                    object(serde_json::to_value(replica.state()).unwrap())
                }
            };
            let is_hook = matches!(user.mind, Mind::Hook(_));
            for (key, value) in &room {
                let knows = is_hook || initial.contains_key(key);
                let found = shown.get(key);
                let mut expected = comparable(value);
                if !is_hook && let (Value::Object(parts), Some(Value::Object(found))) = (&mut expected, found)
                {
                    // In an untyped room a struct lacks the fields that nobody has written.
                    let missing = found.iter().filter(|_| key == "inner");
                    missing.for_each(|(name, part)| {
                        parts.entry(name).or_insert_with(|| comparable(part));
                    });
                }
                if knows && found.map(comparable) != Some(expected) {
                    self.fail(&format!("G1: `{key}` is {found:?} for {at}, and {value} for who comes late"));
                }
            }
            if let Some(key) = initial.keys().find(|key| !shown.contains_key(*key)) {
                self.fail(&format!("`{key}`, which nobody has written, is gone for {at}"));
            }
            if self.typed && is_hook && shown.len() != room.len() {
                self.fail(&format!("{at} shows {shown:?}, the room is {room:?}"));
            }
        }
    }
}

/// Values with numbers as JavaScript compares them.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), comparable(value))).collect(),
        Value::Array(list) => list.iter().map(comparable).collect(),
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

fn fresh(typed: bool) -> Box<dyn RoomState> {
    match typed {
        true => Box::new(Typed::new(initial())),
        false => Box::new(Untyped::new()),
    }
}
