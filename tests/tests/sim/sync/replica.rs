//! The replica alone, step by step: what it sends, when and in which order, and what the app sees meanwhile.

#![allow(missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_state::WriteError;
use shared_state::merge::{ListOp, Place};
use shared_state::proto::replica::{Origin, Read, Replica, ReplicaConfig, WriteId};
use shared_state::proto::{Code, Reject, RoomMessage, ServerMessage, server};
use shared_state::{SharedState, proto};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    #[shared(debounce = "300ms", max_wait = "1s", validate(length(max = 20)))]
    title: String,
    body: String,
    theme: String,
    #[shared(counter)]
    views: i64,
    #[shared(throttle = "100ms")]
    cursor: u32,
    #[shared(read_only)]
    edited: u64,
    #[shared(counter)]
    ratio: f64,
    scale: f64,
    #[shared(list(key = id))]
    tasks: Vec<Task>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Task {
    id: String,
}

fn task(id: &str) -> Task {
    Task { id: id.to_owned() }
}

type Fields = DocumentUpdate;

struct Harness {
    replica: Replica<Document>,
    now: Duration,
}

impl Harness {
    fn with(config: ReplicaConfig) -> Self {
        Self { replica: Replica::new(Arc::from("room"), Document::default(), config), now: Duration::ZERO }
    }

    /// A replica that has joined an empty room.
    fn live() -> Self {
        let mut this = Self::with(ReplicaConfig::default());
        this.connect();
        this
    }

    fn connect(&mut self) {
        self.replica.connected(64);
        let join = self.frames();
        assert_eq!(join.len(), 1, "{join:?}");
        let epoch = 7;
        self.receive(&server::sync(
            "room",
            epoch,
            0,
            &"{}".to_owned().into(),
            Default::default(),
            &proto::Outcomes::default(),
        ));
    }

    fn receive(&mut self, frame: &proto::Frame) {
        let ServerMessage::Room(_, message) = ServerMessage::of(frame).expect("a frame of ours") else {
            panic!("not about a room: {}", frame.as_str());
        };
        self.replica.receive(message).expect("a message that fits");
    }

    fn write(&mut self, update: Fields) -> WriteId {
        self.replica.write(self.now, vec![update]).expect("a write that is taken")
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
        self.replica.tick(self.now);
    }

    fn frames(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.replica.poll_frame()).map(|frame| frame.as_str().to_owned()).collect()
    }

    /// The keys and values of the changes sent, one string for each change.
    fn sent(&mut self) -> Vec<String> {
        self.frames()
            .iter()
            .map(|frame| {
                let frame: serde_json::Value = serde_json::from_str(frame).expect("JSON");
                assert_eq!(frame["type"], "state:change");
                let updates = frame["payload"]["updates"].as_array().expect("updates").iter();
                let updates = updates.map(|update| format!("{}={}", update["key"], update["value"]));
                updates.collect::<Vec<_>>().join(" ").replace('"', "")
            })
            .collect()
    }

    fn answers(&mut self) -> Vec<(WriteId, Result<u64, Code>)> {
        std::iter::from_fn(|| self.replica.poll_answer())
            .map(|(id, answer)| (id, answer.map_err(|rejected| rejected.code())))
            .collect()
    }

    fn origins(&mut self) -> Vec<Origin> {
        std::iter::from_fn(|| self.replica.poll_event()).map(|event| event.origin).collect()
    }
}

#[test]
fn a_burst_of_debounced_writes_is_sent_once_after_the_silence() {
    let mut it = Harness::live();
    let ids: Vec<_> = ["a", "ab", "abc"]
        .into_iter()
        .map(|title| {
            it.pass(100);
            it.write(Fields::Title(title.into()))
        })
        .collect();
    assert_eq!(it.replica.state().title, "abc");
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "the writes share one answer");
    it.pass(299);
    assert_eq!(it.sent(), [""; 0]);
    it.pass(1);
    assert_eq!(it.sent(), ["title=abc"]);
}

#[test]
fn a_debounced_write_is_kept_back_no_longer_than_its_maximum() {
    let mut it = Harness::live();
    for step in 0..10 {
        it.write(Fields::Title(format!("{step}")));
        it.pass(100);
    }
    assert_eq!(it.sent(), ["title=9"]);
}

#[test]
fn a_throttled_field_sends_the_first_write_at_once_and_then_the_latest() {
    let mut it = Harness::live();
    for cursor in 1..=5 {
        it.write(Fields::Cursor(cursor));
        it.pass(30);
    }
    assert_eq!(it.sent(), ["cursor=1", "cursor=4"]);
    it.pass(100);
    assert_eq!(it.sent(), ["cursor=5"]);
}

#[test]
fn flush_sends_what_is_kept_back() {
    let mut it = Harness::live();
    it.write(Fields::Title("t".into()));
    it.replica.flush(it.now);
    assert_eq!(it.sent(), ["title=t"]);
    assert_eq!(it.replica.deadline(), None);
}

#[test]
fn a_kept_back_write_is_not_overtaken_by_a_change_of_the_same_field() {
    let mut it = Harness::live();
    it.write(Fields::Title("first".into()));
    it.write(Fields::Body("other".into()));
    let both = vec![Fields::Title("second".into()), Fields::Body("b".into())];
    it.replica.write(it.now, both).expect("taken");
    assert_eq!(it.sent(), ["body=other", "title=first", "title=second body=b"]);
}

#[test]
fn a_transaction_sends_what_it_read_first_and_waits_for_its_answer() {
    let mut it = Harness::live();
    it.write(Fields::Title("mine".into()));
    let reads = vec![Read::field::<Document>(Document::TITLE.id())];
    it.replica.write_if_unchanged(it.now, vec![Fields::Body("b".into())], reads).expect("taken");
    it.write(Fields::Theme("later".into()));
    assert_eq!(it.sent(), ["title=mine"]);
    it.receive(&server::ack("room", 1, 1));
    assert_eq!(it.sent(), ["body=b", "theme=later"]);
}

#[test]
fn g6_a_transaction_that_read_an_own_change_which_others_have_overwritten_is_refused() {
    for with_state in [false, true] {
        let mut it = Harness::live();
        it.write(Fields::Body("mine".into()));
        assert_eq!(it.sent(), ["body=mine"]);
        it.replica.disconnected();
        it.replica.connected(64);
        it.frames();
        // The room has forgotten the client, and has a later value.
        let theirs = r#"[{"key":"body","value":"theirs"}]"#;
        it.receive(&server::delta("room", 0, 2, theirs, Default::default(), &proto::Outcomes::default()));
        assert_eq!(it.replica.state().body, "mine");
        let reads = vec![Read::field::<Document>(Document::BODY.id())];
        let id =
            it.replica.write_if_unchanged(it.now, vec![Fields::Theme("t".into())], reads).expect("taken");
        if with_state {
            let answers = vec![(1, proto::Outcome::Accepted(1))];
            let outcomes = proto::Outcomes { last: 1, answers, ..proto::Outcomes::default() };
            it.receive(&server::delta("room", 2, 3, "[]", Default::default(), &outcomes));
        } else {
            it.receive(&server::ack("room", 1, 1));
        }
        it.frames();
        assert_eq!(it.answers().last(), Some(&(id, Err(Code::Conflict))), "with a state: {with_state}");
        assert_eq!((&*it.replica.state().body, &*it.replica.state().theme), ("theirs", ""));
    }
}

#[test]
fn g6_a_transaction_is_refused_without_being_sent_when_what_it_read_changes() {
    let mut it = Harness::live();
    it.write(Fields::Title("mine".into()));
    let reads =
        vec![Read::field::<Document>(Document::TITLE.id()), Read::field::<Document>(Document::VIEWS.id())];
    let id = it.replica.write_if_unchanged(it.now, vec![Fields::Body("b".into())], reads).expect("taken");
    it.receive(&server::ack("room", 1, 1));
    it.frames();
    it.receive(&server::reject("room", 2, &Reject::new(Code::Conflict, "changed")));
    assert_eq!(it.answers().last(), Some(&(id, Err(Code::Conflict))));
    assert_eq!(it.replica.state().body, "");

    it.write(Fields::Title("again".into()));
    let id = it
        .replica
        .write_if_unchanged(
            it.now,
            vec![Fields::Body("b".into())],
            vec![Read::field::<Document>(Document::TITLE.id())],
        )
        .expect("taken");
    it.receive(&server::change("room", 2, "other", r#"[{"key":"title","value":"theirs"}]"#, None));
    it.frames();
    assert_eq!(it.answers().last(), Some(&(id, Err(Code::Conflict))), "at once");
    it.receive(&server::ack("room", 3, 3));
    assert_eq!(it.frames(), [""; 0], "nothing more is sent");
}

#[test]
fn offline_sets_of_one_field_fold_and_the_others_keep_their_order() {
    let mut it = Harness::with(ReplicaConfig::default());
    let first = it.write(Fields::Body("1".into()));
    it.write(Fields::Theme("2".into()));
    it.write(Fields::Views(shared_state::merge::CounterOp::Add(1)));
    it.write(Fields::Views(shared_state::merge::CounterOp::Add(1)));
    assert_eq!(it.write(Fields::Body("3".into())), first, "it shares the answer of the one it folds into");
    assert_eq!(it.replica.pending(), 4);
    it.connect();
    assert_eq!(it.sent(), ["body=3", "theme=2", "views=1", "views=1"]);
}

#[test]
fn g9_a_full_queue_refuses_the_write_and_keeps_what_it_has() {
    let mut config = ReplicaConfig::default();
    config.max_changes = 3;
    let mut it = Harness::with(config);
    for by in 1..=3 {
        it.write(Fields::Views(shared_state::merge::CounterOp::Add(by)));
    }
    let refused = it.replica.write(it.now, vec![Fields::Body("no".into())]);
    assert_eq!(refused, Err(WriteError::QueueFull { limit: 3, unit: "changes" }));
    assert_eq!(it.replica.state().body, "");
    it.connect();
    assert_eq!(it.sent(), ["views=1", "views=2", "views=3"]);

    let mut config = ReplicaConfig::default();
    config.max_bytes = 100;
    let mut it = Harness::with(config);
    let refused = it.replica.write(it.now, vec![Fields::Body("x".repeat(100))]);
    assert_eq!(refused, Err(WriteError::QueueFull { limit: 100, unit: "bytes" }));
}

#[test]
fn g4_a_remote_change_leaves_the_users_own_pending_field_alone() {
    let mut it = Harness::live();
    it.write(Fields::Body("mine".into()));
    it.write(Fields::Views(shared_state::merge::CounterOp::Add(2)));
    it.origins();
    it.receive(&server::change(
        "room",
        1,
        "other",
        r#"[{"key":"body","value":"theirs"},{"key":"theme","value":"dark"},{"key":"views","op":"add","value":5}]"#, None));
    let state = it.replica.state();
    assert_eq!((&*state.body, &*state.theme, state.views), ("mine", "dark", 7));
    assert_eq!(it.replica.confirmed().body, "theirs");
    assert_eq!(it.origins(), [Origin::Remote], "one event for one change");
}

#[test]
fn g4_a_rejected_change_is_rolled_back_as_a_whole_with_its_reason() {
    let mut it = Harness::live();
    let both = vec![Fields::Body("mine".into()), Fields::Views(shared_state::merge::CounterOp::Add(2))];
    let id = it.replica.write(it.now, both).expect("taken");
    it.write(Fields::Views(shared_state::merge::CounterOp::Add(10)));
    it.receive(&server::reject("room", 1, &Reject::new(Code::Invalid, "no").in_field("body")));
    assert_eq!((&*it.replica.state().body, it.replica.state().views), ("", 10));
    assert_eq!(it.answers(), [(id, Err(Code::Invalid))]);
    assert_eq!(it.origins(), [Origin::Local, Origin::Local, Origin::RolledBack]);
}

#[test]
fn g8_what_breaks_a_rule_or_cannot_be_sent_is_refused_before_it_shows() {
    let mut it = Harness::live();
    let long = it.replica.write(it.now, vec![Fields::Body("b".into()), Fields::Title("x".repeat(21))]);
    assert!(matches!(long, Err(WriteError::Invalid(invalid)) if invalid.field == "title"));
    let read_only = it.replica.write(it.now, vec![Fields::Edited(1)]);
    assert_eq!(read_only, Err(WriteError::ReadOnly { field: "edited" }));
    for number in [f64::NAN, f64::INFINITY] {
        let scale = it.replica.write(it.now, vec![Fields::Scale(number)]);
        assert!(matches!(scale, Err(WriteError::Unsendable(error)) if error.field == "scale"));
        let ratio = vec![Fields::Ratio(shared_state::merge::CounterOp::Add(number))];
        let ratio = it.replica.write(it.now, ratio);
        assert!(matches!(ratio, Err(WriteError::Unsendable(error)) if error.field == "ratio"));
    }
    assert_eq!(it.replica.state(), &Document::default());
    assert_eq!(it.frames(), [""; 0]);
}

#[test]
fn g1_a_version_that_does_not_follow_makes_the_replica_ask_again() {
    let mut it = Harness::live();
    let frame = server::change("room", 5, "other", r#"[{"key":"body","value":"x"}]"#, None);
    let Ok(ServerMessage::Room(_, message)) = ServerMessage::of(&frame) else { panic!() };
    assert!(it.replica.receive(message).is_err());
    assert!(it.frames()[0].contains(r#""resume":{"epoch":"0000000000000007","version":0"#));
    let late = server::change("room", 1, "other", r#"[{"key":"body","value":"late"}]"#, None);
    it.receive(&late);
    assert_eq!(it.replica.version(), 0, "what comes before the answer is in the answer");
}

#[test]
fn g3_what_was_sent_keeps_its_number_over_a_reconnect_and_says_so() {
    let mut it = Harness::live();
    it.write(Fields::Body("1".into()));
    let first = it.frames().remove(0);
    it.replica.disconnected();
    it.write(Fields::Theme("2".into()));
    it.replica.connected(64);
    assert!(it.frames()[0].contains(r#""acked":0"#));
    let nothing = proto::Outcomes::default();
    it.receive(&server::delta("room", 0, 0, "[]", Default::default(), &nothing));
    let again = it.frames();
    assert_eq!(again[0], first.replace(r#""base":0,"#, r#""base":0,"again":true,"#));
    assert!(again[1].contains(r#""seq":2"#) && !again[1].contains("again"));
}

#[test]
fn g3_a_short_answer_to_another_change_is_noticed_and_settles_nothing() {
    // The changes have the numbers 1 and 2.
    let sent = || {
        let mut client = Harness::live();
        let ids = ["one", "two"].map(|body| client.write(Fields::Body(body.to_owned())));
        assert_eq!(client.frames().len(), 2);
        (client, ids)
    };
    for check in [0, 2, 255] {
        let (mut client, _) = sent();
        let refused = client.replica.receive(RoomMessage::NextAccepted { check });
        assert_eq!(refused.map_err(|violation| violation.code), Err(Code::BadMessage), "{check}");
        assert_eq!((client.replica.pending(), client.replica.poll_answer()), (2, None));
        assert!(client.frames()[0].contains("room:join"), "it asks again");
    }
    let (mut client, ids) = sent();
    for (check, id) in [1, 2].into_iter().zip(ids) {
        client.replica.receive(RoomMessage::NextAccepted { check }).expect("the answer to the next one");
        assert_eq!(client.replica.poll_answer().map(|(answered, _)| answered), Some(id));
    }
    let refused = client.replica.receive(RoomMessage::NextAccepted { check: 3 });
    assert!(refused.is_err(), "nothing waits for an answer");
}

#[test]
fn g10_what_exceeds_a_limit_of_the_server_is_refused_before_it_shows() {
    let mut client = Harness::live();
    let insert = |id: &str| Fields::Tasks(ListOp::Insert(Place::End, task(id)));
    for n in 0..20 {
        client.write(insert(&n.to_string()));
    }
    let limits = |limits: serde_json::Value| serde_json::from_value(limits).expect("limits");
    let mut refused = |told: serde_json::Value, updates: Vec<Fields>| {
        client.replica.set_limits(limits(told));
        let before = client.replica.state().clone();
        let code = match client.replica.write(Duration::ZERO, updates) {
            Err(WriteError::Rejected(reject)) => reject.code,
            other => panic!("{other:?}"),
        };
        assert_eq!((client.replica.state(), client.replica.pending()), (&before, 20));
        code
    };
    let body = |text: &str| Fields::Body(text.to_owned());
    assert_eq!(
        refused(serde_json::json!({"updates": 1}), vec![body("a"), Fields::Theme("b".to_owned())]),
        Code::BadChange
    );
    assert_eq!(refused(serde_json::json!({"frame": 300}), vec![body(&"x".repeat(300))]), Code::FrameTooLarge);
    assert_eq!(refused(serde_json::json!({"key": 3}), vec![body("a")]), Code::BadKey);
    // An item that could neither be changed nor removed. Each `/` has two bytes in a path.
    assert_eq!(refused(serde_json::json!({"key": 25}), vec![insert("//////////")]), Code::BadKey);
    assert_eq!(refused(serde_json::json!({"work": 1}), vec![insert("a"), insert("b")]), Code::TooCostly);
    client.replica.set_limits(limits(serde_json::json!({"key": 26, "work": 100, "updates": 2})));
    client.write(insert("//////////"));
    assert_eq!(client.replica.pending(), 21);
}

#[test]
fn g9_an_app_that_takes_no_events_is_told_how_many_it_missed() {
    let mut config = ReplicaConfig::default();
    config.max_events = 4;
    let mut it = Harness::with(config);
    for step in 0..10 {
        it.write(Fields::Views(shared_state::merge::CounterOp::Add(step)));
    }
    let origins = it.origins();
    assert!(matches!(origins[0], Origin::Lagged(_)), "{origins:?}");
    let missed: u64 = origins.iter().map(|origin| if let Origin::Lagged(n) = origin { *n } else { 1 }).sum();
    assert_eq!(missed, 10);
}

#[test]
fn a_message_after_leaving_live_is_not_an_error() {
    let mut it = Harness::live();
    it.replica.disconnected();
    let ack = RoomMessage::Accepted { seq: 9, version: 3, updates: None };
    assert_eq!(it.replica.receive(ack), Ok(()));
}

/// The server's message about denied paths.
fn rights(barred: &str) -> proto::Frame {
    server::rights("room", Some(barred))
}

#[test]
fn what_is_known_not_to_be_allowed_is_refused_at_once() {
    let mut replica = Harness::live();
    replica.receive(&rights(r#"{"hidden":["theme"],"locked":["title"],"refused":["views"],"later":1}"#));
    let refused = |action, path: &str| Err(WriteError::Forbidden { action, path: path.into() });
    for (update, path) in [
        (Fields::Title("x".into()), "title"),
        (Fields::Theme("x".into()), "theme"),
        (Document::VIEWS.op(shared_state::merge::CounterOp::Add(1)), "views"),
    ] {
        let body = Fields::Body("x".into());
        let found = replica.replica.write(Duration::ZERO, vec![body, update]);
        assert_eq!(found, refused("write", path));
    }
    let read = Read::field::<Document>(Document::THEME.id());
    let found =
        replica.replica.write_if_unchanged(Duration::ZERO, vec![Fields::Body("x".into())], vec![read]);
    assert_eq!(found, refused("read", "theme"));
    assert_eq!((replica.replica.pending(), replica.frames().len()), (0, 0));
    assert!(replica.replica.poll_event().is_none());
    let rights_now = replica.replica.permissions().clone();
    assert!(!rights_now.can_read(Document::THEME) && rights_now.can_read(Document::TITLE));
    assert!(rights_now.can_set(Document::BODY) && !rights_now.can_set(Document::EDITED));

    // Without a connection, the last permissions hold.
    replica.replica.disconnected();
    let write = replica.replica.write(Duration::ZERO, vec![Fields::Title("x".into())]);
    assert_eq!(write, refused("write", "title"));
    // A state without denied paths allows everything.
    replica.connect();
    assert!(replica.replica.permissions().can_set(Document::TITLE));
    replica.write(Fields::Theme("x".into()));
    // Waiting changes are sent anyway: the server decides.
    replica.write(Fields::Title("held".into()));
    replica.receive(&rights(r#"{"locked":["title"]}"#));
    replica.replica.flush(Duration::ZERO);
    assert_eq!(replica.frames().len(), 2);
}

#[test]
fn who_returns_says_for_whom_the_last_state_was() {
    let mut replica = Harness::live();
    let beside = server::Beside { audience: Some(0xab), ..Default::default() };
    replica.receive(&server::sync(
        "room",
        7,
        3,
        &"{}".to_owned().into(),
        beside,
        &proto::Outcomes::default(),
    ));
    replica.receive(&server::delta("room", 3, 4, "[]", Default::default(), &proto::Outcomes::default()));
    replica.replica.disconnected();
    replica.replica.connected(64);
    let join = replica.frames().remove(0);
    assert!(
        join.contains(r#""version":4,"acked":0,"#) && join.contains(r#""audience":"00000000000000ab""#),
        "{join}"
    );
}

#[test]
fn what_the_room_adds_to_an_own_change_shows_and_is_news_to_a_transaction() {
    let mut replica = Harness::live();
    replica.write(Fields::Body("mine".into()));
    let read = Read::field::<Document>(Document::EDITED.id());
    let waits = replica
        .replica
        .write_if_unchanged(
            Duration::ZERO,
            vec![Fields::Theme("x".into())],
            vec![read, Read::field::<Document>(Document::BODY.id())],
        )
        .expect("a write that is taken");
    assert_eq!(replica.frames().len(), 1, "it has read what is not answered yet");
    while replica.replica.poll_event().is_some() {}
    replica.receive(&server::acked_as(
        "room",
        1,
        1,
        r#"[{"key":"body","value":"mine"},{"key":"edited","value":7}]"#,
    ));
    assert_eq!((replica.replica.state().body.as_str(), replica.replica.state().edited), ("mine", 7));
    let event = replica.replica.poll_event().expect("what was added");
    assert_eq!((event.origin, event.updates), (Origin::Remote, vec![Fields::Edited(7)]));
    let answers: Vec<_> = std::iter::from_fn(|| replica.replica.poll_answer()).collect();
    let refused = answers.iter().find(|(id, _)| *id == waits).map(|(_, answer)| answer.clone());
    assert_eq!(refused.and_then(Result::err).map(|why| why.code()), Some(Code::Conflict));
}
