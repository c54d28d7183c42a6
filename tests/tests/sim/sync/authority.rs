//! The authority alone: what a room keeps over a restart, and what its sessions are sent.

#![allow(missing_docs)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::proto::authority::{
    Authority, Dialect, LogEntry, Outbox, Permissions, SessionId, Submitted, Typed,
};
use shared_state::proto::{ChangeRequest, Frame, JoinRequest, Limits, Resume};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Page {
    title: String,
    theme: String,
    #[shared(counter)]
    views: i64,
}

struct Nobody;

impl Outbox for Nobody {
    fn push(&mut self, _frame: &Frame) -> bool {
        true
    }
}

type Room = Authority<Nobody>;

fn new(initial: Page) -> Room {
    Authority::new("room".into(), 7, Box::new(Typed::new(initial)), Arc::new(Limits::default()))
}

fn load(initial: Page, snapshot: Option<(u64, &[u8])>, tail: &[LogEntry]) -> Room {
    let state = Box::new(Typed::new(initial));
    let tail = tail.iter().map(|append| (append.version, &append.entry[..]));
    Authority::load("room".into(), 7, state, Arc::new(Limits::default()), snapshot, tail)
        .expect("a sound room")
}

fn page(room: &Room) -> Page {
    room.state().as_any().downcast_ref::<Typed<Page>>().expect("a page").get().clone()
}

fn delta(room: &Room, since: u64) -> String {
    let mut delta = String::new();
    room.state().write_delta(since, &mut delta);
    delta
}

fn history(initial: Page) -> (Room, Vec<LogEntry>) {
    let mut room = new(initial);
    let changes = [
        r#"[{"key":"title","value":"a"}]"#,
        r#"[{"key":"views","op":"add","value":2}]"#,
        r#"[{"key":"title","value":"b"},{"key":"views","op":"add","value":3}]"#,
    ];
    let appends = changes.iter().map(|change| room.submit_server(change).expect("a sound change")).collect();
    room.committed(3);
    (room, appends)
}

#[test]
fn g1_a_room_keeps_the_state_it_began_with_when_the_program_begins_otherwise() {
    let light = Page { theme: "light".into(), views: 10, ..Page::default() };
    let dark = Page { theme: "dark".into(), views: 0, ..Page::default() };
    let (room, log) = history(light);
    let loaded = load(dark, None, &log);
    assert_eq!(page(&loaded), page(&room));
    assert_eq!(page(&loaded), Page { title: "b".into(), theme: "light".into(), views: 15 });
}

#[test]
fn g2_a_room_is_the_same_from_its_log_and_from_a_snapshot_with_the_rest_of_the_log() {
    let (mut room, log) = history(Page::default());
    let from_log = load(Page::default(), None, &log);
    let mut two = load(Page::default(), None, &log[..2]);
    let (version, snapshot) = two.snapshot();
    assert_eq!(version, 2);
    let from_both = load(Page::default(), Some((version, &snapshot)), &log[2..]);
    let (version, snapshot) = room.snapshot();
    let from_snapshot = load(Page::default(), Some((version, &snapshot)), &[]);
    for loaded in [&from_log, &from_both, &from_snapshot] {
        assert_eq!((page(loaded), loaded.head(), loaded.durable()), (page(&room), 3, 3));
        for since in 0..=3 {
            assert_eq!(delta(loaded, since), delta(&room, since), "since {since}");
        }
    }
    assert_eq!(delta(&room, 2), r#"[{"key":"title","value":"b"},{"key":"views","value":5}]"#);
    assert_eq!(delta(&room, 3), "[]");
}

#[test]
fn a_log_with_a_hole_or_a_wrong_entry_is_refused_with_room_and_version() {
    let (_, log) = history(Page::default());
    let open = |tail: &[(u64, &[u8])]| {
        let state = Box::new(Typed::new(Page::default()));
        let limits = Arc::new(Limits::default());
        Room::load("room".into(), 7, state, limits, None, tail.iter().copied()).err().map(|e| e.to_string())
    };
    let error = open(&[(1, &log[0].entry[..]), (3, &log[2].entry[..])]).expect("a hole");
    assert!(
        error.contains("`room`") && error.contains("version 3") && error.contains("version 2 next"),
        "{error}"
    );
    for wrong in [&b"rubbish"[..], br#"{"u":5}"#, br#"{"u":[{"key":"views","value":"x"}]}"#] {
        let error = open(&[(1, &log[0].entry[..]), (2, wrong)]).expect("a wrong entry");
        assert!(error.contains("`room`") && error.contains("version 2"), "{error}");
    }
}

/// The frames sent to a session, until its queue is full.
#[derive(Clone, Default)]
struct Sent {
    frames: Rc<RefCell<Vec<Frame>>>,
    full: Rc<RefCell<bool>>,
}

impl Outbox for Sent {
    fn push(&mut self, frame: &Frame) -> bool {
        if !*self.full.borrow() {
            self.frames.borrow_mut().push(frame.clone());
        }
        !*self.full.borrow()
    }
}

impl Sent {
    /// The frames since the last call: the bytes of compact ones, the texts of the others.
    fn take(&self) -> Vec<String> {
        let shown = |frame: Frame| match frame.is_binary() {
            true => format!("{:?}", frame.as_bytes()),
            false => frame.as_str().to_owned(),
        };
        self.frames.take().into_iter().map(shown).collect()
    }
}

struct Talk {
    room: Authority<Sent>,
}

impl Talk {
    fn join(&mut self, name: &str, brief: bool) -> (SessionId, Sent) {
        let (sent, request) = (Sent::default(), JoinRequest { brief, ..JoinRequest::default() });
        let id =
            self.room.join(name.into(), Dialect::V1, &request, sent.clone()).expect("nothing is declared");
        (id, sent)
    }

    fn write(&mut self, author: SessionId, seq: u64, updates: &str) {
        let updates: Box<serde_json::value::RawValue> = serde_json::from_str(updates).expect("JSON");
        let change = ChangeRequest { seq, base: 0, again: false, updates: &updates, reads: None };
        match self.room.submit(author, &change) {
            Submitted::Accepted(append) => self.room.committed(append.version),
            Submitted::Answered => panic!("{updates} is refused"),
        }
    }
}

#[test]
fn brief_frames_are_for_those_who_ask_and_who_were_told_what_they_are_about() {
    let page = Box::new(Typed::new(Page::default()));
    let room = Authority::new("room".into(), 7, page, Arc::new(Limits::default())).with_number(300);
    let mut talk = Talk { room };
    let (author, own) = talk.join("author", true);
    let (slow, brief) = talk.join("brief", true);
    let (_, plain) = talk.join("plain", false);
    let begin = [own.take(), brief.take(), plain.take()].concat();
    assert!(begin[0].contains(r#""brief":300"#) && begin[1].contains(r#""brief":300"#), "{begin:?}");
    assert!(!begin[2].contains("brief"), "{begin:?}");

    // The first change with a header is sent with the header's number, the next one in compact form.
    talk.write(author, 1, r#"[{"key":"title","value":"a"}]"#);
    let told = brief.take();
    assert!(told[0].contains(r#""brief":1}"#), "{told:?}");
    talk.write(author, 2, r#"[{"key":"title","value":"b"}]"#);
    assert_eq!(brief.take(), ["[172, 2, 1, 34, 98, 34]"]);
    assert_eq!(own.take(), ["[172, 2, 0, 1]", "[172, 2, 0, 2]"]);
    let in_full = plain.take();
    assert!(in_full[1].contains(r#""version":2,"from":"author""#), "{in_full:?}");

    // Another operation is another header; a change of two updates has none.
    talk.write(author, 3, r#"[{"key":"views","op":"add","value":1}]"#);
    talk.write(author, 4, r#"[{"key":"title","value":"c"},{"key":"theme","value":"d"}]"#);
    talk.write(author, 5, r#"[{"key":"views","op":"add","value":12}]"#);
    let frames = brief.take();
    assert!(frames[0].contains(r#""brief":2}"#) && !frames[1].contains("brief"), "{frames:?}");
    assert_eq!(frames[2], "[172, 2, 2, 49, 50]");

    // A session that joins knows no headers.
    let (_, late) = talk.join("late", true);
    late.take();
    talk.write(author, 6, r#"[{"key":"title","value":"e"}]"#);
    for frames in [brief.take(), late.take()] {
        assert!(frames[0].contains(r#""version":6"#) && frames[0].contains(r#""brief":1}"#), "{frames:?}");
    }

    // Neither does a session that was too slow to get the change that named one.
    *brief.full.borrow_mut() = true;
    talk.write(author, 7, r#"[{"key":"theme","value":"x"}]"#);
    assert_eq!(late.take().len(), 1);
    *brief.full.borrow_mut() = false;
    talk.room.drained(slow);
    assert!(brief.take()[0].contains("state:delta"));
    talk.write(author, 8, r#"[{"key":"theme","value":"y"}]"#);
    for frames in [brief.take(), late.take()] {
        assert!(frames[0].contains(r#""version":8"#) && frames[0].contains(r#""brief":1}"#), "{frames:?}");
    }
    talk.write(author, 9, r#"[{"key":"theme","value":"z"}]"#);
    assert_eq!(
        (brief.take(), late.take()),
        (vec!["[172, 2, 1, 34, 122, 34]".into()], vec!["[172, 2, 1, 34, 122, 34]".into()])
    );
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Table {
    open: String,
    #[shared(read = "dealer")]
    secret: String,
    #[shared(write = "editor")]
    title: String,
}

/// A user's roles, which can change.
#[derive(Clone, Default)]
struct Now(Arc<Mutex<BTreeSet<&'static str>>>);

/// The roles that a user had when they were asked.
struct Granted {
    now: Now,
    roles: BTreeSet<&'static str>,
}

impl Now {
    fn of(roles: &[&'static str]) -> Self {
        Self(Arc::new(Mutex::new(roles.iter().copied().collect())))
    }

    fn set(&self, roles: &[&'static str]) {
        *self.0.lock().expect("nobody panics") = roles.iter().copied().collect();
    }

    fn asked(&self) -> Option<Arc<dyn Permissions>> {
        let roles = self.0.lock().expect("nobody panics").clone();
        Some(Arc::new(Granted { now: self.clone(), roles }))
    }
}

impl Permissions for Granted {
    fn write(&self, path: &str) -> Result<(), String> {
        if path == "open" && self.roles.contains("quiet") { Err("hush".to_owned()) } else { Ok(()) }
    }

    fn has(&self, role: &str) -> bool {
        self.roles.contains(role)
    }

    fn refreshed(&self) -> Option<Arc<dyn Permissions>> {
        self.now.asked()
    }
}

/// A room at version 1 that contains a secret.
fn table() -> Authority<Sent> {
    let state = Box::new(Typed::new(Table::default()));
    let mut room = Authority::new("room".into(), 7, state, Arc::new(Limits::default()));
    let written = room.submit_server(r#"[{"key":"secret","value":"secret-1"}]"#).expect("a sound change");
    room.committed(written.version);
    room
}

/// Joins, or resumes at version 1 with this audience.
fn enter(room: &mut Authority<Sent>, now: &Now, returns: Option<Option<u64>>) -> (SessionId, Sent) {
    let resume = returns.map(|audience| Resume { epoch: 7, version: 1, acked: 0, schema: None, audience });
    let (sent, request) = (Sent::default(), JoinRequest { resume, ..JoinRequest::default() });
    let joined = room.join_with("somebody".into(), Dialect::V1, &request, now.asked(), sent.clone());
    (joined.expect("nothing is declared"), sent)
}

/// The only frame since the last call: its type and payload.
fn only(sent: &Sent) -> (String, serde_json::Value) {
    let frames = sent.take();
    assert_eq!(frames.len(), 1, "{frames:?}");
    let mut frame: serde_json::Value = serde_json::from_str(&frames[0]).expect("JSON");
    (frame["type"].as_str().expect("a type").to_owned(), frame["payload"].take())
}

/// The audience of a session with these roles.
fn audience(room: &mut Authority<Sent>, roles: &[&'static str]) -> u64 {
    let (id, sent) = enter(room, &Now::of(roles), None);
    room.leave(id);
    let (_, sync) = only(&sent);
    u64::from_str_radix(sync["audience"].as_str().expect("an audience"), 16).expect("digits")
}

#[test]
fn g12_who_returns_is_sent_what_they_missed_only_if_they_may_read_the_same() {
    let mut room = table();
    let (player, dealer) = (audience(&mut room, &[]), audience(&mut room, &["dealer"]));
    assert_eq!(audience(&mut room, &["editor"]), player, "what may be written is no matter");
    for (roles, returns, kind) in [
        (&[][..], Some(player), "state:delta"),
        (&[], Some(dealer), "state:sync"),
        (&[], None, "state:sync"),
        (&["dealer"], Some(dealer), "state:delta"),
        (&["dealer"], Some(player), "state:sync"),
        (&["dealer"], None, "state:sync"),
    ] {
        let (id, sent) = enter(&mut room, &Now::of(roles), Some(returns));
        let (found, payload) = only(&sent);
        assert_eq!(found, kind, "{roles:?} {returns:?}");
        assert!(!roles.is_empty() || !payload.to_string().contains("secret-1"), "{payload}");
        room.leave(id);
    }
    // If nothing is hidden any more, a returning client still lacks what was hidden.
    let page = Box::new(Typed::new(Page::default()));
    let mut room = Authority::new("room".into(), 7, page, Arc::new(Limits::default()));
    room.submit_server(r#"[{"key":"title","value":"x"}]"#).expect("a sound change");
    room.committed(1);
    for (returns, kind) in [(None, "state:delta"), (Some(player), "state:sync")] {
        let (_, sent) = enter(&mut room, &Now::default(), Some(returns));
        let (found, payload) = only(&sent);
        assert_eq!((&*found, &payload["audience"], &payload["rights"]), (kind, &().into(), &().into()));
    }
}

#[test]
fn g12_a_delta_that_waits_for_the_store_is_not_sent_to_another_audience() {
    for (before, after) in [(&[][..], &["dealer"][..]), (&["dealer"], &[])] {
        let mut room = table();
        let (now, returns) = (Now::of(before), audience(&mut room, before));
        let updates = r#"[{"key":"secret","value":"secret-2"},{"key":"open","value":"x"}]"#;
        let waits = room.submit_server(updates).expect("a sound change");
        let (_, sent) = enter(&mut room, &now, Some(Some(returns)));
        now.set(after);
        room.refresh_permissions();
        assert!(sent.take().is_empty(), "it is not durable");
        room.committed(waits.version);
        let (kind, sync) = only(&sent);
        let expected = audience(&mut room, after);
        assert_eq!((&*kind, &sync["version"]), ("state:sync", &2.into()));
        assert_eq!(sync["audience"], format!("{expected:016x}"));
        assert_eq!(sync.to_string().contains("secret-2"), !after.is_empty(), "{sync}");
        // Later changes are sent for the new audience.
        let next = room.submit_server(r#"[{"key":"secret","value":"secret-3"}]"#).expect("a sound change");
        room.committed(next.version);
        assert_eq!(only(&sent).1.to_string().contains("secret-3"), !after.is_empty());
    }
}

#[test]
fn what_somebody_may_not_do_is_told_with_the_state_or_alone() {
    let mut room = table();
    let now = Now::default();
    let (id, sent) = enter(&mut room, &now, None);
    let rights = |json: &str| serde_json::from_str::<serde_json::Value>(json).expect("JSON");
    assert_eq!(only(&sent).1["rights"], rights(r#"{"hidden":["secret"],"locked":["title"]}"#));
    room.refresh_permissions();
    assert!(sent.take().is_empty(), "nothing has changed");
    now.set(&["editor", "quiet"]);
    room.refresh_permissions();
    assert_eq!(
        only(&sent),
        ("room:rights".to_owned(), rights(r#"{"hidden":["secret"],"refused":["open"]}"#))
    );
    now.set(&["editor", "dealer"]);
    room.refresh_permissions();
    let (kind, sync) = only(&sent);
    assert_eq!(
        (&*kind, sync.get("rights"), &sync["data"]["secret"]),
        ("state:sync", None, &"secret-1".into())
    );

    // A session that was too slow gets its new permissions with what it missed.
    *sent.full.borrow_mut() = true;
    now.set(&["dealer"]);
    room.refresh_permissions();
    *sent.full.borrow_mut() = false;
    assert!(sent.take().is_empty());
    room.drained(id);
    let (kind, delta) = only(&sent);
    assert_eq!((&*kind, &delta["rights"]), ("state:delta", &rights(r#"{"locked":["title"]}"#)));
}

#[test]
fn g3_answers_in_a_state_that_a_full_queue_refused_come_with_the_next_one() {
    let mut room = table();
    let now = Now::default();
    let (id, sent) = enter(&mut room, &now, None);
    sent.take();
    let mut change = |seq: u64, updates: &str| {
        let updates = serde_json::value::RawValue::from_string(updates.to_owned()).expect("JSON");
        let change = ChangeRequest { seq, base: 1, again: false, updates: &updates, reads: None };
        room.submit(id, &change)
    };
    let Submitted::Accepted(append) = change(1, r#"[{"key":"open","value":"x"}]"#) else {
        panic!("it is refused")
    };
    assert!(matches!(change(2, r#"[{"key":"title","value":"x"}]"#), Submitted::Answered));
    // The user may read more now, and the queue is full when the state that says so is sent.
    now.set(&["dealer"]);
    room.refresh_permissions();
    *sent.full.borrow_mut() = true;
    room.committed(append.version);
    *sent.full.borrow_mut() = false;
    assert!(sent.take().is_empty());
    room.drained(id);
    let (kind, sync) = only(&sent);
    assert_eq!((&*kind, &sync["answers"]["acks"]), ("state:sync", &serde_json::json!([[1, 2]])), "{sync}");
    assert_eq!(sync["answers"]["rejects"][0]["seq"], 2);
}

#[test]
fn g3_no_answer_is_lost_between_two_states_that_wait_for_the_store() {
    let mut room = table();
    let now = Now::default();
    let (id, sent) = enter(&mut room, &now, None);
    sent.take();
    let change = |room: &mut Authority<Sent>, seq: u64, updates: &str| {
        let updates = serde_json::value::RawValue::from_string(updates.to_owned()).expect("JSON");
        room.submit(id, &ChangeRequest { seq, base: 1, again: false, updates: &updates, reads: None })
    };
    assert!(matches!(change(&mut room, 1, r#"[{"key":"open","value":"x"}]"#), Submitted::Accepted(_)));
    now.set(&["dealer"]);
    room.refresh_permissions();
    assert!(matches!(change(&mut room, 2, r#"[{"key":"open","value":"y"}]"#), Submitted::Accepted(_)));
    assert!(matches!(change(&mut room, 3, r#"[{"key":"title","value":"x"}]"#), Submitted::Answered));
    now.set(&[]);
    room.refresh_permissions();
    room.committed(2);
    room.committed(3);
    let (kind, sync) = only(&sent);
    assert_eq!((&*kind, &sync["version"]), ("state:sync", &3.into()));
    assert_eq!(sync["answers"]["acks"], serde_json::json!([[1, 2], [2, 3]]));
    assert_eq!(sync["answers"]["rejects"][0]["seq"], 3);
}
