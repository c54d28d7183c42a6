//! Texts: concurrent edits, refused edits, and the form for clients that know only strings.

#![allow(missing_docs)]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared_state::Backend as _;
use shared_state::merge::{Edit, MergePolicy, Side, Splice, TextOf, TextOp};
use shared_state::proto::authority::{Authority, Dialect, Outbox, Submitted, Typed};
use shared_state::proto::{ClientMessage, Code, Envelope, Frame, JoinRequest, Limits};
use shared_state::{SharedState, Text};
use shared_state_tests::{World, seeds};
use yrs::updates::decoder::Decode as _;
use yrs::{
    ClientID, Doc, GetString as _, OffsetKind, Options, ReadTxn as _, StateVector, Text as _, Transact,
};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Page {
    title: String,
    #[shared(text, validate(length(max = 40)))]
    body: Text,
}

fn page(body: &str) -> Page {
    Page { title: String::new(), body: body.into() }
}

/// A plain Yjs editor.
struct Editor {
    doc: Doc,
}

impl Editor {
    fn new(writer: u64) -> Self {
        let mut options = Options::with_client_id(ClientID::new(writer));
        options.offset_kind = OffsetKind::Utf16;
        let doc = Doc::with_options(options);
        doc.get_or_insert_text("text");
        Self { doc }
    }

    fn text(&self) -> String {
        let txn = Transact::transact(&self.doc);
        txn.get_text("text").map(|text| text.get_string(&txn)).unwrap_or_default()
    }

    fn apply(&self, bytes: &[u8]) {
        let update = yrs::Update::decode_v1(bytes).expect("a Yjs update");
        let mut txn = Transact::transact_mut(&self.doc);
        txn.apply_update(update).expect("applies");
        assert!(!txn.has_missing_updates());
    }

    fn edit(&self, at: u32, delete: u32, insert: &str) -> Edit {
        let text = self.doc.get_or_insert_text("text");
        let mut txn = Transact::transact_mut(&self.doc);
        text.remove_range(&mut txn, at, delete);
        text.insert(&mut txn, at, insert);
        Edit::read(txn.encode_update_v1()).expect("plain text")
    }

    /// A random edit that does not split a character.
    fn type_something(&self, rng: &mut fastrand::Rng) -> Edit {
        const PIECES: &[&str] = &["a", "b", " ", "ü", "語", "😀", "word", "x"];
        let text = self.text();
        let chars: Vec<char> = text.chars().collect();
        let at = rng.usize(..=chars.len());
        let end = (at + if rng.bool() { rng.usize(..4) } else { 0 }).min(chars.len());
        let units = |chars: &[char]| chars.iter().map(|c| c.len_utf16() as u32).sum();
        let insert = PIECES[rng.usize(..PIECES.len())];
        self.edit(units(&chars[..at]), units(&chars[at..end]), insert)
    }
}

fn apply(text: &mut Text, edit: &Edit) -> TextOp {
    TextOf::apply(text, TextOp::Edit(edit.clone()))
}

/// The text in its stored form.
fn stored(text: &Text) -> String {
    let state = Page { title: String::new(), body: text.clone() };
    let mut out = String::new();
    use shared_state::proto::authority::RoomState as _;
    Typed::new(state).write_data(&mut out);
    out
}

#[test]
fn texts_are_what_yrs_makes_of_the_same_edits_in_any_order() {
    for seed in seeds::range(300) {
        let _replay = seeds::Replay::of(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let editors: Vec<Editor> = (0..3).map(|at| Editor::new(16 + rng.u64(..50) * 3 + at)).collect();
        let mut queues: Vec<Vec<Edit>> = vec![Vec::new(); 3];
        let mut text = Text::new();
        let mut log = Vec::new();
        for _ in 0..40 {
            let at = rng.usize(..3);
            if rng.bool() {
                let edit = editors[at].type_something(&mut rng);
                assert_ne!(apply(&mut text, &edit), TextOp::Nothing, "seed {seed}");
                let others = queues.iter_mut().enumerate().filter(|(other, _)| *other != at);
                others.for_each(|(_, queue)| queue.push(edit.clone()));
                log.push(edit);
            } else if !queues[at].is_empty() {
                let edit = queues[at].remove(0);
                editors[at].apply(edit.bytes());
            }
        }
        for (editor, queue) in editors.iter().zip(queues) {
            queue.iter().for_each(|edit| editor.apply(edit.bytes()));
            assert_eq!(editor.text(), text.as_str(), "seed {seed}");
        }
        // Apply the same edits coalesced where possible, with deleted characters forgotten.
        let mut merged = vec![TextOp::Edit(log[0].clone())];
        for edit in &log[1..] {
            let edit = TextOp::Edit(edit.clone());
            if !TextOf::coalesce(merged.last_mut().expect("one"), &edit) {
                merged.push(edit);
            }
        }
        let mut again = Text::new();
        for op in merged {
            assert_ne!(TextOf::apply(&mut again, op), TextOp::Nothing, "seed {seed}");
        }
        assert_eq!(again, text, "seed {seed}");
        assert_eq!(stored(&again), stored(&text), "seed {seed}");
        // The stored form is a Yjs document.
        let whole: serde_json::Value = serde_json::from_str(&stored(&text)).expect("JSON");
        let bytes = from_base64(whole["body"]["yjs"].as_str().expect("with its history"));
        let reader = Editor::new(9);
        reader.apply(&bytes);
        assert_eq!(reader.text(), text.as_str());
    }
}

pub(super) fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut held, mut out) = (0_u32, 0, Vec::new());
    for digit in text.bytes() {
        bits = bits << 6 | DIGITS.iter().position(|known| *known == digit).expect("base64") as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    out
}

#[test]
fn an_edit_is_taken_back_exactly() {
    for seed in seeds::range(300) {
        let _replay = seeds::Replay::of(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let (ours, theirs) = (Editor::new(20), Editor::new(30));
        let mut text = Text::new();
        let mut states = vec![(stored(&text), text.to_string())];
        let mut inverses = Vec::new();
        for _ in 0..25 {
            let editor = if rng.bool() { &ours } else { &theirs };
            let other = if std::ptr::eq(editor, &ours) { &theirs } else { &ours };
            let edit = editor.type_something(&mut rng);
            other.apply(edit.bytes());
            inverses.push(apply(&mut text, &edit));
            states.push((stored(&text), text.to_string()));
        }
        states.pop();
        while let (Some(inverse), Some((whole, plain))) = (inverses.pop(), states.pop()) {
            let mut redone = text.clone();
            let edit = TextOf::apply(&mut redone, inverse.clone());
            TextOf::apply(&mut redone, edit);
            assert_eq!(stored(&redone), stored(&text), "seed {seed}: redone");
            TextOf::apply(&mut text, inverse);
            assert_eq!(text.as_str(), plain, "seed {seed}");
            assert_eq!(stored(&text), whole, "seed {seed}");
        }
        assert_eq!(stored(&text), stored(&Text::new()));
    }
}

#[test]
fn g7_what_two_people_type_offline_in_one_word_merges_character_by_character() {
    let mut world = World::new(page("colour"));
    let (a, b, c) = (world.join(), world.join(), world.join());
    a.leave();
    b.leave();
    a.handle().body().delete(4, 1).expect("written");
    b.handle().body().insert(6, "ful").expect("written");
    b.handle().body().insert(0, "un").expect("written");
    a.handle().body().insert(5, "s").expect("written");
    assert_eq!((a.state().body.as_str(), b.state().body.as_str()), ("colors", "uncolourful"));
    a.come_back();
    world.settle();
    b.come_back();
    world.settle();
    for user in [&a, &b, &c] {
        let text = user.state().body;
        assert!(["uncolorsful", "uncolorfuls"].contains(&text.as_str()), "{text:?}");
        assert_eq!(text, world.state().body);
    }
}

#[test]
fn g7_runs_that_are_typed_at_one_place_do_not_mix() {
    let mut world = World::new(page("<>"));
    let (a, b) = (world.join(), world.join());
    a.leave();
    b.leave();
    for (at, (one, other)) in ["o", "n", "e"].into_iter().zip(["t", "w", "o"]).enumerate() {
        a.handle().body().insert(1 + at, one).expect("written");
        b.handle().body().insert(1 + at, other).expect("written");
    }
    a.come_back();
    b.come_back();
    world.settle();
    let text = world.state().body;
    assert!(["<onetwo>", "<twoone>"].contains(&text.as_str()), "{text:?}");
}

#[test]
fn g8_a_refused_edit_leaves_no_trace_and_takes_nothing_of_others_or_of_its_writer_with_it() {
    let mut world = World::new(page("0123456789"));
    // The server hears the users in the order in which they joined.
    let (b, a) = (world.join(), world.join());
    // Within the length limit here, but beyond it together with what the other user types.
    a.handle().body().insert(0, "refused, as it is too long.").expect("valid here");
    b.handle().body().insert(10, "and more").expect("written");
    a.handle().set_title("kept").expect("written");
    a.handle().body().insert(27 + 5, "!").expect("valid here");
    a.handle().body().insert(3, "?").expect("inside the refused");
    a.handle().body().delete(28 + 1, 1).expect("valid here");
    world.settle();
    let codes: Vec<_> =
        a.answers().into_iter().map(|(_, answer)| answer.map_err(|rejected| rejected.code())).collect();
    assert_eq!(codes, [Err(Code::Invalid), Ok(2), Ok(3), Err(Code::Invalid), Ok(4)]);
    for text in [a.state().body, b.state().body, world.state().body] {
        assert_eq!(text, "01234!56789and more"[..].replacen('1', "", 1).as_str());
    }
    // Its writer can go on, and the stored text opens again.
    a.handle().body().insert(0, "go on: ").expect("written");
    world.settle();
    world.restart();
    a.come_back();
    b.come_back();
    world.settle();
    assert_eq!(b.state().body, "go on: 0234!56789and more");
}

#[test]
fn an_edit_that_is_refused_here_is_forgotten_at_once() {
    let mut world = World::new(page("short"));
    let a = world.join();
    let error = a.handle().body().insert(2, &"long".repeat(10)).expect_err("too long");
    assert!(error.to_string().contains("length is 45"), "{error}");
    a.handle().body().insert(5, "er").expect("written");
    world.settle();
    assert_eq!(world.state().body, "shorter");
}

#[test]
fn positions_are_in_characters_bytes_or_utf16_units_by_name() {
    let mut world = World::new(page("aü😀b"));
    let a = world.join();
    let body = a.handle().body();
    assert_eq!((body.len(), body.len_bytes(), body.len_utf16()), (4, 8, 5));
    let check = |written: Result<_, shared_state::WriteError>, expected| {
        written.expect("written");
        assert_eq!(body.to_string(), expected);
    };
    check(body.insert(3, "1"), "aü😀1b");
    check(body.insert_utf16(4, "2"), "aü😀21b");
    check(body.insert_bytes(7, "3"), "aü😀321b");
    check(body.insert_utf16(3, "4"), "aü4😀321b");
    check(body.insert_bytes(2, "5"), "a5ü4😀321b");
    check(body.delete(1, 1), "aü4😀321b");
    check(body.delete_utf16(2, 3), "aü321b");
    check(body.delete_bytes(1, 3), "a21b");
    check(body.replace(1, 2, "ü"), "aüb");
    check(body.insert(99, "."), "aüb.");
    check(body.push("!"), "aüb.!");
    check(body.delete(3, 99), "aüb");
    world.settle();
    assert_eq!(world.state().body, "aüb");
}

#[test]
fn a_text_area_that_knows_only_its_whole_content_changes_what_is_different() {
    let mut world = World::new(page("one two three"));
    let (a, b) = (world.join(), world.join());
    a.leave();
    a.handle().body().apply_diff("one 2 three!").expect("written");
    b.handle().body().insert(0, "zero ").expect("written");
    b.handle().set_body("zero one two 2.5 three".into()).expect("written");
    a.come_back();
    world.settle();
    let text = world.state().body;
    assert!(text.starts_with("zero one 2") && text.ends_with(" 2.5 three!"), "{text:?}");
}

#[test]
fn anchors_stay_where_they_are_meant() {
    let mut world = World::new(page("Hello world"));
    let (a, b) = (world.join(), world.join());
    let left = a.handle().body().anchor(5, Side::Left);
    let right = a.handle().body().anchor(5, Side::Right);
    let (start, end) = (a.handle().body().anchor(0, Side::Left), a.handle().body().anchor(11, Side::Right));
    let there = serde_json::to_string(&right).expect("text");
    b.handle().body().insert(5, ", dear").expect("written");
    b.handle().body().insert(0, "> ").expect("written");
    b.handle().body().push("!").expect("written");
    world.settle();
    let right: shared_state::merge::Anchor = serde_json::from_str(&there).expect("an anchor");
    let at = |anchor| a.handle().body().position(anchor);
    assert_eq!((at(&left), at(&right)), (Some(7), Some(13)));
    assert_eq!((at(&start), at(&end)), (Some(0), Some(20)));
    b.handle().body().delete(6, 3).expect("written");
    world.settle();
    assert_eq!(a.state().body, "> Helldear world!");
    assert_eq!(at(&left), Some(6), "where its character was");
    for hostile in ["\"\"", "\"X\"", "\"L1\"", "\"L99999999999999999999:1\"", "\"R1:99999999999\"", "3"] {
        assert!(serde_json::from_str::<shared_state::merge::Anchor>(hostile).is_err(), "{hostile}");
    }
    let unknown: shared_state::merge::Anchor = serde_json::from_str("\"L77:3\"").expect("an anchor");
    assert_eq!(at(&unknown), None);
}

#[test]
fn undo_takes_back_what_one_typed_and_leaves_what_others_did() {
    let mut world = World::new(page("The quick fox"));
    let (a, b) = (world.join(), world.join());
    a.handle().body().replace(4, 5, "slow 😀").expect("written");
    world.settle();
    b.handle().body().insert(4, "very ").expect("written");
    b.handle().body().push("!").expect("written");
    world.settle();
    assert_eq!(world.state().body, "The very slow 😀 fox!");
    assert!(a.undo());
    world.settle();
    let text = world.state().body;
    assert!(["The very quick fox!", "The quickvery  fox!"].contains(&text.as_str()), "{text:?}");
    assert!(a.redo());
    world.settle();
    assert_eq!(world.state().body, "The very slow 😀 fox!");
    a.leave();
    assert!(a.undo() && !a.undo());
    a.come_back();
    world.settle();
    assert!(world.state().body.contains("quick"));
}

#[test]
fn g9_who_was_away_is_sent_the_edits_and_past_the_bound_the_whole_text() {
    #[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
    struct Long {
        #[shared(text)]
        body: Text,
    }
    let mut world = World::new(Long { body: "lorem ipsum ".repeat(1_000).into() });
    let (a, b) = (world.join(), world.join());
    let back = |world: &mut World<Long>| {
        let _ = b.traffic();
        b.come_back();
        world.settle();
        b.traffic().0
    };
    for (at, c) in "a word".chars().enumerate() {
        a.handle().body().insert(100 + at, &c.to_string()).expect("written");
    }
    world.settle();
    b.leave();
    a.handle().body().insert(50, "x").expect("written");
    world.settle();
    let one = back(&mut world);
    b.leave();
    for at in 0..1_000 {
        a.handle().body().insert(500 + at, "y").expect("written");
        if at % 50 == 0 {
            world.settle();
        }
    }
    world.settle();
    let thousand = back(&mut world);
    assert!(one < 300 && thousand < 2_000, "{one} and {thousand} bytes");
    b.leave();
    world.restart();
    a.come_back();
    a.handle().body().insert(0, "z").expect("written");
    world.settle();
    let after_restart = back(&mut world);
    assert!(after_restart < 300, "{after_restart} bytes");
    b.leave();
    for at in 0..4_200 {
        a.handle().body().insert(0, "z").expect("written");
        if at % 60 == 0 {
            world.settle();
        }
    }
    world.settle();
    let whole = back(&mut world);
    assert!(whole > 16_000, "{whole} bytes");
}

#[test]
fn g10_bytes_that_are_no_edit_of_the_text_are_refused_and_harm_nothing() {
    let mut rng = fastrand::Rng::with_seed(11);
    let (editor, other) = (Editor::new(40), Editor::new(41));
    let mut text = Text::new();
    let first = editor.edit(0, 0, "some text 😀 to begin with");
    apply(&mut text, &first);
    other.apply(first.bytes());
    let valid: Vec<Edit> = (0..40).map(|_| other.type_something(&mut rng)).collect();
    for round in 0..30_000 {
        let mut bytes = match round % 3 {
            0 => (0..rng.usize(..30)).map(|_| rng.u8(..)).collect::<Vec<_>>(),
            1 => (0..rng.usize(..40)).map(|_| rng.u8(..) % 24).collect(),
            _ => valid[rng.usize(..valid.len())].bytes().to_vec(),
        };
        for _ in 0..rng.usize(..4) {
            if !bytes.is_empty() {
                let at = rng.usize(..bytes.len());
                bytes[at] = rng.u8(..);
            }
        }
        let Ok(edit) = Edit::read(bytes) else { continue };
        let mut changed = text.clone();
        let before = stored(&changed);
        let admitted = TextOf::check_op(&changed, &TextOp::Edit(edit.clone())).is_ok();
        let inverse = apply(&mut changed, &edit);
        assert_eq!(admitted, inverse != TextOp::Nothing);
        // Whatever the edit did, the text can be stored, read and undone.
        let whole = stored(&changed);
        let read: Page = serde_json::from_str(&whole).expect("what is stored can be read");
        assert_eq!(stored(&read.body), whole);
        TextOf::apply(&mut changed, inverse);
        assert_eq!(stored(&changed), before);
    }
    for (edit, message) in [
        (valid[20].clone(), "which the text does not have"),
        (Edit::read(vec![0, 1, 40, 1, 90, 3]).expect("a deletion"), "deletes unit 92 of client 40"),
    ] {
        let error = TextOf::check_op(&text, &TextOp::Edit(edit)).expect_err("it is about what is not there");
        assert!(error.to_string().contains(message), "{error}");
    }
    for (bytes, message) in [
        (
            vec![1, 1, 50, 0, 4, 1, 5, b'o', b't', b'h', b'e', b'r', 1, b'x', 0],
            "expected the root type `text`",
        ),
        (
            vec![1, 1, 50, 0, 6, 1, 4, b't', b'e', b'x', b't', 1, b'b', 1, b'1', 0],
            "formats, embedded objects",
        ),
        (vec![1, 1, 50, 0, 138, 50, 0, 3, 0], "leaves out"),
        (vec![0, 0, 0], "1 bytes more"),
        (vec![1, 2], "ends too early"),
    ] {
        let error = Edit::read(bytes).expect_err("no plain text");
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn nobody_writes_under_the_id_of_another() {
    let mut world = World::new(page(""));
    let (a, b) = (world.join(), world.join());
    a.handle().body().insert(0, "mine").expect("written");
    world.settle();
    // A client that knows another one's client id and clock writes under that id.
    let forger = Editor::new(1000);
    let whole: serde_json::Value = serde_json::from_str(&stored(&world.state().body)).expect("JSON");
    forger.apply(&from_base64(whole["body"]["yjs"].as_str().expect("with its history")));
    for writer in [1000, 1] {
        let editor = Editor::new(writer);
        editor.apply(&from_base64(whole["body"]["yjs"].as_str().expect("with its history")));
        b.handle().write(PageUpdate::Body(TextOp::Edit(editor.edit(4, 0, "forged")))).expect("fits here");
        world.settle();
        let (_, answer) = b.answers().pop().expect("answered");
        let rejected = answer.expect_err("refused");
        assert!(rejected.to_string().contains("draw another at random"), "{rejected}");
        assert_eq!((world.state().body.as_str(), b.state().body.as_str()), ("mine", "mine"));
        // The same holds after the room was closed and opened again.
        world.restart();
        a.come_back();
        b.come_back();
        world.settle();
    }
    a.handle().body().insert(4, "!").expect("written");
    world.settle();
    assert_eq!(world.state().body, "mine!");
}

#[test]
fn the_server_and_whoever_has_no_id_write_by_position() {
    let mut world = World::new(page("one two"));
    let a = world.join();
    world.write(r#"[{"key":"body","op":"splice","value":[{"at":4,"insert":"and "}]}]"#);
    world.write(r#"[{"key":"body","value":"one and three"}]"#);
    world.settle();
    a.handle().body().insert(0, "> ").expect("written");
    world.settle();
    assert_eq!(a.state().body, "> one and three");
    let op = TextOp::Splice(vec![Splice { at: 99, delete: 3, insert: "!".into() }]);
    a.handle().write(PageUpdate::Body(op)).expect("written");
    world.settle();
    assert_eq!(world.state().body, "> one and three!");
}

#[derive(Clone, Default)]
struct Sent(Rc<RefCell<Vec<String>>>);

impl Outbox for Sent {
    fn push(&mut self, frame: &Frame) -> bool {
        self.0.borrow_mut().push(frame.as_str().to_owned());
        true
    }
}

#[test]
fn whoever_speaks_the_hooks_dialect_sees_strings_and_a_string_it_sets_is_an_edit() {
    let state = Box::new(Typed::new(page("one two")));
    let mut room: Authority<Sent> = Authority::new("room".into(), 1, state, Arc::new(Limits::default()));
    let (typist, hook) = (Sent::default(), Sent::default());
    let typing = room
        .join("typist----------".into(), Dialect::V1, &JoinRequest::default(), typist.clone())
        .expect("joins");
    let setting = room
        .join("hook------------".into(), Dialect::Legacy, &JoinRequest::default(), hook.clone())
        .expect("joins");
    let editor = Editor::new(70);
    editor.apply(&from_base64("AQEAAAQBBHRleHQHb25lIHR3bwA"));
    let edit = |seq: u64, edit: &Edit| {
        let update =
            shared_state::proto::encode_update::<Page>(&PageUpdate::Body(TextOp::Edit(edit.clone())));
        let updates = format!("[{}]", update.expect("JSON").as_str());
        format!(
            r#"{{"type":"state:change","room":"room","payload":{{"seq":{seq},"base":0,"updates":{updates}}}}}"#
        )
    };
    let first = edit(1, &editor.edit(7, 0, " three"));
    let second = edit(2, &editor.edit(0, 3, "1"));
    let submit = |room: &mut Authority<Sent>, frame: &str| {
        let envelope = Envelope::read(frame).expect("an envelope");
        let Ok(ClientMessage::Change(change)) = ClientMessage::read(&envelope) else { panic!("{frame}") };
        match room.submit(typing, &change) {
            Submitted::Accepted(append) => room.committed(append.version),
            Submitted::Answered => panic!("refused"),
        }
    };
    submit(&mut room, &first);
    // The legacy client has not seen the second edit; its set means the difference from the room's text.
    let Submitted::Accepted(append) =
        room.submit_legacy(setting, r#"[{"key":"body","value":"one 2 three"}]"#, Some(2))
    else {
        panic!("refused")
    };
    room.committed(append.version);
    submit(&mut room, &second);
    room.legacy_sync(setting);
    let told = hook.0.borrow();
    assert!(told[0].contains(r#""value":"one two three""#), "{}", told[0]);
    assert!(told[1].contains(r#""value":"1 2 three""#), "{}", told[1]);
    assert!(told[2].contains(r#""body":"1 2 three""#), "{}", told[2]);
    let change = typist.0.borrow().iter().find(|frame| frame.contains("state:change")).cloned();
    assert!(change.is_some_and(|frame| frame.contains(r#""op":"edit""#)), "the others are sent an edit");
}

#[test]
fn serde_sees_a_string() {
    let text = Text::from("a \"text\" 😀");
    assert_eq!(serde_json::to_string(&text).expect("JSON"), r#""a \"text\" 😀""#);
    let editor = Editor::new(60);
    let mut edited = Text::new();
    apply(&mut edited, &editor.edit(0, 0, "typed"));
    assert_eq!(serde_json::to_string(&page("x")).expect("JSON"), r#"{"title":"","body":"x"}"#);
    assert_eq!(serde_json::to_string(&edited).expect("JSON"), "\"typed\"");
    assert!(stored(&edited).contains(r#""body":{"yjs":""#));
    let mut patched = Text::from("abc");
    let ops: Vec<Splice> =
        patched.follow(TextOp::Splice(vec![Splice { at: 1, delete: 1, insert: "😀".into() }]));
    assert_eq!(ops, [Splice { at: 1, delete: 1, insert: "😀".into() }]);
    let vector = Transact::transact(&editor.doc).encode_state_as_update_v1(&StateVector::default());
    assert!(Edit::read(vector).is_ok());
}

#[test]
fn g1_who_has_forgotten_a_deleted_character_takes_the_same_edits() {
    // An edit between the two halves of the first character.
    let inside = Edit::read(vec![1, 1, 99, 0, 0xC4, 0, 0, 0, 1, 1, b'a', 0]).expect("an edit");
    let mut world = World::new(page("😀x"));
    let (ann, bob, cid) = (world.join(), world.join(), world.join());
    world.settle();
    cid.leave();
    let cut = || bob.handle().write(PageUpdate::Body(TextOp::Edit(inside.clone())));
    assert!(cut().is_err(), "it cuts the character in two");
    ann.handle().body().delete(0, 1).unwrap();
    world.settle();
    // From now on the server has the text without the deleted character; the others still have it.
    world.restart();
    ann.come_back();
    bob.come_back();
    world.settle();
    cut().unwrap();
    world.settle();
    assert_eq!((world.state().body.as_str(), bob.state().body.as_str()), ("ax", "ax"));
    // The client that was away gets the deletion and the text typed inside at the same time.
    cid.come_back();
    world.settle();
    assert_eq!(cid.state().body.as_str(), "ax");
}
