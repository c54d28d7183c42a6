//! States that several sessions are sent at the same time: each is sent the state as it is then, though the frames before
//! it are still on their way and share its text if they can.

#![allow(missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_state::SharedState;
use shared_state::proto::authority::{
    Authority, ChannelLog, Dialect, Permissions, Retention, RoomState, Typed,
};
use shared_state::proto::{Frame, JoinRequest, Limits};
use shared_state_tests::Tube;

/// Longer than what frames do not share.
const LONG: usize = 20 << 10;

/// The state in a frame.
fn state_in(frame: &Frame) -> Value {
    let mut message: Value = serde_json::from_str(frame.as_str()).expect("JSON");
    assert!(frame.len() > LONG || message["channel"] == "chat", "{frame:?}");
    message["payload"]["data"].take()
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Paper {
    text: String,
    title: String,
    #[shared(read = "editor")]
    notes: String,
}

struct Editor;

impl Permissions for Editor {
    fn write(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn has(&self, role: &str) -> bool {
        role == "editor"
    }
}

struct Room {
    authority: Authority<Tube>,
    /// What sessions were sent when they joined. The texts are shared while it exists.
    sent: Vec<Frame>,
}

impl Room {
    fn new(state: impl RoomState + 'static) -> Self {
        let limits = Arc::new(Limits::default());
        Self { authority: Authority::new("paper".into(), 7, Box::new(state), limits), sent: Vec::new() }
    }

    /// Joins and returns the state that the session is sent.
    fn join(&mut self, dialect: Dialect, request: &JoinRequest, is_editor: bool) -> Value {
        let tube = Tube::default();
        let permissions = is_editor.then(|| Arc::new(Editor) as Arc<dyn Permissions>);
        let joined = self.authority.join_with("me".into(), dialect, request, permissions, tube.clone());
        let id = joined.expect("the fields fit");
        if dialect == Dialect::Legacy {
            self.authority.legacy_sync(id);
        }
        self.sent.extend(std::iter::from_fn(|| tube.pop()));
        state_in(self.sent.last().expect("a frame"))
    }

    fn write(&mut self, updates: &str) {
        let written = self.authority.submit_server(updates).expect("a sound change");
        self.authority.committed(written.version);
    }
}

fn paper() -> Room {
    Room::new(Typed::new(Paper { text: "x".repeat(LONG), notes: "secret".into(), ..Paper::default() }))
}

#[test]
fn g1_g12_each_session_is_sent_its_part_of_the_current_state() {
    let mut room = paper();
    for title in ["", "one", "two"] {
        if !title.is_empty() {
            room.write(&format!(r#"[{{"key":"title","value":"{title}"}}]"#));
        }
        for dialect in [Dialect::V1, Dialect::Legacy, Dialect::V1, Dialect::Legacy] {
            for (is_editor, notes) in [(false, Value::Null), (true, json!("secret"))] {
                let state = room.join(dialect, &JoinRequest::default(), is_editor);
                assert_eq!((&state["title"], &state["notes"]), (&json!(title), &notes), "{dialect:?}");
            }
        }
    }
}

#[test]
fn g8_a_field_that_was_declared_is_in_the_next_state() {
    let mut room = paper();
    let declaring = |initial: &str| {
        let declaration = json!({ "policy": "lww", "shape": "string", "initial": initial });
        let declaration = serde_json::from_value(declaration).expect("a declaration");
        JoinRequest { declare: [("extra".into(), declaration)].into(), ..JoinRequest::default() }
    };
    let before = room.join(Dialect::V1, &JoinRequest::default(), true);
    let declared = room.join(Dialect::V1, &declaring("mine"), true);
    let after = room.join(Dialect::V1, &JoinRequest::default(), true);
    assert_eq!(
        [&before["extra"], &declared["extra"], &after["extra"]],
        [&Value::Null, &json!("mine"), &json!("mine")]
    );
}

#[test]
fn a_message_that_has_become_too_old_is_not_in_the_next_state() {
    let entries = |state: &Value| state["messages"]["entries"].as_array().map(Vec::len);
    let mut history = Retention::default();
    history.age = Some(Duration::from_secs(1));
    let limits = Arc::new(Limits::default());
    let log = Box::new(ChannelLog::new(history, 2 * LONG));
    let address = shared_state::proto::channel_address("paper", "chat");
    let mut room = Room { authority: Authority::new(address.into(), 7, log, limits), sent: Vec::new() };
    room.authority.set_time(10_000);
    let message = "m".repeat(LONG);
    room.write(&format!(r#"[{{"key":"messages","op":"send","value":"{message}"}}]"#));
    let state = room.join(Dialect::V1, &JoinRequest::default(), false);
    assert_eq!(entries(&state), Some(1));
    room.authority.set_time(12_000);
    let state = room.join(Dialect::V1, &JoinRequest::default(), false);
    assert_eq!(entries(&state), Some(0));
}
