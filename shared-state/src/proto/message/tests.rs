//! The frames, byte for byte.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{client, presence, room, room_schema, server};
use crate::core::{Code, FieldSchema, Reject, Schema};
use crate::proto::{
    Declaration, Frame, JoinRequest, Limits, Outcome, Outcomes, Resume, RoomDetails, channel_address,
};

/// One frame or more of each function, in the order of `frames.jsonl`.
fn frames() -> Vec<Frame> {
    let chat = &*channel_address("a \"room\"\n", "chat");
    let resume = Resume { epoch: 7, version: 17, acked: 4, schema: None, audience: None };
    let declaration = Declaration {
        policy: "lww".into(),
        shape: "string".into(),
        fields: BTreeMap::new(),
        initial: serde_json::from_str("\"\"").ok(),
    };
    let everything = JoinRequest {
        resume: Some(Resume { epoch: u64::MAX, schema: Some(10), audience: Some(11), ..resume }),
        schema: Some(9),
        declare: BTreeMap::from([("sub\"title".to_owned(), declaration)]),
        brief: true,
        password: Some("open \u{1}\u{e9}".into()),
        info: true,
    };
    let refused = Reject::new(Code::Invalid, "length is 201\u{2028}").in_field("ti\\tle");
    let rejected = |reject: &Reject| Outcome::Rejected(reject.clone());
    let outcomes = Outcomes {
        last: 6,
        since: 2,
        answers: vec![
            (3, Outcome::Accepted(16)),
            (4, rejected(&Reject::new(Code::Conflict, "changed"))),
            (5, Outcome::Accepted(17)),
            (6, rejected(&refused)),
        ],
    };
    let (none, last) = (Outcomes::default(), Outcomes { last: 5, ..Outcomes::default() });
    let one = Outcomes { answers: vec![(1, rejected(&refused))], ..Outcomes::default() };
    let field = || FieldSchema { policy: "lww".into(), shape: "u8".into(), ..FieldSchema::default() };
    let schema = |version| Schema { version, fields: BTreeMap::from([("a".to_owned(), field())]) };
    let (old, new) = (
        room_schema(5, &schema(1), &BTreeMap::new()),
        room_schema(6, &schema(2), &BTreeMap::from([("b/c".to_owned(), field())])),
    );
    let beside = server::Beside {
        schema: Some(&old),
        brief: Some(300),
        rights: Some(r#"{"hidden":["x"]}"#),
        audience: Some(12),
        ..server::Beside::default()
    };
    let other = server::Beside { schema: Some(&new), ..server::Beside::default() };
    let mut details = RoomDetails::default();
    let plain = details.clone();
    (details.created_at, details.password) = (Some(5), true);
    details.metadata = Some(r#"{"title":"x"}"#.into());
    let mut entries = String::new();
    presence::push_entry(&mut entries, "i\"d", r#"{"id":1}"#, "null", false);
    presence::push_entry(&mut entries, "other", "1", "[]", true);
    let (mut updated, mut left) = (String::new(), String::new());
    for id in ["a\"", "b"] {
        presence::push_update(&mut updated, id, "{}");
        presence::push_left(&mut left, id);
    }
    let (empty, spaced) = (Arc::new("{}".to_owned()), Arc::new("{ }".to_owned()));
    let mut frames = vec![
        client::hello("secret \"id\"", None),
        client::hello("secret", Some("to\"ken")),
        client::token("to\"ken"),
        client::join("lobby", &JoinRequest::default()),
        client::join("lobby", &JoinRequest { resume: Some(resume), ..JoinRequest::default() }),
        client::join(chat, &JoinRequest { info: true, ..JoinRequest::default() }),
        client::join(chat, &everything),
        client::leave(chat),
        client::change("lobby", 1, 0, false, [].into_iter(), None),
        client::change(chat, 1, 0, true, ["{\"key\":1}", "{}"].into_iter(), Some(&["a\"", "b"])),
        client::change("lobby", 1, 0, false, ["{}"].into_iter(), Some(&[])),
        client::broadcast(chat, "[1, 2]"),
        client::ping(),
        client::pong(),
        server::ping(),
        server::pong(),
        server::welcome("i\"d", &Limits::default(), None),
        server::welcome("id", &Limits::default(), Some(Duration::from_millis(1500))),
        server::renewed(None),
        server::renewed(Some(Duration::MAX)),
        server::sync("lobby", 7, 17, &Arc::new(r#"{"a": 1}"#.to_owned()), server::Beside::default(), &none),
        server::sync(chat, u64::MAX, 17, &empty, beside, &outcomes),
        server::sync("lobby", 7, 17, &empty, other, &last),
        server::delta("lobby", 9, 17, "[]", server::Beside::default(), &none),
        server::delta(chat, 9, 17, "[{}, {}]", beside, &one),
        server::change(chat, 18, "i\"d", "[{}]", None),
        server::change("lobby", 18, "id", "[{}]", Some(127)),
        server::ack(chat, 5, 18),
        server::acked_as(chat, 5, 18, "[{}]"),
        server::reject(chat, 5, &refused),
        server::reject(chat, 5, &Reject::new(Code::Conflict, "changed")),
        server::broadcast(chat, "i\"d", 1_700_000_000_000, "{ }"),
        server::broadcast_rejected(chat, Code::MessageTooLarge, "no \"spam\""),
        server::rights(chat, None),
        server::rights("lobby", Some(r#"{"hidden":["x"]}"#)),
        server::room_error(chat, Code::Kicked, "no \"spam\""),
        server::error(Code::NotJson, "no \"spam\""),
        room::info("lobby", &plain),
        room::info("lobby", &details),
    ];
    frames.extend([
        presence::set("lobby", None, None, None, None, None),
        presence::set("lobby", Some("{}"), Some("null"), Some(false), Some(true), Some("pass\"word")),
        presence::set("lobby", None, None, None, Some(true), None),
        presence::leave("lobby"),
        presence::sync("lobby", ""),
        presence::sync("lobby", &entries),
        presence::changes("lobby", "", "", ""),
        presence::changes("lobby", "", "", &left),
        presence::changes("lobby", &entries, &updated, &left),
        presence::reject("lobby", Code::Kicked, "no \"spam\""),
        server::legacy_broadcast(&channel_address("lobby", "cha\"t"), "i\"d", 5, "[ ]"),
        server::legacy_relay("lob\"by", "game:\"move", "i\"d", 5, "[ ]"),
        server::legacy_update("lobby", "ke\"y", "[ ]", 5),
        server::legacy_merge("lobby", &spaced, 5),
        server::legacy_sync("lobby", &spaced, 5),
        presence::legacy_join("lob\"by", "{ }"),
        presence::legacy_joined("lob\"by", &[], &plain),
        presence::legacy_joined("lobby", &["{}".to_owned(), "1".to_owned()], &details),
        presence::legacy_user_joined("lobby", "{ }"),
        presence::legacy_user_left("lobby", "\"u\""),
        presence::legacy_update("lobby", "{ }", "null", 5),
        presence::legacy_leave("lobby", "\"u\""),
        presence::legacy_cursor("lobby", "{ }", ("1", "2.50"), 5),
    ]);
    frames
}

#[test]
fn frames_are_written_byte_for_byte() {
    let lines: Vec<_> = include_str!("frames.jsonl").lines().collect();
    let frames = frames();
    let written: Vec<_> = frames.iter().map(Frame::as_str).collect();
    assert_eq!(written, lines);
}
