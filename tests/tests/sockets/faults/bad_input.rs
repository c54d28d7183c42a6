//! G10: bad input gets a precise error, which goes only to its sender, and does not affect other clients.
//!
//! A table: the frames to send, the code that must answer the last one, and whether the connection is closed
//! after it. After every row a bystander in the same room and another client still exchange a change.

use std::net::SocketAddr;

use serde_json::json;
use shared_state::proto::Limits;
use shared_state::server::{Server, ServerBuilder};
use shared_state_tests::start;
use tokio_tungstenite::tungstenite::Message;

use crate::common::client::Client;

/// The state of the connection before the row's frames.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    Hello,
    /// After `hello`, and after joining the room `a`.
    Joined,
}
use Before::{Hello, Joined, Nothing};

#[derive(Clone, Copy, PartialEq)]
enum After {
    Open,
    Closed(u16),
}
use After::{Closed, Open};

struct Row {
    name: &'static str,
    before: Before,
    frames: Vec<Message>,
    code: &'static str,
    after: After,
}

fn row(
    name: &'static str,
    before: Before,
    frame: impl Into<String>,
    code: &'static str,
    after: After,
) -> Row {
    Row { name, before, frames: vec![Message::text(frame.into())], code, after }
}

fn change(updates: &str) -> String {
    numbered("1", "0", updates)
}

fn numbered(seq: &str, base: &str, updates: &str) -> String {
    format!(
        r#"{{"type":"state:change","room":"a","payload":{{"seq":{seq},"base":{base},"updates":{updates}}}}}"#
    )
}

fn set(key: &str, value: &str) -> String {
    change(&format!(r#"[{{"key":"{key}","value":{value}}}]"#))
}

fn presence(kind: &str, payload: &str) -> String {
    format!(r#"{{"type":"presence:{kind}","room":"a","payload":{payload}}}"#)
}

/// Arrays in arrays, so many deep.
fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

fn hello(client: &str) -> String {
    format!(r#"{{"type":"hello","payload":{{"client":{client}}}}}"#)
}

fn join(room: &str) -> String {
    format!(r#"{{"type":"room:join","room":"{room}","payload":{{}}}}"#)
}

/// Limits that are reached quickly.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.frame = 20_000;
    limits.rooms_per_connection = 3;
    limits.updates = 16;
    limits.state = 8_000;
    limits
}

fn connection_rows() -> Vec<Row> {
    let longest = "x".repeat(129);
    vec![
        Row {
            name: "rubbish bytes",
            before: Joined,
            frames: vec![Message::binary(vec![0xff, 0, 0x80, 0x7b])],
            code: "binary_frame",
            after: Closed(1003),
        },
        Row {
            name: "binary where text is due",
            before: Joined,
            frames: vec![Message::binary(br#"{"type":"ping"}"#.to_vec())],
            code: "binary_frame",
            after: Closed(1003),
        },
        row("not JSON", Joined, "rubbish {", "not_json", Closed(1008)),
        row("nothing at all", Joined, "", "not_json", Closed(1008)),
        row("half an object", Joined, r#"{"type":"ping""#, "not_json", Closed(1008)),
        row("NaN", Joined, set("n", "NaN"), "not_json", Closed(1008)),
        row("a bare control character", Joined, "{\"type\":\"pi\u{1}ng\"}", "not_json", Closed(1008)),
        row("an array", Joined, "[1]", "bad_message", Open),
        row("a number", Joined, "7", "bad_message", Open),
        row("no type", Joined, r#"{"payload":{}}"#, "bad_message", Open),
        row("type of a wrong type", Joined, r#"{"type":7}"#, "bad_message", Open),
        row("room of a wrong type", Joined, r#"{"type":"room:join","room":7}"#, "bad_message", Open),
        row("unknown message", Joined, r#"{"type":"state:explode","room":"a"}"#, "unknown_message", Open),
        row("a server's message", Joined, r#"{"type":"state:ack","room":"a"}"#, "unknown_message", Open),
        row("presence without a user", Joined, presence("set", r#"{"data":1}"#), "bad_message", Open),
        row("presence of a wrong type", Joined, presence("set", "7"), "bad_message", Open),
        row(
            "hidden of a wrong type",
            Joined,
            presence("set", r#"{"user":1,"hidden":2}"#),
            "bad_message",
            Open,
        ),
        row("unknown presence", Joined, presence("dance", "{}"), "unknown_message", Open),
        row("presence of no room", Joined, r#"{"type":"presence:leave","payload":{}}"#, "bad_room", Open),
        row(
            "large presence",
            Joined,
            presence("set", &format!(r#"{{"user":1,"data":"{}"}}"#, "x".repeat(5000))),
            "presence_too_large",
            Open,
        ),
        row(
            "too large",
            Joined,
            set("n", &format!("\"{}\"", "x".repeat(20_000))),
            "frame_too_large",
            Closed(1009),
        ),
        row("much too large", Joined, "x".repeat(3 << 20), "frame_too_large", Closed(1009)),
        row("deep", Joined, set("n", &nested(70)), "too_deep", Open),
        row(
            "deep presence",
            Joined,
            presence("set", &format!(r#"{{"user":1,"data":{}}}"#, nested(70))),
            "too_deep",
            Open,
        ),
        row(
            "deep join",
            Joined,
            format!(r#"{{"type":"room:join","room":"a","payload":{{"x":{}}}}}"#, nested(70)),
            "too_deep",
            Closed(1008),
        ),
        row("very deep", Joined, "[".repeat(19_000), "too_deep", Closed(1008)),
        row("join without hello", Nothing, join("a"), "hello_expected", Closed(1008)),
        row("unknown without hello", Nothing, r#"{"type":"boo"}"#, "hello_expected", Closed(1008)),
        row("second hello", Hello, hello("\"bad-input-client\""), "hello_repeated", Closed(1008)),
        row("hello without a client", Nothing, r#"{"type":"hello"}"#, "bad_client_id", Closed(1008)),
        row("client of a wrong type", Nothing, hello("7"), "bad_client_id", Closed(1008)),
        row("short client id", Nothing, hello("\"short\""), "bad_client_id", Closed(1008)),
        row("long client id", Nothing, hello(&format!("\"{longest}\"")), "bad_client_id", Closed(1008)),
        row(
            "unprintable client id",
            Nothing,
            hello(r#""0123456789abcd\u0007ef""#),
            "bad_client_id",
            Closed(1008),
        ),
    ]
}

fn room_rows() -> Vec<Row> {
    vec![
        row("no room", Hello, r#"{"type":"room:join"}"#, "bad_room", Open),
        row("empty room name", Hello, join(""), "bad_room", Open),
        row("overlong room name", Hello, join(&"x".repeat(129)), "bad_room", Open),
        row("control character in a room name", Hello, join("a\\nb"), "bad_room", Open),
        row(
            "join of a wrong form",
            Hello,
            r#"{"type":"room:join","room":"a","payload":[1]}"#,
            "bad_message",
            Open,
        ),
        row(
            "resume with a wrong epoch",
            Hello,
            r#"{"type":"room:join","room":"a","payload":{"resume":{"epoch":"x","version":0,"acked":0}}}"#,
            "bad_message",
            Open,
        ),
        row(
            "resume with a negative version",
            Hello,
            r#"{"type":"room:join","room":"a","payload":{"resume":{"epoch":"0","version":-1,"acked":0}}}"#,
            "bad_message",
            Open,
        ),
        row("leave without join", Hello, r#"{"type":"room:leave","room":"a"}"#, "not_joined", Open),
        row("change without join", Hello, set("n", "1"), "not_joined", Open),
        Row {
            name: "too many rooms",
            before: Joined,
            frames: ["b", "c", "d"].map(|room| Message::text(join(room))).into(),
            code: "too_many_rooms",
            after: Open,
        },
    ]
}

fn change_rows() -> Vec<Row> {
    let one = r#"[{"key":"n","value":1}]"#;
    let many = format!("[{}]", vec![r#"{"key":"n","value":1}"#; 17].join(","));
    vec![
        row("no payload", Joined, r#"{"type":"state:change","room":"a"}"#, "bad_message", Closed(1008)),
        row("text as a sequence", Joined, numbered("\"1\"", "0", one), "bad_message", Closed(1008)),
        row("negative sequence", Joined, numbered("-1", "0", one), "bad_message", Closed(1008)),
        row("fraction as a sequence", Joined, numbered("1.5", "0", one), "bad_message", Closed(1008)),
        row(
            "sequence beyond 64 bits",
            Joined,
            numbered("18446744073709551616", "0", one),
            "bad_message",
            Closed(1008),
        ),
        row("sequence 0", Joined, numbered("0", "0", one), "bad_sequence", Open),
        row("huge sequence", Joined, numbered("18446744073709551615", "0", one), "bad_sequence", Open),
        row("base from the future", Joined, numbered("1", "1000000", one), "future_version", Open),
        row("no updates", Joined, change("[]"), "bad_change", Open),
        row("too many updates", Joined, change(&many), "bad_change", Open),
        row("updates no array", Joined, change(r#"{"key":"n","value":1}"#), "bad_message", Open),
        row("update without a value", Joined, change(r#"[{"key":"n"}]"#), "bad_message", Open),
        row("key of a wrong type", Joined, change(r#"[{"key":1,"value":1}]"#), "bad_message", Open),
        row("unknown member", Joined, change(r#"[{"key":"n","value":1,"x":1}]"#), "bad_message", Open),
        row("empty key", Joined, set("", "1"), "bad_key", Open),
        row("overlong key", Joined, set(&"k".repeat(257), "1"), "bad_key", Open),
        row("reserved key", Joined, set("__proto__", "{}"), "bad_key", Open),
        row("key with a path", Joined, set("a/b", "1"), "bad_key", Open),
        row("number beyond doubles", Joined, set("n", "1e999"), "wrong_type", Open),
        row("unknown operation", Joined, change(r#"[{"key":"n","op":"boo","value":1}]"#), "unknown_op", Open),
        row(
            "too large a state",
            Joined,
            set("n", &format!("\"{}\"", "x".repeat(9_000))),
            "state_too_large",
            Open,
        ),
    ]
}

/// Two clients in the room that must not be affected.
struct Bystanders {
    writer: Client,
    reader: Client,
    seq: u64,
}

impl Bystanders {
    async fn new(address: SocketAddr) -> Self {
        let mut writer = Client::new(address, "writer").await;
        let mut reader = Client::new(address, "reader").await;
        writer.join("a").await;
        reader.join("a").await;
        Self { writer, reader, seq: 0 }
    }

    /// The next frame that each of them gets must be about this change.
    async fn exchange(&mut self, row: &str, key: &str) {
        self.seq += 1;
        self.writer.set("a", self.seq, 0, key, json!(1)).await;
        let ack = self.writer.expect("state:ack").await;
        assert_eq!(ack, json!({"seq": self.seq, "version": self.seq}), "after: {row}");
        assert_eq!(self.reader.expect("state:change").await["version"], self.seq, "after: {row}");
    }
}

async fn check(builder: ServerBuilder, key: &str, rows: Vec<Row>) {
    let (_server, address) = start(builder.limits(limits())).await;
    let mut bystanders = Bystanders::new(address).await;
    for (number, Row { name, before, frames, code, after }) in rows.into_iter().enumerate() {
        println!("{name}");
        let mut client = match before {
            Nothing => Client::silent(address).await,
            Hello | Joined => Client::new(address, &format!("row-{number}")).await,
        };
        if before == Joined {
            client.join("a").await;
        }
        let last = frames.len() - 1;
        for (index, frame) in frames.into_iter().enumerate() {
            client.send_raw(frame).await;
            if index < last {
                client.expect("state:sync").await;
            }
        }
        client.expect_error(code).await;
        match after {
            Closed(close) => assert_eq!(client.closed().await, (close, code.to_owned()), "{name}"),
            Open if before == Nothing => {}
            Open => client.ping().await,
        }
        drop(client);
        bystanders.exchange(name, key).await;
    }
}

#[tokio::test]
async fn g10_bad_connections() {
    check(Server::builder().untyped_rooms(true), "n", connection_rows()).await;
}

#[tokio::test]
async fn g10_bad_rooms() {
    check(Server::builder().untyped_rooms(true), "n", room_rows()).await;
}

#[tokio::test]
async fn g10_bad_changes() {
    check(Server::builder().untyped_rooms(true), "n", change_rows()).await;
}

#[tokio::test]
async fn g10_a_resume_from_the_future_is_told_and_sent_the_state() {
    let (_server, address) = start(Server::builder().untyped_rooms(true)).await;
    let mut bystanders = Bystanders::new(address).await;
    let mut client = Client::new(address, "future").await;
    let epoch = client.join("a").await["epoch"].clone();
    let resume = json!({"resume": {"epoch": epoch, "version": 9, "acked": 0}});
    client.send(json!({"type": "room:join", "room": "a", "payload": resume})).await;
    client.expect_error("future_version").await;
    assert_eq!(client.expect("state:sync").await["version"], 0);
    bystanders.exchange("resume from the future", "n").await;
}

#[tokio::test]
async fn g10_two_connections_with_one_client_id() {
    let (_server, address) = start(Server::builder().untyped_rooms(true)).await;
    let mut bystanders = Bystanders::new(address).await;
    let mut older = Client::new(address, "same").await;
    older.join("a").await;
    let mut newer = Client::new(address, "same").await;
    older.expect_error("superseded").await;
    assert_eq!(older.closed().await, (1008, "superseded".to_owned()));
    newer.join("a").await;
    bystanders.exchange("two connections", "n").await;
    newer.expect("state:change").await;
}

mod typed {
    use super::*;
    use serde::{Deserialize, Serialize};
    use shared_state::SharedState;

    #[derive(SharedState, Serialize, Deserialize, Clone, Default)]
    struct Inner {
        columns: u8,
    }

    #[derive(SharedState, Serialize, Deserialize, Clone, Default)]
    struct Document {
        #[shared(validate(length(max = 3)))]
        title: String,
        #[shared(counter)]
        views: i64,
        ratio: f64,
        #[shared(nested)]
        inner: Inner,
        #[shared(read_only)]
        edited: u64,
        #[shared(list(key = id))]
        items: Vec<Item>,
    }

    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    struct Item {
        id: u8,
        size: u8,
    }

    #[tokio::test]
    async fn g10_bad_changes_of_a_typed_room() {
        let rows = vec![
            row("unknown field", Joined, set("nothing", "1"), "unknown_field", Open),
            row("reserved key", Joined, set("__proto__", "{}"), "unknown_field", Open),
            row("empty key", Joined, set("", "1"), "unknown_field", Open),
            row("unknown part", Joined, set("inner/rows", "1"), "unknown_field", Open),
            row("part of a plain field", Joined, set("title/x", "1"), "unknown_field", Open),
            row("wrong type", Joined, set("title", "7"), "wrong_type", Open),
            row("null", Joined, set("title", "null"), "wrong_type", Open),
            row("wrong type inside", Joined, set("inner/columns", "256"), "wrong_type", Open),
            row("number beyond doubles", Joined, set("ratio", "1e999"), "wrong_type", Open),
            row("number beyond its type", Joined, set("views", "9223372036854775808"), "wrong_type", Open),
            row("rule broken", Joined, set("title", r#""four""#), "invalid", Open),
            row("read-only", Joined, set("edited", "1"), "read_only", Open),
            row("item that is not there", Joined, set("items/9", r#"{"id":9,"size":1}"#), "gone", Open),
            row(
                "move of what is not there",
                Joined,
                change(
                    r#"[{"key":"items/9","op":"take","value":{"to":"items"}},
                        {"key":"items","op":"insert","value":{"item":{"id":9,"size":1}}}]"#,
                ),
                "gone",
                Open,
            ),
            row(
                "half a move",
                Joined,
                change(r#"[{"key":"items/9","op":"take","value":{"to":"items"}}]"#),
                "invalid",
                Open,
            ),
            row(
                "move to nowhere",
                Joined,
                change(r#"[{"key":"items/9","op":"transfer","value":{"to":7}}]"#),
                "wrong_type",
                Open,
            ),
            row(
                "two items of one key",
                Joined,
                change(
                    r#"[{"key":"items","op":"insert","value":{"item":{"id":1,"size":1}}},
                        {"key":"items","op":"insert","value":{"item":{"id":1,"size":2}}}]"#,
                ),
                "exists",
                Open,
            ),
            row(
                "unknown operation",
                Joined,
                change(r#"[{"key":"views","op":"boo","value":1}]"#),
                "unknown_op",
                Open,
            ),
            row(
                "the second of two is wrong",
                Joined,
                change(r#"[{"key":"ratio","value":2},{"key":"title","value":7}]"#),
                "wrong_type",
                Open,
            ),
            row(
                "read from an unknown field",
                Joined,
                r#"{"type":"state:change","room":"a","payload":{"seq":1,"base":0,"reads":["x"],"updates":[{"key":"ratio","value":2}]}}"#,
                "unknown_field",
                Open,
            ),
        ];
        check(Server::builder().rooms("a", Document::default), "ratio", rows).await;
    }
}
