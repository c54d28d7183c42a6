//! What the targets share: a room with a field of every kind, and what must hold for it, whatever it is sent.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared_state::proto::authority::{
    Authority, Dialect, LoadError, LogEntry, Outbox, SessionId, Submitted, Typed,
};
use shared_state::proto::replica::{Replica, ReplicaConfig};
use shared_state::proto::{
    ChangeRequest, ClientMessage, Envelope, Frame, JoinRequest, Limits, ServerMessage,
};
use shared_state::{List, SharedState, Text};

/// A field of every kind.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
pub struct Board {
    #[shared(validate(length(max = 100)))]
    pub title: String,
    #[shared(counter)]
    pub views: i32,
    #[shared(counter)]
    pub heat: f64,
    pub any: Value,
    #[shared(nested)]
    pub layout: Layout,
    #[shared(list(key = id, nested))]
    pub columns: List<Column>,
    #[shared(list(key = id, nested))]
    pub parked: Vec<Card>,
    #[shared(list(key = id))]
    pub plain: Vec<Card>,
    #[shared(map(counter))]
    pub votes: BTreeMap<String, u8>,
    #[shared(map(list(key = id, nested)))]
    pub shelves: BTreeMap<u8, List<Card>>,
    #[shared(set)]
    pub tags: BTreeSet<String>,
    #[shared(text)]
    pub body: Text,
    #[shared(map(text))]
    pub notes: BTreeMap<String, Text>,
}

/// A nested struct.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
pub struct Layout {
    pub dark: bool,
    #[shared(counter)]
    pub width: u8,
}

/// An item with a list of items.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
pub struct Column {
    pub id: u8,
    pub name: String,
    #[shared(list(key = id, nested))]
    pub cards: List<Card>,
}

/// An item.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
pub struct Card {
    pub id: u8,
    pub note: String,
    #[shared(counter)]
    pub votes: u8,
}

/// The frames on their way to a session.
#[derive(Clone, Default)]
pub struct Queue(Rc<RefCell<Vec<Frame>>>);

impl Outbox for Queue {
    fn push(&mut self, frame: &Frame) -> bool {
        self.0.borrow_mut().push(frame.clone());
        true
    }
}

/// A room with four sessions: `ann` and `bob`, whose frames come from the input, a legacy client, and `eve`, who only reads
/// and whose copy is compared with the room's state.
pub struct Room {
    authority: Authority<Queue>,
    log: Vec<LogEntry>,
    writers: [SessionId; 2],
    hook: SessionId,
    reader: SessionId,
    queue: Queue,
    eve: Replica<Board>,
    /// The sequence number of the next change of each writer.
    seq: [u64; 2],
}

fn limits() -> Arc<Limits> {
    let mut limits = Limits::default();
    limits.state = 64 << 10;
    Arc::new(limits)
}

fn state(authority: &Authority<Queue>) -> &Board {
    authority.state().as_any().downcast_ref::<Typed<Board>>().expect("a board").get()
}

/// The state's data, JSON text.
pub fn data(authority: &Authority<Queue>) -> String {
    let mut data = String::new();
    authority.state().write_data(&mut data);
    data
}

/// A room as it is read from a store: its snapshot and the entries after it, each with its version.
pub fn load<'a>(
    snapshot: Option<(u64, &[u8])>,
    tail: impl IntoIterator<Item = (u64, &'a [u8])>,
) -> Result<Authority<Queue>, LoadError> {
    let state = Box::new(Typed::new(Board::default()));
    Authority::load("room".into(), 7, state, limits(), snapshot, tail)
}

impl Room {
    pub fn new() -> Self {
        let state = Box::new(Typed::new(Board::default()));
        let mut authority = Authority::new("room".into(), 7, state, limits());
        let queue = Queue::default();
        let mut join = |client: &str, dialect, queue: Queue| {
            let joined = authority.join(client.into(), dialect, &JoinRequest::default(), queue);
            joined.expect("nothing is declared")
        };
        let reader = join("eve", Dialect::V1, queue.clone());
        let writers = ["ann", "bob"].map(|client| join(client, Dialect::V1, Queue::default()));
        let hook = join("hook", Dialect::Legacy, Queue::default());
        let mut eve = Replica::new("room".into(), Board::default(), ReplicaConfig::default());
        eve.connected(64);
        let mut room = Self { authority, log: Vec::new(), writers, hook, reader, queue, eve, seq: [1; 2] };
        room.deliver();
        room
    }

    /// A client's frame of the v1 protocol.
    pub fn v1(&mut self, who: usize, frame: &str) {
        let Ok(envelope) = Envelope::read(frame) else { return };
        match ClientMessage::read(&envelope) {
            Ok(ClientMessage::Change(change)) => self.change(who, &change),
            Ok(ClientMessage::Join(request)) => {
                let joined = self.authority.join("guest".into(), Dialect::V1, &request, Queue::default());
                joined.ok().and_then(|id| self.authority.leave(id));
            }
            _ => {}
        }
    }

    /// A change with these updates, JSON text.
    pub fn updates(&mut self, who: usize, base: u64, updates: &str) {
        let seq = self.seq[who % 2];
        self.seq[who % 2] += 1;
        let frame = format!(
            r#"{{"type":"state:change","room":"room","payload":{{"seq":{seq},"base":{base},"updates":{updates}}}}}"#
        );
        self.v1(who, &frame);
    }

    /// The version of the last change.
    pub fn version(&self) -> u64 {
        self.authority.head()
    }

    fn change(&mut self, who: usize, change: &ChangeRequest<'_>) {
        let submitted = self.authority.submit(self.writers[who % 2], change);
        self.submitted(submitted);
    }

    fn submitted(&mut self, submitted: Submitted) {
        if let Submitted::Accepted(entry) = submitted {
            self.authority.committed(entry.version);
            self.log.push(entry);
        }
        self.deliver();
    }

    /// A legacy client's updates, JSON text, and the version that it has after them.
    pub fn legacy(&mut self, updates: &str, version: Option<u64>) {
        let submitted = self.authority.submit_legacy(self.hook, updates, version);
        self.submitted(submitted);
    }

    /// A legacy client asks for the state.
    pub fn legacy_sync(&mut self) {
        self.authority.legacy_sync(self.hook);
    }

    fn deliver(&mut self) {
        for frame in self.queue.0.take() {
            match ServerMessage::of(&frame) {
                Ok(ServerMessage::Room(_, message)) => {
                    self.eve.receive(message).expect("a message that fits")
                }
                other => panic!("{other:?}: {frame:?}"),
            }
            while self.eve.poll_frame().is_some() {}
        }
    }

    /// What must hold: the reader has the room's state, and the room is the same when it is read from the store.
    pub fn check(mut self) {
        let version = self.authority.head();
        assert_eq!((self.eve.version(), self.eve.confirmed()), (version, state(&self.authority)));
        // Fields that were declared and not written are not stored; the room forgets them with its last session.
        let [ann, bob] = self.writers;
        for session in [ann, bob, self.hook, self.reader] {
            self.authority.leave(session);
        }
        let data = data(&self.authority);
        let load = |snapshot, tail: &[LogEntry]| {
            let tail = tail.iter().map(|append| (append.version, &append.entry[..]));
            self::load(snapshot, tail).expect("what a room has written can be read")
        };
        let mut from_log = load(None, &self.log);
        assert_eq!(self::data(&from_log), data);
        let (at, snapshot) = from_log.snapshot();
        assert_eq!(at, version);
        assert_eq!(self::data(&load(Some((at, &snapshot)), &[])), data);
        let (_, snapshot) = self.authority.snapshot();
        assert_eq!(self::data(&load(Some((at, &snapshot)), &[])), data);
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}

/// The input as texts: its lines.
pub fn lines(input: &[u8]) -> impl Iterator<Item = &str> {
    input.split(|byte| *byte == b'\n').take(64).filter_map(|line| std::str::from_utf8(line).ok())
}
