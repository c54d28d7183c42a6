//! G11: lists and maps whose entries have fields in the room's struct that a client's struct lacks.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_state::Rejected;
use shared_state::SharedState;
use shared_state::merge::{ListOp, MapOp, NestedOp, Place};
use shared_state::proto::authority::{Authority, Dialect, Outbox, SessionId, Submitted, Typed};
use shared_state::proto::replica::{Replica, ReplicaConfig};
use shared_state::proto::{ClientMessage, Code, Envelope, Limits, ServerMessage, decode_update, server};
use shared_state::schema::Schema;
use shared_state_tests::Tube;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Old {
    #[shared(list(key = id, nested))]
    comments: Vec<OldComment>,
    #[shared(map(nested))]
    votes: BTreeMap<String, OldVote>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct OldComment {
    id: u32,
    text: String,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct OldVote {
    yes: bool,
    #[shared(read_only)]
    place: u8,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct New {
    #[shared(list(key = id, nested))]
    comments: Vec<Comment>,
    #[shared(map(nested))]
    votes: BTreeMap<String, Vote>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Comment {
    id: u32,
    text: String,
    #[serde(default = "grey")]
    colour: String,
}

fn grey() -> String {
    "grey".into()
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Vote {
    yes: bool,
    #[shared(read_only)]
    place: u8,
    #[serde(default)]
    #[shared(counter)]
    weight: i64,
}

struct Client<S: SharedState> {
    replica: Replica<S>,
    id: &'static str,
    tube: Tube,
    session: Option<SessionId>,
    errors: Vec<(Code, String)>,
}

impl<S: SharedState + Default> Client<S> {
    fn joined(id: &'static str, room: &mut Authority<Tube>) -> Self {
        let replica = Replica::new("room".into(), S::default(), ReplicaConfig::default());
        let mut this = Self { replica, id, tube: Tube::default(), session: None, errors: Vec::new() };
        this.replica.connected(64);
        this.settle(room);
        this
    }

    fn settle(&mut self, room: &mut Authority<Tube>) {
        for _ in 0..4 {
            while let Some(frame) = self.replica.poll_frame() {
                let envelope = Envelope::read(frame.as_str()).unwrap();
                match ClientMessage::read(&envelope).unwrap() {
                    ClientMessage::Join(request) => {
                        self.session.take().map(|session| room.leave(session));
                        match room.join(self.id.into(), Dialect::V1, &request, self.tube.clone()) {
                            Ok(session) => self.session = Some(session),
                            Err(violation) => {
                                let error = server::room_error("room", violation.code, &violation.message);
                                assert!(self.tube.push(&error));
                            }
                        }
                    }
                    ClientMessage::Change(change) => {
                        if let Submitted::Accepted(append) = room.submit(self.session.unwrap(), &change) {
                            room.committed(append.version);
                        }
                    }
                    ClientMessage::Leave => drop(self.session.take().map(|session| room.leave(session))),
                    other => panic!("{other:?}"),
                }
            }
            while let Some(frame) = self.tube.pop() {
                let Ok(ServerMessage::Room(_, message) | ServerMessage::Numbered(_, message)) =
                    ServerMessage::of(&frame)
                else {
                    panic!("{frame:?}");
                };
                if let Err(violation) = self.replica.receive(message) {
                    self.errors.push((violation.code, violation.message.clone()));
                }
            }
        }
    }

    /// Writes, and returns the answer.
    fn write(&mut self, update: S::Update, room: &mut Authority<Tube>) -> Result<u64, Rejected> {
        self.replica.write(Duration::ZERO, vec![update]).unwrap();
        self.settle(room);
        self.replica.poll_answer().unwrap().1
    }
}

fn room<S: SharedState>(initial: S) -> Authority<Tube> {
    Authority::new("room".into(), 7, Box::new(Typed::new(initial)), Arc::new(Limits::default()))
}

fn comment(id: u32, text: &str, colour: &str) -> Comment {
    Comment { id, text: text.into(), colour: colour.into() }
}

/// A room with one entry in each collection, an old client and a new one.
fn meeting() -> (Authority<Tube>, Client<Old>, Client<New>) {
    let mut room = room(New {
        comments: vec![comment(1, "first", "red")],
        votes: [("ann".into(), Vote { yes: true, place: 5, weight: 3 })].into(),
    });
    let old = Client::joined("old", &mut room);
    let new = Client::joined("new", &mut room);
    assert_eq!((&*old.errors, &*new.errors), (&[][..], &[][..]));
    (room, old, new)
}

#[test]
fn g11_an_older_client_reads_and_edits_entries_it_knows_a_part_of() {
    let (mut room, mut old, mut new) = meeting();
    assert_eq!(old.replica.state().comments, [OldComment { id: 1, text: "first".into() }]);
    old.write(
        Old::COMMENTS.op(ListOp::In("1".into(), NestedOp::In(Box::new(OldComment::TEXT.set("x".into()))))),
        &mut room,
    )
    .unwrap();
    new.settle(&mut room);
    assert_eq!(new.replica.state().comments, [comment(1, "x", "red")]);
    // The old client ignores the fields it does not know, and is up to date nevertheless.
    let blue = ListOp::In("1".into(), NestedOp::In(Box::new(Comment::COLOUR.set("blue".into()))));
    new.write(New::COMMENTS.op(blue), &mut room).unwrap();
    new.write(New::VOTES.op(MapOp::Put("bob".into(), Vote { yes: false, place: 0, weight: 9 })), &mut room)
        .unwrap();
    old.settle(&mut room);
    assert_eq!(old.replica.version(), new.replica.version());
    assert_eq!(old.replica.state().votes["bob"], OldVote { yes: false, place: 0 });
    assert_eq!(old.errors, []);
}

#[test]
fn g11_what_an_older_client_inserts_has_the_defaults_of_what_it_does_not_know() {
    let (mut room, mut old, mut new) = meeting();
    let insert = ListOp::Insert(Place::End, OldComment { id: 2, text: "second".into() });
    old.write(Old::COMMENTS.op(insert), &mut room).unwrap();
    old.write(Old::VOTES.op(MapOp::Put("cat".into(), OldVote { yes: true, place: 0 })), &mut room).unwrap();
    new.settle(&mut room);
    assert_eq!(new.replica.state().comments[1].colour, "grey");
    assert_eq!(new.replica.state().votes["cat"], Vote { yes: true, place: 0, weight: 0 });
    let late: Client<New> = Client::joined("late", &mut room);
    assert_eq!(late.replica.state(), new.replica.state());
}

#[test]
fn g11_an_entry_that_an_older_client_writes_as_a_whole_keeps_what_it_does_not_know() {
    let (mut room, mut old, mut new) = meeting();
    old.write(Old::VOTES.op(MapOp::Put("ann".into(), OldVote { yes: false, place: 5 })), &mut room).unwrap();
    let whole = NestedOp::Set(OldComment { id: 1, text: "whole".into() });
    old.write(Old::COMMENTS.op(ListOp::In("1".into(), whole)), &mut room).unwrap();
    // A set of a whole list or map is sent as differences.
    old.write(Old::VOTES.set([("ann".into(), OldVote { yes: true, place: 5 })].into()), &mut room).unwrap();
    let list = vec![OldComment { id: 1, text: "list".into() }];
    old.write(Old::COMMENTS.set(list), &mut room).unwrap();
    new.settle(&mut room);
    assert_eq!(new.replica.state().votes["ann"], Vote { yes: true, place: 5, weight: 3 });
    assert_eq!(new.replica.state().comments, [comment(1, "list", "red")]);
    // A client cannot put a read-only field.
    let put = old.write(Old::VOTES.op(MapOp::Put("ann".into(), OldVote { yes: true, place: 1 })), &mut room);
    assert_eq!(put.unwrap_err().code(), Code::ReadOnly);
    assert_eq!(old.replica.state().votes["ann"].place, 5);
    let late: Client<Old> = Client::joined("late", &mut room);
    assert_eq!(late.replica.state(), old.replica.state());
}

#[test]
fn g11_who_knows_more_of_the_entries_than_the_room_is_refused() {
    let mut room = room(Old::default());
    let new: Client<New> = Client::joined("new", &mut room);
    let [(code, message)] = &new.errors[..] else { panic!("{:?}", new.errors) };
    assert_eq!(*code, Code::IncompatibleSchema);
    assert!(
        message.ends_with("`comments/colour`: expected string (lww), found entries without it"),
        "{message}"
    );
}

#[test]
fn g11_a_field_of_entries_is_another_by_its_policy() {
    #[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
    struct Rival {
        #[shared(map(nested))]
        votes: BTreeMap<String, RivalVote>,
    }
    #[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
    struct RivalVote {
        yes: bool,
        weight: i64,
    }
    let (rival, new) = (&Schema::of::<Rival>().schema, &Schema::of::<New>().schema);
    let error = rival.check(new).unwrap_err().to_string();
    assert_eq!(error, "`votes/weight`: expected i64 (lww), found i64 (counter)");
    assert!(Schema::of::<Old>().schema.check(new).is_ok());
    assert!(new.check(&Schema::of::<Old>().schema).is_err());
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Before {
    #[shared(list(key = id, nested))]
    inbox: Vec<OldComment>,
    #[shared(list(key = id, nested))]
    archive: Vec<OldComment>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct After {
    #[shared(list(key = id, nested))]
    inbox: Vec<OldComment>,
    #[shared(list(key = id, nested))]
    #[serde(alias = "archive")]
    shelf: Vec<OldComment>,
}

fn read<S: SharedState>(update: &str) -> S::Update {
    decode_update::<S>(&serde_json::from_str(update).unwrap()).unwrap()
}

/// One client moves an item to the list that it calls `to`, the other edits it. Returns whether both see the edit in that
/// list, and whether the mover can undo the move.
fn moved_and_edited<R, M, E>(initial: R, to: &str, by_editor: &str, edit_first: bool) -> [bool; 3]
where
    R: SharedState,
    M: SharedState + Default + Serialize,
    E: SharedState + Default + Serialize,
{
    let mut room = room(initial);
    let (mut mover, mut editor) =
        (Client::<M>::joined("mover", &mut room), Client::<E>::joined("editor", &mut room));
    let transfer = format!(r#"{{"key":"inbox/2","op":"transfer","value":{{"to":"{to}"}}}}"#);
    mover.replica.write(Duration::ZERO, vec![read::<M>(&transfer)]).unwrap();
    let edit = read::<E>(r#"{"key":"inbox/2/text","value":"edited"}"#);
    editor.replica.write(Duration::ZERO, vec![edit]).unwrap();
    if edit_first {
        editor.settle(&mut room);
    }
    mover.settle(&mut room);
    editor.settle(&mut room);
    mover.settle(&mut room);
    let sees = |state: serde_json::Value, list: &str| state[list][0]["text"] == "edited";
    let seen = [
        sees(serde_json::to_value(mover.replica.state()).unwrap(), to),
        sees(serde_json::to_value(editor.replica.state()).unwrap(), by_editor),
    ];
    let undone = mover.replica.undo(Duration::ZERO).unwrap().is_some();
    [seen[0], seen[1], undone]
}

#[test]
fn g7_a_move_to_a_list_that_has_another_name_in_the_room_keeps_the_edits_of_others() {
    let item = |id| OldComment { id, text: String::new() };
    let before = || Before { inbox: vec![item(1), item(2)], ..Before::default() };
    let after = || After { inbox: vec![item(1), item(2)], ..After::default() };
    for edit_first in [true, false] {
        let all = [true; 3];
        let (old, new) = ("archive", "shelf");
        assert_eq!(moved_and_edited::<_, Before, After>(after(), old, new, edit_first), all, "{edit_first}");
        assert_eq!(moved_and_edited::<_, After, Before>(after(), new, old, edit_first), all, "{edit_first}");
        assert_eq!(moved_and_edited::<_, Before, After>(before(), old, new, edit_first), all, "{edit_first}");
        assert_eq!(moved_and_edited::<_, After, Before>(before(), new, old, edit_first), all, "{edit_first}");
    }
    // The server takes the former name as well, and knows by it where the item is.
    let mut room = room(after());
    let transfer =
        |from: &str, to: &str| format!(r#"[{{"key":"{from}","op":"transfer","value":{{"to":"{to}"}}}}]"#);
    for (from, to) in [("inbox/2", "archive"), ("shelf/2", "inbox"), ("inbox/2", "shelf")] {
        let append = room.submit_server(&transfer(from, to)).unwrap();
        room.committed(append.version);
    }
    let append = room.submit_server(r#"[{"key":"archive/2/text","value":"edited"}]"#).unwrap();
    room.committed(append.version);
    let state = room.state().as_any().downcast_ref::<Typed<After>>().unwrap().get().clone();
    assert_eq!(state.shelf, [OldComment { id: 2, text: "edited".into() }]);
}
