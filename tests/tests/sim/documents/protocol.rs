//! Checks the examples of `PROTOCOL.md` against the code.

#![allow(missing_docs)]

use shared_state::proto::authority::{UNKNOWN_FIELDS, UNKNOWN_FIELDS_BYTES};
use shared_state::proto::legacy::LegacyMessage;
use shared_state::proto::{ClientMessage, Code, Envelope, Limits, RoomDetails, ServerMessage, presence};
use shared_state::schema::Schema;

const PROTOCOL: &str = include_str!("../../../../PROTOCOL.md");

#[test]
fn every_code_is_documented() {
    for code in Code::ALL.iter().filter(|code| **code != Code::Closed) {
        assert!(PROTOCOL.contains(&format!("| `{code}` |")), "PROTOCOL.md leaves out `{code}`");
        assert_eq!(Code::from_text(code.as_str()), *code);
    }
}

#[test]
fn every_example_is_a_message() {
    let mut heading = "";
    let mut examples = 0;
    for line in PROTOCOL.lines() {
        if line.starts_with('#') {
            heading = line;
        }
        let Some(frame) = line.strip_prefix("{\"type\"").map(|_| line) else { continue };
        let envelope = Envelope::read(frame).unwrap_or_else(|error| panic!("{frame}: {error}"));
        let read = if heading.contains("dialect") {
            LegacyMessage::read(&envelope).map(drop)
        } else if heading.contains("a page is told") {
            assert_eq!(frame, room_frame(&envelope), "as the server writes it");
            Ok(())
        } else if heading.contains("→ server") || heading.contains("both ways") {
            ClientMessage::read(&envelope).map(drop)
        } else if heading.contains("→ client") {
            ServerMessage::read_envelope(&envelope).map(|message| {
                assert!(!matches!(message, ServerMessage::Unknown), "{frame}");
            })
        } else {
            Ok(())
        };
        read.unwrap_or_else(|error| panic!("under `{heading}`: {frame}: {error}"));
        examples += 1;
    }
    assert!(examples >= 15, "only {examples} examples were found");
}

/// The frame that the server writes to a legacy client for this message, with spaces as in the document.
fn room_frame(envelope: &Envelope<'_>) -> String {
    let json = |value: &serde_json::Value| value.to_string();
    let room = envelope.room.as_deref().unwrap_or_default();
    let text = envelope.payload.map_or("null", |payload| payload.get());
    let payload: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let frame = match &*envelope.kind {
        "room:joined" => {
            let users: Vec<_> = payload["users"].as_array().into_iter().flatten().map(json).collect();
            let mut details = RoomDetails::default();
            details.created_at = payload["createdAt"].as_u64();
            details.metadata = payload.get("metadata").map(json).map(Into::into);
            presence::legacy_joined(room, &users, &details)
        }
        "room:user:joined" => presence::legacy_user_joined(room, text),
        "room:user:left" => presence::legacy_user_left(room, text),
        kind => panic!("no page is told `{kind}`"),
    };
    let value: serde_json::Value = serde_json::from_str(frame.as_str()).expect("JSON");
    let said = PROTOCOL.lines().find(|line| {
        let read =
            line.starts_with("{\"type\"").then(|| serde_json::from_str::<serde_json::Value>(line).ok());
        read.flatten().as_ref() == Some(&value)
    });
    said.unwrap_or(frame.as_str()).to_owned()
}

#[test]
fn the_default_limits_are_the_documented_ones() {
    let limits = Limits::default();
    for (what, said) in [
        (limits.frame == 1 << 20, "1 MiB"),
        (limits.depth == 64, "nest deeper than 64"),
        (limits.key == 256, "longer than 256 bytes"),
        (limits.room_name == 128, "longer than 128 bytes"),
        (limits.updates == 65_536, "more than 65,536"),
        (limits.rooms_per_connection == 64, "in 64 rooms"),
        (limits.state == 4 << 20, "beyond 4 MiB"),
        (UNKNOWN_FIELDS == 256, "at most 256 such fields"),
        (UNKNOWN_FIELDS_BYTES == 1 << 20, "1 MiB of them"),
        (limits.queue == 256, "at most 256 frames"),
        (limits.relays == 0, "relays nothing, which is the default"),
        (limits.relay == 65536, "65536 bytes (`message_too_large`)"),
        (limits.presence == 4096, "at most 4096 bytes together"),
        (limits.present == 1000, "1,000 sessions take part"),
        (limits.presence_interval.as_millis() == 50, "for 50 ms"),
        (limits.clients_per_room == 10_000, "10,000 clients"),
        (limits.window == 128, "\"window\": 128"),
        (limits.heartbeat.as_millis() == 30_000, "\"heartbeat\": 30000"),
    ] {
        assert!(what && PROTOCOL.contains(said), "PROTOCOL.md and the default limit differ: {said}");
    }
}

#[test]
fn the_schema_in_the_example_hashes_as_it_is_said() {
    let line = PROTOCOL.lines().find(|line| line.starts_with("{\"version\"")).unwrap_or_default();
    let schema: Schema = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let compact = line.replace(": ", ":").replace(", ", ",");
    assert_eq!(serde_json::to_string(&schema).ok(), Some(compact.clone()));
    let hash = compact.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    assert_eq!(schema.hash(), hash);
}
