//! What one operation on a list costs a client, whatever the length of the list: in a `List`, and in a `Vec` beside it.
//!
//! A remote change is read from its frame and applied to the confirmed state and to the view; a local one is shown,
//! framed and sent.

#![allow(missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use divan::{Bencher, black_box};
use serde::{Deserialize, Serialize};
use shared_state::merge::{ListOp, NestedOp, Place};
use shared_state::proto::replica::{Replica, ReplicaConfig};
use shared_state::proto::{Frame, Outcomes, RoomMessage, ServerMessage, server};
use shared_state::{List, SharedState};

const ITEMS: &[u32] = &[10, 1_000, 100_000];

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Todo {
    id: u32,
    title: String,
    done: bool,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Long {
    #[shared(list(key = id, nested))]
    items: List<Todo>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Plain {
    #[shared(list(key = id, nested))]
    items: Vec<Todo>,
}

fn main() {
    divan::main();
}

fn todos(count: u32) -> Vec<Todo> {
    (0..count)
        .map(|id| Todo { id, title: format!("what has to be done as number {id}"), done: false })
        .collect()
}

fn live<S: SharedState>(initial: S) -> Replica<S> {
    let mut replica = Replica::new(Arc::from("room"), initial, ReplicaConfig::default());
    replica.connected(128);
    receive(
        &mut replica,
        &server::sync("room", 1, 0, &"{}".to_owned().into(), Default::default(), &Outcomes::default()),
    );
    while replica.poll_frame().is_some() {}
    replica
}

fn receive<S: SharedState>(replica: &mut Replica<S>, frame: &Frame) {
    let Ok(ServerMessage::Room(_, message)) = ServerMessage::of(frame) else { return };
    let _ = replica.receive(message);
    while replica.poll_event().is_some() {}
}

/// Applies remote changes, the updates made by `update` of a running number.
fn remote<S: SharedState>(bencher: Bencher<'_, '_>, initial: S, update: impl Fn(u64) -> String) {
    let mut replica = live(initial);
    let mut version = 0;
    bencher
        .with_inputs(|| {
            version += 1;
            server::change("room", version, "other", &format!("[{}]", update(version)), None)
        })
        .bench_local_refs(|frame| receive(&mut replica, black_box(frame)));
}

fn tick(items: u32) -> impl Fn(u64) -> String {
    move |n| {
        let id = n.wrapping_mul(7_919) % u64::from(items);
        format!(r#"{{"key":"items/{id}/done","value":{}}}"#, n % 2 == 0)
    }
}

/// Inserts into the middle; every second change removes what the one before inserted.
fn insert(items: u32) -> impl Fn(u64) -> String {
    move |n| match n % 2 {
        1 => format!(
            r#"{{"key":"items","op":"insert","value":{{"after":"{}","item":{{"id":{},"title":"","done":true}}}}}}"#,
            items / 2,
            u64::from(items) + n
        ),
        _ => format!(r#"{{"key":"items/{}","op":"delete","value":null}}"#, u64::from(items) + n - 1),
    }
}

fn shift(items: u32) -> impl Fn(u64) -> String {
    move |n| {
        let (id, after) =
            (n.wrapping_mul(7_919) % u64::from(items), n.wrapping_mul(104_729) % u64::from(items));
        format!(r#"{{"key":"items/{id}","op":"move","value":{{"after":"{after}"}}}}"#)
    }
}

#[divan::bench(args = ITEMS)]
fn remote_edit(bencher: Bencher<'_, '_>, items: u32) {
    remote(bencher, Long { items: todos(items).into() }, tick(items));
}

#[divan::bench(args = ITEMS)]
fn remote_edit_in_a_vec(bencher: Bencher<'_, '_>, items: u32) {
    remote(bencher, Plain { items: todos(items) }, tick(items));
}

#[divan::bench(args = ITEMS)]
fn remote_insert(bencher: Bencher<'_, '_>, items: u32) {
    remote(bencher, Long { items: todos(items).into() }, insert(items));
}

#[divan::bench(args = ITEMS)]
fn remote_insert_in_a_vec(bencher: Bencher<'_, '_>, items: u32) {
    remote(bencher, Plain { items: todos(items) }, insert(items));
}

#[divan::bench(args = ITEMS)]
fn remote_move(bencher: Bencher<'_, '_>, items: u32) {
    remote(bencher, Long { items: todos(items).into() }, shift(items));
}

#[divan::bench(args = ITEMS)]
fn remote_move_in_a_vec(bencher: Bencher<'_, '_>, items: u32) {
    remote(bencher, Plain { items: todos(items) }, shift(items));
}

/// Writes and is acknowledged.
fn local(bencher: Bencher<'_, '_>, items: u32, op: impl Fn(u64) -> LongUpdate) {
    let mut replica = live(Long { items: todos(items).into() });
    let mut seq = 0;
    bencher.bench_local(|| {
        seq += 1;
        let _ = black_box(replica.write(Duration::ZERO, vec![op(seq)]));
        while replica.poll_frame().is_some() {}
        let _ = replica.receive(RoomMessage::Accepted { seq, version: seq, updates: None });
        while replica.poll_event().is_some() {}
        while replica.poll_answer().is_some() {}
    });
}

#[divan::bench(args = ITEMS)]
fn local_edit(bencher: Bencher<'_, '_>, items: u32) {
    local(bencher, items, |n| {
        let key = (n.wrapping_mul(7_919) % u64::from(items)).to_string();
        let op = NestedOp::In(Box::new(Todo::DONE.set(n % 2 == 0)));
        Long::ITEMS.op(ListOp::In(key.as_str().into(), op))
    });
}

#[divan::bench(args = ITEMS)]
fn local_move(bencher: Bencher<'_, '_>, items: u32) {
    local(bencher, items, |n| {
        let key = (n.wrapping_mul(7_919) % u64::from(items)).to_string();
        let after = (n.wrapping_mul(104_729) % u64::from(items)).to_string();
        Long::ITEMS.op(ListOp::Move(key.as_str().into(), Place::After(after.as_str().into())))
    });
}
