//! G11: rooms and replicas with different structs, without sockets: which schemas are sent, declared, kept,
//! translated and refused.
//!
//! `SHARED_STATE_SEED` runs one random history alone, `SHARED_STATE_SEEDS` sets their number.

#![allow(missing_docs, clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_state::SharedState;
use shared_state::proto::authority::{Authority, Dialect, LogEntry, Outbox, SessionId, Submitted, Typed};
use shared_state::proto::replica::{Replica, ReplicaConfig, Transaction, WriteId};
use shared_state::proto::{ClientMessage, Code, Envelope, Frame, Limits, ServerMessage};
use shared_state::{Rejected, WriteError};
use shared_state_tests::seeds;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Old {
    title: String,
    name: String,
    #[shared(counter)]
    views: i64,
    #[shared(nested)]
    layout: OldLayout,
    note: String,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct OldLayout {
    columns: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<u8>,
    margin: u8,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct New {
    title: String,
    #[serde(alias = "name")]
    author: String,
    #[shared(counter)]
    views: i64,
    #[shared(nested)]
    #[serde(alias = "layout")]
    style: NewLayout,
    #[shared(counter)]
    likes: u8,
    #[shared(nested)]
    theme: Theme,
    size: u16,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct NewLayout {
    #[serde(alias = "columns")]
    width: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<u8>,
    wide: bool,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Theme {
    dark: bool,
    colour: u32,
}

/// As [`New`], but a field that the old struct lacks has another type.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Rival {
    title: String,
    size: String,
}

#[derive(Clone, Default)]
struct Tube(Rc<RefCell<VecDeque<Frame>>>, Rc<RefCell<usize>>);

impl Outbox for Tube {
    fn push(&mut self, frame: &Frame) -> bool {
        let full = *self.1.borrow() > 0;
        if full {
            *self.1.borrow_mut() -= 1;
        } else {
            self.0.borrow_mut().push_back(frame.clone());
        }
        !full
    }
}

struct Room {
    authority: Authority<Tube>,
    snapshot: Option<(u64, Vec<u8>)>,
    log: Vec<LogEntry>,
}

fn limits() -> Arc<Limits> {
    Arc::new(Limits::default())
}

impl Room {
    fn of<S: SharedState>(initial: S) -> Self {
        let authority = Authority::new("room".into(), 7, Box::new(Typed::new(initial)), limits());
        Self { authority, snapshot: None, log: Vec::new() }
    }

    /// The room as a program with the struct `S` opens it, after a shutdown or a kill.
    fn reopened<S: SharedState + Default>(&mut self, in_order: bool) -> Self {
        let state = Box::new(Typed::new(S::default()));
        let (mut snapshot, mut log) = (self.snapshot.clone(), self.log.clone());
        if in_order {
            let (version, bytes) = self.authority.snapshot();
            (snapshot, log) = (Some((version, bytes.to_vec())), Vec::new());
        }
        let from = snapshot.as_ref().map(|(version, bytes)| (*version, &bytes[..]));
        let tail = log.iter().map(|append| (append.version, &append.entry[..]));
        let authority = Authority::load("room".into(), 7, state, limits(), from, tail).unwrap();
        Self { authority, snapshot, log }
    }

    fn data(&self) -> Value {
        let mut data = String::new();
        self.authority.state().write_data(&mut data);
        serde_json::from_str(&data).unwrap()
    }
}

/// A replica and its connection.
struct Client<S: SharedState> {
    replica: Replica<S>,
    tube: Tube,
    session: Option<SessionId>,
    id: &'static str,
    /// The frames sent and received, the latest last.
    seen: Vec<String>,
}

impl<S: SharedState> Client<S> {
    fn new(id: &'static str, initial: S) -> Self {
        let replica = Replica::new("room".into(), initial, ReplicaConfig::default());
        Self { replica, tube: Tube::default(), session: None, id, seen: Vec::new() }
    }

    fn joined(id: &'static str, initial: S, room: &mut Room) -> Self {
        let mut this = Self::new(id, initial);
        this.connect(room);
        this
    }

    fn connect(&mut self, room: &mut Room) {
        self.tube = Tube::default();
        self.session = None;
        self.replica.connected(64);
        self.settle(room);
    }

    /// Sends the replica's frames.
    fn send(&mut self, room: &mut Room) {
        while let Some(frame) = self.replica.poll_frame() {
            self.seen.push(frame.as_str().to_owned());
            let envelope = Envelope::read(frame.as_str()).unwrap();
            match ClientMessage::read(&envelope).unwrap() {
                ClientMessage::Join(request) => {
                    self.session.take().map(|session| room.authority.leave(session));
                    let joined =
                        room.authority.join(self.id.into(), Dialect::V1, &request, self.tube.clone());
                    match joined {
                        Ok(session) => self.session = Some(session),
                        Err(violation) => {
                            let error = shared_state::proto::server::room_error(
                                "room",
                                violation.code,
                                &violation.message,
                            );
                            self.tube.0.borrow_mut().push_back(error);
                        }
                    }
                }
                ClientMessage::Change(change) => {
                    let session = self.session.unwrap();
                    if let Submitted::Accepted(append) = room.authority.submit(session, &change) {
                        let version = append.version;
                        room.log.push(append);
                        room.authority.committed(version);
                    }
                }
                ClientMessage::Leave => {
                    self.session.take().map(|session| room.authority.leave(session));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Processes the received frames; returns the errors.
    fn take(&mut self) -> Vec<Code> {
        let mut codes = Vec::new();
        loop {
            let next = self.tube.0.borrow_mut().pop_front();
            let Some(frame) = next else { return codes };
            self.seen.push(frame.as_str().to_owned());
            let Ok(ServerMessage::Room(_, message) | ServerMessage::Numbered(_, message)) =
                ServerMessage::of(&frame)
            else {
                panic!("{frame:?}");
            };
            if let Err(violation) = self.replica.receive(message) {
                codes.push(violation.code);
            }
        }
    }

    fn settle(&mut self, room: &mut Room) -> Vec<Code> {
        let mut codes = Vec::new();
        for _ in 0..4 {
            self.send(room);
            codes.extend(self.take());
        }
        codes
    }

    fn write(&mut self, update: S::Update) -> Result<WriteId, WriteError> {
        self.replica.write(Duration::ZERO, vec![update])
    }

    fn answers(&mut self) -> Vec<Result<u64, Rejected>> {
        std::iter::from_fn(|| self.replica.poll_answer()).map(|(_, answer)| answer).collect()
    }
}

fn json<S: SharedState>(state: &S) -> Value {
    serde_json::to_value(state).unwrap()
}

#[test]
fn nothing_is_told_where_structs_are_equal() {
    let mut room = Room::of(Old::default());
    let mut client = Client::joined("a", Old::default(), &mut room);
    client.write(OldUpdate::Title("x".into())).unwrap();
    client.settle(&mut room);
    let [join, sync, change, _] = &client.seen[..] else { panic!("{:?}", client.seen) };
    assert!(join.contains("\"schema\":") && !join.contains("declare"), "{join}");
    assert!(!sync.contains("schema"), "{sync}");
    assert!(change.contains(r#""updates":[{"key":"title","value":"x"}]"#), "{change}");
}

#[test]
fn g11_a_field_that_was_not_declared_is_unknown() {
    let mut room = Room::of(Old::default());
    let mut new = Client::joined("a", New::default(), &mut room);
    let write = |key: &str, seq: u64| {
        format!(
            r#"{{"type":"state:change","room":"room","payload":{{"seq":{seq},"base":0,"updates":[{{"key":"{key}","value":1}}]}}}}"#
        )
    };
    for (key, seq, accepted) in [("sizes", 1, false), ("theme", 2, false), ("size", 3, true)] {
        let frame = write(key, seq);
        let envelope = Envelope::read(&frame).unwrap();
        let Ok(ClientMessage::Change(change)) = ClientMessage::read(&envelope) else { panic!() };
        let submitted = room.authority.submit(new.session.unwrap(), &change);
        assert_eq!(matches!(submitted, Submitted::Accepted(_)), accepted, "{key}");
    }
    new.take();
    let refused = new.seen.iter().filter(|frame| frame.contains("unknown_field")).count();
    assert_eq!(refused, 2, "{:?}", new.seen);
}

#[test]
fn g11_who_returns_to_another_struct_is_sent_the_state() {
    let mut room = Room::of(Old::default());
    let mut new = Client::joined("a", New::default(), &mut room);
    new.write(NewUpdate::Size(3)).unwrap();
    new.settle(&mut room);
    new.replica.disconnected();
    new.connect(&mut room);
    let last = new.seen.last().unwrap();
    assert!(last.contains("state:delta"), "{last}");

    // The new server's initial size is different, but the room has a size.
    let mut room = room.reopened::<New>(false);
    new.replica.disconnected();
    new.connect(&mut room);
    let last = new.seen.last().unwrap();
    assert!(last.contains("state:sync") && !last.contains("schema"), "{last}");
    assert_eq!(
        json(new.replica.state()),
        room.data()
            .as_object()
            .map(|data| {
                let mut data = data.clone();
                data.remove("note");
                data["style"].as_object_mut().unwrap().remove("margin");
                Value::Object(data)
            })
            .unwrap()
    );
    new.replica.disconnected();
    new.connect(&mut room);
    let last = new.seen.last().unwrap();
    assert!(last.contains("state:delta"), "{last}");
}

#[test]
fn g11_the_schema_is_told_later_if_the_queue_was_full() {
    let mut room = Room::of(Old::default());
    let mut new = Client::new("a", New::default());
    *new.tube.1.borrow_mut() = 1;
    new.replica.connected(64);
    new.send(&mut room);
    assert!(!new.replica.is_live() && new.tube.0.borrow().is_empty());
    room.authority.drained(new.session.unwrap());
    new.settle(&mut room);
    assert!(new.replica.is_live());
    new.write(NewUpdate::Author("x".into())).unwrap();
    new.settle(&mut room);
    assert_eq!(room.data()["name"], "x");
}

#[test]
fn g11_two_fields_of_one_name_are_refused_and_nothing_hangs() {
    let mut room = Room::of(Old::default());
    let mut new = Client::joined("a", New::default(), &mut room);
    new.write(NewUpdate::Title("x".into())).unwrap();
    new.settle(&mut room);
    let mut rival = Client::new("b", Rival::default());
    rival.write(RivalUpdate::Title("lost".into())).unwrap();
    rival.write(RivalUpdate::Size("lost".into())).unwrap();
    rival.connect(&mut room);
    let answers = rival.answers();
    assert_eq!(answers.len(), 2);
    for answer in answers {
        let rejected = answer.unwrap_err();
        assert_eq!(rejected.code(), Code::IncompatibleSchema);
        assert!(rejected.message().ends_with("`size`: expected string (lww), found u16 (lww)"), "{rejected}");
    }
    assert_eq!((rival.replica.pending(), rival.replica.state()), (0, &Rival::default()));
    assert!(matches!(
        rival.write(RivalUpdate::Title("lost".into())),
        Err(WriteError::Rejected(reject)) if reject.code == Code::IncompatibleSchema
    ));
    assert_eq!(rival.session, None, "it has left the room");

    // A later server has no such field, so the schemas fit.
    let mut room = Room::of(Old::default());
    rival.replica.disconnected();
    rival.connect(&mut room);
    rival.write(RivalUpdate::Size("big".into())).unwrap();
    rival.settle(&mut room);
    assert_eq!((rival.answers(), &room.data()["size"]), (vec![Ok(1)], &json!("big")));

    // Both clients declare the field at the same time; the room decides.
    let mut room = Room::of(Old::default());
    let (mut new, mut rival) = (Client::new("a", New::default()), Client::new("b", Rival::default()));
    new.replica.connected(64);
    rival.replica.connected(64);
    new.send(&mut room);
    rival.send(&mut room);
    new.take();
    rival.take();
    new.send(&mut room);
    assert_eq!(rival.settle(&mut room), [Code::IncompatibleSchema]);
    assert!(rival.replica.refusal().is_some() && !rival.replica.is_live());
    new.take();
    assert!(new.replica.is_live());
}

#[test]
fn g11_accepted_changes_are_not_said_to_be_refused() {
    let mut room = Room::of(Old::default());
    let mut old = Client::joined("a", Old::default(), &mut room);
    old.write(OldUpdate::Title("x".into())).unwrap();
    old.write(OldUpdate::Note("y".into())).unwrap();
    old.send(&mut room);
    // The answers are lost, and another server takes over.
    old.replica.disconnected();
    old.write(OldUpdate::Title("late".into())).unwrap();
    #[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
    #[shared(version = 2, migrate = Self::migrated)]
    struct Migrated {
        title: String,
    }
    impl Migrated {
        fn migrated(from: u32, mut value: Value) -> Result<Value, String> {
            value["title"] =
                format!("{}, of version {from}", value["title"].as_str().ok_or("no title")?).into();
            Ok(value)
        }
    }
    let mut room = room.reopened::<Migrated>(false);
    assert_eq!(room.data()["title"], "x, of version 1");
    old.connect(&mut room);
    let answers = old.answers();
    assert_eq!(answers[..2], [Ok(1), Ok(2)]);
    assert_eq!(answers[2].as_ref().map_err(Rejected::code), Err(Code::IncompatibleSchema));
}

#[test]
fn g11_newer_clients_agree_on_what_was_never_written() {
    let mut room = Room::of(Old::default());
    let begin = |size, likes| New { size, likes, ..New::default() };
    let mut first = Client::joined("a", begin(5, 250), &mut room);
    let mut second = Client::joined("b", begin(7, 0), &mut room);
    assert_eq!((first.replica.state().size, second.replica.state().size), (5, 5));
    // The room forgets fields that were declared and never written.
    let mut room = room.reopened::<Old>(false);
    second.replica.disconnected();
    second.connect(&mut room);
    first.replica.disconnected();
    first.connect(&mut room);
    assert_eq!((first.replica.state().size, second.replica.state().size), (7, 7));
    assert_eq!((first.replica.state().likes, second.replica.state().likes), (0, 0));
    // An update that adds to a declared field starts from the value that every client has, which the log
    // contains.
    let mut room = Room::of(Old::default());
    let mut old = Client::joined("c", Old::default(), &mut room);
    old.write(OldUpdate::Title("x".into())).unwrap();
    old.settle(&mut room);
    let mut first = Client::joined("a", begin(5, 250), &mut room);
    first.write(New::LIKES.op(shared_state::merge::CounterOp::Add(4))).unwrap();
    first.settle(&mut room);
    let mut room = room.reopened::<Old>(false);
    assert_eq!(room.data()["likes"], 254);
    let second = Client::joined("b", begin(7, 0), &mut room);
    assert_eq!(second.replica.state().likes, 254);
}

#[test]
fn g11_what_is_of_no_use_in_a_kept_field_is_the_initial_value() {
    let mut room = Room::of(Old::default());
    let begin = New { size: 5, ..New::default() };
    let mut first = Client::joined("a", begin.clone(), &mut room);
    first.write(NewUpdate::Size(6)).unwrap();
    first.settle(&mut room);
    let append = room.authority.submit_server(r#"[{"key":"size","value":["no","number"]}]"#).unwrap();
    room.authority.committed(append.version);
    assert_eq!(first.settle(&mut room), []);
    let late = Client::joined("b", begin, &mut room);
    assert_eq!((first.replica.state().size, late.replica.state().size), (5, 5));
}

#[test]
fn g6_g11_transactions_read_fields_by_the_rooms_names() {
    let mut room = Room::of(Old::default());
    let mut new = Client::joined("a", New::default(), &mut room);
    let mut other = Client::joined("b", New::default(), &mut room);
    let read = |client: &mut Client<New>, kept: bool| {
        let mut transaction = Transaction::new(client.replica.state());
        match kept {
            true => drop(*transaction.get(New::SIZE)),
            false => drop(transaction.get(New::AUTHOR).clone()),
        }
        transaction.set(New::TITLE, "read".into());
        let (updates, reads) = transaction.into_parts();
        client.replica.write_if_unchanged(Duration::ZERO, updates, reads).unwrap();
    };
    for kept in [false, true] {
        read(&mut new, kept);
        new.settle(&mut room);
        assert!(matches!(new.answers()[..], [Ok(_)]));
        let update = if kept { NewUpdate::Size(9) } else { NewUpdate::Author("x".into()) };
        other.write(update).unwrap();
        other.settle(&mut room);
        // The client has not received that change when it reads.
        read(&mut new, kept);
        new.send(&mut room);
        new.take();
        let answers = new.answers();
        assert_eq!(
            answers[0].as_ref().map_err(Rejected::code),
            Err(Code::Conflict),
            "{kept}: {:?}",
            new.seen
        );
        new.settle(&mut room);
        other.settle(&mut room);
    }
}

/// The fields that both structs have, by the old names.
fn common_of_old(state: &Old) -> Value {
    let Old { title, name, views, layout, .. } = state;
    json!([title, name, views, layout.columns, layout.hint])
}

fn common_of_new(state: &New) -> Value {
    let New { title, author, views, style, .. } = state;
    json!([title, author, views, style.width, style.hint])
}

fn old_update(random: &mut fastrand::Rng) -> OldUpdate {
    let number = random.u8(..);
    let hint = random.bool().then_some(number);
    match random.u8(..7) {
        0 => OldUpdate::Title(number.to_string()),
        1 => OldUpdate::Name(number.to_string()),
        2 => Old::VIEWS.op(shared_state::merge::CounterOp::Add(number.into())),
        3 => Old::LAYOUT.set(OldLayout { columns: number, hint, margin: random.u8(..) }),
        4 => Old::LAYOUT.op(shared_state::merge::NestedOp::In(Box::new(OldLayoutUpdate::Margin(number)))),
        5 => Old::LAYOUT.op(shared_state::merge::NestedOp::In(Box::new(OldLayoutUpdate::Columns(number)))),
        _ => OldUpdate::Note(number.to_string()),
    }
}

fn new_update(random: &mut fastrand::Rng) -> NewUpdate {
    let number = random.u8(..);
    let hint = random.bool().then_some(number);
    match random.u8(..9) {
        0 => NewUpdate::Title(number.to_string()),
        1 => NewUpdate::Author(number.to_string()),
        2 => New::VIEWS.op(shared_state::merge::CounterOp::Add(number.into())),
        3 => New::STYLE.set(NewLayout { width: number, hint, wide: random.bool() }),
        4 => New::STYLE.op(shared_state::merge::NestedOp::In(Box::new(NewLayoutUpdate::Wide(random.bool())))),
        5 => New::LIKES.op(shared_state::merge::CounterOp::Add(random.u8(..20))),
        6 => New::THEME.set(Theme { dark: random.bool(), colour: number.into() }),
        7 => New::THEME.op(shared_state::merge::NestedOp::In(Box::new(ThemeUpdate::Dark(random.bool())))),
        _ => NewUpdate::Size(number.into()),
    }
}

/// The states that a client with the old struct and one with the new struct see.
fn everything(room: &mut Room) -> (Old, New) {
    let (old, new) = (Client::joined("g", Old::default(), room), Client::joined("h", New::default(), room));
    let seen = (old.replica.state().clone(), new.replica.state().clone());
    for session in [old.session, new.session] {
        room.authority.leave(session.unwrap());
    }
    seen
}

/// Old and new clients write at random to a room of either struct, which is reopened now and then. At the end
/// clients with the same struct are equal, and the common fields are equal everywhere.
fn history(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut is_new = random.bool();
    let mut room = if is_new { Room::of(New::default()) } else { Room::of(Old::default()) };
    let mut old = [Client::new("a", Old::default()), Client::new("b", Old::default())];
    let mut new = [Client::new("c", New::default()), Client::new("d", New::default())];
    for _ in 0..60 {
        let which = random.usize(..2);
        match random.u8(..12) {
            0..=3 => drop(old[which].write(old_update(&mut random)).unwrap()),
            4..=7 => drop(new[which].write(new_update(&mut random)).unwrap()),
            8 => {
                if random.bool() {
                    old[which].replica.disconnected();
                    old[which].connect(&mut room);
                } else {
                    new[which].replica.disconnected();
                    new[which].connect(&mut room);
                }
            }
            9 => {
                // A new server may take over from an old one, but not the other way round.
                is_new |= random.u8(..4) == 0;
                let in_order = random.bool();
                let before = everything(&mut room);
                room = match is_new {
                    true => room.reopened::<New>(in_order),
                    false => room.reopened::<Old>(in_order),
                };
                assert_eq!(everything(&mut room), before, "after an end in order: {in_order}");
                for client in &mut old {
                    client.replica.disconnected();
                    client.connect(&mut room);
                }
                for client in &mut new {
                    client.replica.disconnected();
                    client.connect(&mut room);
                }
            }
            _ => {
                if random.bool() {
                    old[which].send(&mut room);
                    assert_eq!(old[which].take(), []);
                } else {
                    new[which].send(&mut room);
                    assert_eq!(new[which].take(), []);
                }
            }
        }
    }
    settled(room, old, new);
}

fn settled(mut room: Room, mut old: [Client<Old>; 2], mut new: [Client<New>; 2]) {
    for client in &mut old {
        if client.session.is_none() {
            client.connect(&mut room);
        }
    }
    for client in &mut new {
        if client.session.is_none() {
            client.connect(&mut room);
        }
    }
    for _ in 0..4 {
        old.iter_mut().for_each(|client| assert_eq!(client.settle(&mut room), []));
        new.iter_mut().for_each(|client| assert_eq!(client.settle(&mut room), []));
    }
    for answer in old.iter_mut().flat_map(Client::answers).chain(new.iter_mut().flat_map(Client::answers)) {
        answer.unwrap();
    }
    assert_eq!(old[0].replica.state(), old[1].replica.state());
    assert_eq!(new[0].replica.state(), new[1].replica.state());
    assert_eq!(common_of_old(old[0].replica.state()), common_of_new(new[0].replica.state()));
    let old_late = Client::joined("e", Old::default(), &mut room);
    let new_late = Client::joined("f", New::default(), &mut room);
    assert_eq!(old_late.replica.state(), old[0].replica.state());
    assert_eq!(new_late.replica.state(), new[0].replica.state());
}

#[test]
fn g1_g11_old_and_new_replicas_converge() {
    seeds::run(200, history);
}
