//! The stores: one suite for all of them, and what only the durable one must do.

#![allow(
    clippy::unwrap_used,
    reason = "clippy knows the unwraps of `#[test]` functions only, not of async ones"
)]

mod busy;
mod conformance;
mod damage;
mod kill;
mod outage;
mod redb_store;

use std::sync::Arc;

use bytes::Bytes;
use shared_state::store::{Append, Entry, RoomStore, Snapshot};

const EPOCH: u64 = 0xE1;

fn room(name: &str) -> Arc<str> {
    Arc::from(name)
}

/// The append that takes `room` from `expected` to the next version.
fn entry(room: &Arc<str>, expected: u64) -> Append {
    Append { room: room.clone(), epoch: EPOCH, expected, entry: text(room, expected + 1) }
}

/// The entry that the tests write for a version.
fn text(room: &str, version: u64) -> Bytes {
    Bytes::from(format!("{room} {version}"))
}

fn snapshot(room: &str, version: u64) -> Snapshot {
    Snapshot { version, bytes: Bytes::from(format!("{room} up to {version}")) }
}

fn entries(room: &str, versions: impl IntoIterator<Item = u64>) -> Vec<Entry> {
    versions.into_iter().map(|version| Entry { version, bytes: text(room, version) }).collect()
}

/// Appends the versions `from + 1` to `to`, all in flight at once.
async fn fill(store: &dyn RoomStore, room: &Arc<str>, from: u64, to: u64) {
    let calls: Vec<_> = (from..to).map(|expected| store.append(entry(room, expected))).collect();
    for call in calls {
        call.await.unwrap();
    }
}
