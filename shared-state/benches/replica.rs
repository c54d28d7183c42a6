//! What one write and one remote change cost a client, whatever the size of the state around them.
//!
//! The floor is what no way of doing it can avoid: encoding the value once and decoding it once.

#![allow(missing_docs)]

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use divan::{Bencher, black_box};
use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::proto::replica::{Replica, ReplicaConfig};
use shared_state::proto::{Frame, Outcomes, RoomMessage, ServerMessage, server};

const ENTRIES: &[usize] = &[10, 1_000, 100_000];

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    title: String,
    #[shared(counter)]
    views: i64,
    entries: Vec<String>,
}

fn main() {
    divan::main();
}

/// A live replica whose state has `entries` entries.
fn replica(entries: usize) -> Replica<Document> {
    let entries = (0..entries).map(|entry| format!("entry number {entry}")).collect();
    let initial = Document { entries, ..Document::default() };
    let mut replica = Replica::new(Arc::from("room"), initial, ReplicaConfig::default());
    replica.connected(128);
    receive(
        &mut replica,
        &server::sync("room", 1, 0, &"{}".to_owned().into(), Default::default(), &Outcomes::default()),
    );
    while replica.poll_frame().is_some() {}
    replica
}

fn receive(replica: &mut Replica<Document>, frame: &Frame) {
    let Ok(ServerMessage::Room(_, message)) = ServerMessage::of(frame) else { return };
    let _ = replica.receive(message);
    while replica.poll_event().is_some() {}
    while replica.poll_answer().is_some() {}
}

/// A field is set, shown, framed and sent. It is acknowledged between two samples, so that the queue stays short.
#[divan::bench(args = ENTRIES)]
fn local_set(bencher: Bencher<'_, '_>, entries: usize) {
    let replica = RefCell::new(replica(entries));
    let mut seq = 0;
    let with_inputs = || {
        if seq > 0 {
            let ack = RoomMessage::Accepted { seq, version: seq, updates: None };
            let _ = replica.borrow_mut().receive(ack);
            while replica.borrow_mut().poll_answer().is_some() {}
        }
        seq += 1;
        DocumentUpdate::Title("My Document".to_owned())
    };
    bencher.with_inputs(with_inputs).bench_local_values(|update| {
        let replica = &mut *replica.borrow_mut();
        let _ = black_box(replica.write(Duration::ZERO, vec![update]));
        while replica.poll_frame().is_some() {}
        while replica.poll_event().is_some() {}
    });
}

#[divan::bench]
fn local_set_floor(bencher: Bencher<'_, '_>) {
    let mut state = Document::default();
    bencher.bench_local(|| {
        let title = black_box("My Document".to_owned());
        let frame = serde_json::to_string(&title).unwrap_or_default();
        state.title = serde_json::from_str(&frame).unwrap_or_default();
        black_box((&frame, &state));
    });
}

/// A frame with somebody's change is read and applied.
#[divan::bench(args = ENTRIES)]
fn remote_apply(bencher: Bencher<'_, '_>, entries: usize) {
    let mut replica = replica(entries);
    let mut version = 0;
    bencher
        .with_inputs(|| {
            version += 1;
            server::change("room", version, "other", r#"[{"key":"title","value":"My Document"}]"#, None)
        })
        .bench_local_refs(|frame| receive(&mut replica, frame));
}

#[divan::bench]
fn remote_apply_floor(bencher: Bencher<'_, '_>) {
    let frame = server::change("room", 1, "other", r#"[{"key":"title","value":"My Document"}]"#, None);
    let mut state = Document::default();
    bencher.bench_local(|| {
        let frame: serde_json::Value = serde_json::from_str(black_box(frame.as_str())).unwrap_or_default();
        state.title = frame["payload"]["updates"][0]["value"].as_str().unwrap_or_default().to_owned();
        black_box(&state);
    });
}
