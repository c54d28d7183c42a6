//! A channel under random faults, from seeds: lost and half-open connections, repeated frames, slow readers,
//! crashes of the server, and histories that are shorter than what a client missed.
//!
//! The model is the list of the messages on the disk. A reader must get exactly that list, each message once
//! and in order, apart from messages that a gap names; those must have left the stored history.
//!
//! `SHARED_STATE_SEED` runs one seed alone, `SHARED_STATE_SEEDS` sets the number of seeds.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use shared_state::channel::{Cursor, Item, Log, Update};
use shared_state::proto::authority::{
    Authority, ChannelLog, Dialect, LogEntry, Retention, SessionId, Submitted,
};
use shared_state::proto::replica::{Replica, ReplicaConfig, WriteId};
use shared_state::proto::{
    ClientMessage, Envelope, Frame, Limits, ServerMessage, channel_address, split_address,
};
use shared_state_tests::{Tube, seeds};

/// A message: its sender, and its number among the sender's messages.
type Said = (usize, u64);

struct Wire {
    up: VecDeque<Frame>,
    down: Tube,
    session: Option<SessionId>,
    half_open: bool,
}

struct User {
    replica: Replica<Log<Said>>,
    wire: Option<Wire>,
    cursor: Cursor,
    /// The number of the last item that the stream returned, gaps included.
    read: u64,
    /// The number of messages it has sent.
    sent: u64,
    waiting: VecDeque<(WriteId, Said)>,
}

struct World {
    rng: Rng,
    seed: u64,
    now: u64,
    limits: Arc<Limits>,
    history: Retention,
    authority: Authority<Tube>,
    disk: Vec<LogEntry>,
    snapshot: Option<(u64, Vec<u8>)>,
    appending: VecDeque<LogEntry>,
    /// The messages on the disk: each with its sender's id and the time when it was accepted.
    model: Vec<(Said, String, u64)>,
    users: Vec<User>,
    gaps: u64,
    missed: u64,
}

const USERS: usize = 3;

fn room() -> Arc<str> {
    channel_address("lobby", "chat").into()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut limits = Limits::default();
        limits.window = 1 + rng.usize(..8);
        let limits = Arc::new(limits);
        let mut history = Retention::default();
        match rng.u8(..4) {
            0 => history.messages = rng.usize(..12),
            1 => history.bytes = rng.usize(..600),
            2 => history.age = Some(Duration::from_millis(rng.u64(..2000))),
            _ => {}
        }
        let keep = if rng.bool() { 1000 } else { 1 + rng.usize(..8) };
        let state = Box::new(ChannelLog::new(history, 1000));
        let users = (0..USERS).map(|_| {
            let replica = Replica::new(room(), Log::keeping(keep, 1 << 20), ReplicaConfig::default());
            let cursor = Cursor::after(&replica, 0);
            User { replica, wire: None, cursor, read: 0, sent: 0, waiting: VecDeque::new() }
        });
        Self {
            users: users.collect(),
            authority: Authority::new(room(), 7, state, limits.clone()),
            rng,
            seed,
            now: 1000,
            limits,
            history,
            disk: Vec::new(),
            snapshot: None,
            appending: VecDeque::new(),
            model: Vec::new(),
            gaps: 0,
            missed: 0,
        }
    }

    fn step(&mut self) {
        let at = self.rng.usize(..USERS);
        match self.rng.u16(..1000) {
            0..=199 => self.send(at),
            200..=419 => self.deliver_up(at),
            420..=699 => self.deliver_down(at),
            700..=829 => self.finish_append(),
            830..=869 => self.now += self.rng.u64(..500),
            870..=909 => self.connect(at),
            910..=929 => self.disconnect(at),
            930..=939 => {
                if let Some(wire) = &mut self.users[at].wire {
                    wire.half_open = true;
                }
            }
            940..=964 => {
                // A frame in flight arrives twice.
                if let Some(wire) = &mut self.users[at].wire
                    && let Some(frame) =
                        wire.up.back().filter(|frame| frame.as_str().contains("send")).cloned()
                {
                    wire.up.push_back(frame);
                }
            }
            965..=979 => {
                if self.appending.is_empty() {
                    let (version, bytes) = self.authority.snapshot();
                    self.snapshot = Some((version, bytes.to_vec()));
                    self.disk.retain(|append| append.version > version);
                }
            }
            980..=989 => self.crash(),
            _ => {
                self.authority.set_time(self.now);
                let value = serde_json::to_string(&(USERS, 0)).unwrap();
                let update = format!(r#"[{{"key":"messages","op":"send","value":{value}}}]"#);
                let append = self.authority.submit_server(&update).unwrap();
                self.appending.push_back(append);
            }
        }
        self.settle();
    }

    fn send(&mut self, at: usize) {
        let user = &mut self.users[at];
        user.sent += 1;
        let said = (at, user.sent);
        let id = user.replica.write(Duration::ZERO, vec![Update::of(&said).unwrap()]).unwrap();
        user.waiting.push_back((id, said));
        let last = user.replica.state().items(None).pop();
        assert!(
            matches!(&last, Some(Item::Message(message)) if *message.value() == said && message.is_pending()),
            "G4, seed {}: what was sent shows last, as pending: {last:?}",
            self.seed
        );
    }

    fn connect(&mut self, at: usize) {
        if self.users[at].wire.is_none() {
            let down = Tube::new(1 + self.rng.usize(..12));
            self.users[at].wire = Some(Wire { up: VecDeque::new(), down, session: None, half_open: false });
            self.users[at].replica.connected(self.limits.window);
        }
    }

    fn disconnect(&mut self, at: usize) {
        for _ in 0..self.rng.usize(..3) {
            self.deliver_up(at);
        }
        self.users[at].replica.disconnected();
        if let Some(session) = self.users[at].wire.take().and_then(|wire| wire.session) {
            self.authority.leave(session);
        }
    }

    fn deliver_up(&mut self, at: usize) {
        let Some(wire) = &mut self.users[at].wire else { return };
        let Some(frame) = wire.up.pop_front() else { return };
        self.authority.set_time(self.now);
        let envelope = Envelope::read(frame.as_str()).unwrap();
        assert_eq!(split_address(&envelope.address().unwrap()), ("lobby", Some("chat")));
        match ClientMessage::read(&envelope).unwrap() {
            ClientMessage::Join(request) => {
                if let Some(old) = wire.session.take() {
                    self.authority.leave(old);
                }
                let name = format!("user-{at}").into();
                wire.session =
                    Some(self.authority.join(name, Dialect::V1, &request, wire.down.clone()).unwrap());
            }
            ClientMessage::Change(change) => {
                if let Some(session) = wire.session
                    && let Submitted::Accepted(append) = self.authority.submit(session, &change)
                {
                    self.appending.push_back(append);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn deliver_down(&mut self, at: usize) {
        let user = &mut self.users[at];
        let Some(wire) = &user.wire else { return };
        let frame = wire.down.pop();
        let Some(frame) = frame else { return };
        if wire.down.is_empty()
            && let Some(session) = wire.session
        {
            self.authority.set_time(self.now);
            self.authority.drained(session);
        }
        if wire.half_open {
            return;
        }
        match ServerMessage::of(&frame) {
            Ok(ServerMessage::Room(_, message) | ServerMessage::Numbered(_, message)) => {
                if let Err(violation) = user.replica.receive(message) {
                    panic!("seed {}: {violation} in {frame:?}", self.seed);
                }
            }
            other => panic!("seed {}: {other:?}", self.seed),
        }
    }

    /// Makes the next append durable, and adds it to the model.
    fn make_durable(&mut self) -> Option<u64> {
        let append = self.appending.pop_front()?;
        let entry: serde_json::Value = serde_json::from_slice(&append.entry).unwrap();
        let message = &entry["u"][0]["value"];
        assert_eq!(message["seq"], append.version, "G1, seed {}: numbers are dense", self.seed);
        let said: Said = serde_json::from_value(message["value"].clone()).unwrap();
        let (from, when) = (message["from"].as_str().unwrap().to_owned(), message["at"].as_u64().unwrap());
        let honest = if said.0 == USERS { "server".to_owned() } else { format!("user-{}", said.0) };
        assert_eq!(from, honest, "seed {}: the sender is who it was", self.seed);
        assert!(self.model.last().is_none_or(|(.., before)| *before <= when));
        self.model.push((said, from, when));
        let version = append.version;
        self.disk.push(append);
        Some(version)
    }

    fn finish_append(&mut self) {
        if let Some(version) = self.make_durable() {
            self.authority.set_time(self.now);
            self.authority.committed(version);
        }
    }

    /// The server's process dies; some of its appends in flight reach the disk. Then it starts again.
    fn crash(&mut self) {
        for at in 0..USERS {
            self.users[at].replica.disconnected();
            self.users[at].wire = None;
        }
        for _ in 0..self.rng.usize(..4) {
            self.make_durable();
        }
        self.appending.clear();
        let state = Box::new(ChannelLog::new(self.history, 1000));
        let snapshot = self.snapshot.as_ref().map(|(version, bytes)| (*version, &bytes[..]));
        let tail = self.disk.iter().map(|append| (append.version, &append.entry[..]));
        self.authority = Authority::load(room(), 7, state, self.limits.clone(), snapshot, tail).unwrap();
        assert_eq!(self.authority.head(), self.model.len() as u64, "G2, seed {}", self.seed);
    }

    /// Collects every user's frames, and checks the items that its stream returns.
    fn settle(&mut self) {
        let seed = self.seed;
        for (at, user) in self.users.iter_mut().enumerate() {
            while let Some(frame) = user.replica.poll_frame() {
                if let Some(wire) = &mut user.wire {
                    wire.up.push_back(frame);
                }
            }
            while let Some((id, answer)) = user.replica.poll_answer() {
                let (waiting, said) = user.waiting.pop_front().expect("an answer is to a message");
                assert_eq!(waiting, id, "seed {seed}: answers come in order");
                let seq = answer.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
                let entry = self.model.get(seq as usize - 1).map(|(said, ..)| *said);
                assert_eq!(entry, Some(said), "G2, seed {seed}: message {seq} of {at} is durable");
            }
            while user.replica.poll_event().is_some() {}
            // Skipped at random, so that the reader is slow.
            if self.rng.u8(..4) == 0 {
                continue;
            }
            while let Some(item) = user.cursor.next(&user.replica, Some(&format!("user-{at}"))) {
                let next = user.read + 1;
                match item {
                    Item::Message(message) => {
                        assert_eq!(message.seq(), Some(next), "G3, seed {seed}: {at} is given each once");
                        let (said, from, when) = &self.model[user.read as usize];
                        assert_eq!(message.value(), said, "G1, seed {seed}: the order is one");
                        assert_eq!(message.from().map(|from| &**from), Some(&**from));
                        assert_eq!((message.at(), message.is_own()), (Some(*when), said.0 == at));
                        user.read = next;
                    }
                    Item::Gap { from, to } => {
                        assert_eq!(from, next, "seed {seed}: a gap begins where the last item ended");
                        assert!(to >= from && to <= self.model.len() as u64);
                        // No gap may cover messages that every limit retains.
                        let is_bounded = self.history != Retention::default();
                        assert!(is_bounded, "seed {seed}: a gap to {to}, and nothing is bounded");
                        if self.history.age.is_none() && self.history.bytes == Retention::default().bytes {
                            let kept = self.history.messages as u64;
                            let there = self.model.len() as u64;
                            assert!(
                                to + kept <= there,
                                "seed {seed}: a gap to {to} of {there}, {kept} are kept"
                            );
                        }
                        self.gaps += to + 1 - from;
                        user.read = to;
                    }
                    Item::Lagged { from, to } => {
                        assert!(from == next && to >= from, "seed {seed}");
                        self.missed += to + 1 - from;
                        user.read = to;
                    }
                    other => panic!("seed {seed}: {other:?}"),
                }
            }
        }
    }

    /// Ends the faults: everything is delivered, once.
    fn finish(&mut self) {
        for at in 0..USERS {
            if self.users[at].wire.as_ref().is_some_and(|wire| wire.half_open) {
                self.disconnect(at);
            }
            self.connect(at);
        }
        self.settle();
        for round in 0.. {
            assert!(round < 10_000, "seed {}: the channel never came to rest", self.seed);
            let mut quiet = self.appending.is_empty();
            self.finish_append();
            for at in 0..USERS {
                let wire = self.users[at].wire.as_ref().unwrap();
                quiet &= wire.up.is_empty() && wire.down.is_empty();
                self.deliver_up(at);
                self.deliver_down(at);
            }
            self.settle();
            if quiet && self.users.iter().all(|user| user.read == self.model.len() as u64) {
                break;
            }
        }
        for (at, user) in self.users.iter().enumerate() {
            assert!(user.waiting.is_empty() && user.replica.pending() == 0, "G2, seed {}", self.seed);
            let said = self.model.iter().filter(|(said, ..)| said.0 == at).map(|(said, ..)| said.1);
            assert!(
                said.eq(1..=user.sent),
                "G2 G3, seed {}: each of {at} is there once, in order",
                self.seed
            );
        }
    }
}

#[test]
fn g1_g2_g3_none_lost_none_twice_one_order_and_gaps_are_told() {
    let runs = seeds::run(500, |seed| {
        let mut world = World::new(seed);
        for _ in 0..600 {
            world.step();
        }
        world.finish();
        (world.model.len(), world.gaps, world.missed)
    });
    let (mut messages, mut gaps, mut missed, count) = (0, 0, 0, runs.len());
    for run in &runs {
        messages += run.0;
        gaps += run.1;
        missed += run.2;
    }
    println!("{count} seeds: {messages} messages, {gaps} in gaps, {missed} missed by slow readers");
    assert!(count == 1 || (messages > 0 && gaps > 0 && missed > 0), "nothing happened");
}
