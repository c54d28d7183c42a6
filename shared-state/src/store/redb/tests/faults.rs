//! A scripted run on a disk of which the n-th call fails, for every n.
//!
//! The model of a room is the list of all states that it may be in. A call that succeeds leaves the states that allow
//! it; one that fails leaves each state with and without the call's effect; a load tells which it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::disk::{Disk, Fault, Plan, SHORT};
use super::{EPOCH, answered, available};
use crate::store::{
    Append, AppendError, CompactError, Entry, RedbStore, RoomInfo, RoomStore, Snapshot, StoreFuture,
    StoredRoom,
};
use crate::store::{DeleteError, ListError, LoadError};

type Room = Option<StoredRoom>;

/// How often each room is written and read.
const ROUNDS: usize = 4;
const ROOMS: [&str; 3] = ["a", "aa", "b"];

/// A write and its effect on a room.
#[derive(Clone, Debug)]
enum Write {
    Append(u64, Bytes),
    Compact(Snapshot),
    Delete,
}

impl Write {
    /// The room after the write; `None` if the room's state does not allow it.
    fn apply(&self, room: &Room) -> Option<Room> {
        match (self, room) {
            (Self::Append(0, bytes), None) => {
                let first = Entry { version: 1, bytes: bytes.clone() };
                Some(Some(StoredRoom { epoch: EPOCH, snapshot: None, tail: vec![first] }))
            }
            (Self::Append(expected, bytes), Some(room)) if room.version() == *expected => {
                let mut room = room.clone();
                room.tail.push(Entry { version: expected + 1, bytes: bytes.clone() });
                Some(Some(room))
            }
            (Self::Compact(taken), Some(room)) if taken.version <= room.version() => {
                let mut room = room.clone();
                if room.snapshot.as_ref().is_none_or(|stored| stored.version < taken.version) {
                    room.tail.retain(|entry| entry.version > taken.version);
                    room.snapshot = Some(taken.clone());
                }
                Some(Some(room))
            }
            (Self::Delete, _) => Some(None),
            (Self::Append(..) | Self::Compact(_), _) => None,
        }
    }
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Conflict,
    Unknown,
}

/// A call on its way.
enum Call {
    Append(&'static str, Write, StoreFuture<(), AppendError>),
    Compact(&'static str, Write, StoreFuture<(), CompactError>),
    Delete(&'static str, StoreFuture<(), DeleteError>),
    Load(&'static str, StoreFuture<Room, LoadError>),
    List(StoreFuture<Vec<RoomInfo>, ListError>),
}

/// The states that the rooms may be in.
struct Model {
    rooms: BTreeMap<&'static str, Vec<Room>>,
    /// How many calls were answered with an error.
    errors: usize,
}

impl Model {
    fn new() -> Self {
        Self { rooms: ROOMS.into_iter().map(|room| (room, vec![None])).collect(), errors: 0 }
    }

    fn states(&mut self, room: &str) -> &mut Vec<Room> {
        self.rooms.get_mut(room).unwrap()
    }

    /// The room's state; `None` if it may be in several.
    fn known(&self, room: &str) -> Option<&Room> {
        match &self.rooms[room][..] {
            [state] => Some(state),
            _ => None,
        }
    }

    fn written(&mut self, room: &str, write: &Write, outcome: Outcome) {
        let states = self.states(room);
        let mut after: Vec<Room> = Vec::new();
        for state in states.iter() {
            let written = write.apply(state);
            match outcome {
                Outcome::Done => after.extend(written),
                Outcome::Conflict if written.is_none() => after.push(state.clone()),
                Outcome::Conflict => {}
                Outcome::Unknown => {
                    after.push(state.clone());
                    after.extend(written);
                }
            }
        }
        assert!(!after.is_empty(), "{outcome:?} for {write:?} in {room}, which is {states:?}");
        let mut distinct: Vec<Room> = Vec::new();
        after.into_iter().for_each(|state| {
            if !distinct.contains(&state) {
                distinct.push(state)
            }
        });
        *states = distinct;
        self.errors += usize::from(outcome == Outcome::Unknown);
    }

    fn loaded(&mut self, room: &str, found: Room) {
        let states = self.states(room);
        assert!(states.contains(&found), "{room} is {found:?}, it may be {states:?}");
        *states = vec![found];
    }

    fn listed(&mut self, list: &[RoomInfo]) {
        for (name, states) in &mut self.rooms {
            let found = list.iter().find(|info| *info.room == **name).map(|info| info.version);
            states.retain(|state| state.as_ref().map(StoredRoom::version) == found);
            assert!(!states.is_empty(), "{name} is listed at {found:?}");
        }
    }

    /// Waits for a call and applies its outcome.
    async fn answer(&mut self, call: Call) {
        match call {
            Call::Append(room, write, call) => {
                let outcome = match answered(call).await {
                    Ok(()) => Outcome::Done,
                    Err(AppendError::Conflict { .. }) => Outcome::Conflict,
                    Err(AppendError::Storage { .. }) => Outcome::Unknown,
                    Err(error) => panic!("{error:?}"),
                };
                self.written(room, &write, outcome);
            }
            Call::Compact(room, write, call) => {
                let outcome = match answered(call).await {
                    Ok(()) => Outcome::Done,
                    Err(CompactError::Conflict { .. }) => Outcome::Conflict,
                    Err(CompactError::Storage { .. }) => Outcome::Unknown,
                    Err(error) => panic!("{error:?}"),
                };
                self.written(room, &write, outcome);
            }
            Call::Delete(room, call) => {
                let outcome = match answered(call).await {
                    Ok(()) => Outcome::Done,
                    Err(DeleteError::Storage { .. }) => Outcome::Unknown,
                    Err(error) => panic!("{error:?}"),
                };
                self.written(room, &Write::Delete, outcome);
            }
            Call::Load(room, call) => match answered(call).await {
                Ok(found) => self.loaded(room, found),
                Err(LoadError::Storage { .. }) => self.errors += 1,
                Err(error) => panic!("{error:?}"),
            },
            Call::List(call) => match answered(call).await {
                Ok(list) => self.listed(&list),
                Err(ListError::Storage { .. }) => self.errors += 1,
                Err(error) => panic!("{error:?}"),
            },
        }
    }

    /// Loads the rooms whose state is not known, as a server does after an error, as soon as the store is available.
    async fn load_unknown(&mut self, store: &RedbStore) {
        for room in ROOMS {
            while self.known(room).is_none() {
                available(store).await;
                self.answer(Call::Load(room, store.load(room.into()))).await;
            }
        }
    }
}

fn append(store: &RedbStore, room: &'static str, expected: u64, bytes: Bytes) -> Call {
    let call = store.append(Append { room: room.into(), epoch: EPOCH, expected, entry: bytes.clone() });
    Call::Append(room, Write::Append(expected, bytes), call)
}

/// The calls of one round, all made before the first is awaited.
fn round(store: &RedbStore, model: &Model, random: &mut fastrand::Rng) -> Vec<Call> {
    let mut calls = Vec::new();
    for name in ROOMS {
        let room: Arc<str> = name.into();
        let mut at = model.known(name).and_then(Option::as_ref).map_or(0, StoredRoom::version);
        for _ in 0..random.u64(1..4) {
            let len = if random.u8(..10) == 0 { random.usize(9_000..60_000) } else { random.usize(..300) };
            calls.push(append(store, name, at, Bytes::from(vec![random.u8(..); len])));
            at += 1;
        }
        match random.u8(..12) {
            0..3 => {
                let len = random.usize(..20_000);
                let taken = Snapshot { version: at - 1, bytes: Bytes::from(vec![random.u8(..); len]) };
                let call = store.compact(room, EPOCH, taken.clone());
                calls.push(Call::Compact(name, Write::Compact(taken), call));
            }
            3 => calls.push(Call::Delete(name, store.delete(room))),
            4..7 => calls.push(Call::Load(name, store.load(room))),
            _ => {}
        }
    }
    // A read may also see the calls after it that were committed together with those before it, so it comes last.
    if random.u8(..3) == 0 {
        calls.push(Call::List(store.list()));
    }
    calls
}

/// Runs the script on a disk with this plan. Returns whether a call failed, and how many were made.
async fn run(image: &[u8], plan: Option<Plan>) -> (bool, usize) {
    let disk = Disk::holding(image.to_vec());
    if let Some(plan) = plan {
        disk.fail(plan);
    }
    let lasts = plan.is_some_and(|plan| plan.calls == usize::MAX);
    let mut random = fastrand::Rng::with_seed(7);
    let mut model = Model::new();
    // A fault while the store is opened for the first time is returned; the next attempt is the program's.
    let store = loop {
        match disk.open_with(SHORT, None) {
            Ok(store) => break store,
            Err(_) if lasts => disk.repair(),
            Err(_) => {}
        }
    };
    for _ in 0..ROUNDS {
        let errors = model.errors;
        for call in round(&store, &model, &mut random) {
            model.answer(call).await;
        }
        if model.errors > errors && lasts {
            // Every further call has an error, and the store is not available.
            for room in ROOMS {
                let call = append(&store, room, 1000, Bytes::new());
                let errors = model.errors;
                let Call::Append(.., call) = call else { unreachable!() };
                assert!(matches!(answered(call).await, Err(AppendError::Storage { .. })));
                model.answer(Call::Load(room, store.load(room.into()))).await;
                assert!(model.errors > errors, "{room} was read");
            }
            assert!(!store.is_available());
            disk.repair();
        }
        model.load_unknown(&store).await;
    }
    available(&store).await;
    let errors = model.errors;
    for room in ROOMS {
        let at = model.known(room).unwrap().as_ref().map_or(0, StoredRoom::version);
        model.answer(append(&store, room, at, Bytes::from_static(b"at last"))).await;
    }
    if model.errors > errors && lasts {
        disk.repair();
    }
    model.load_unknown(&store).await;
    let closed = answered(store.close()).await;
    drop(store);
    let (failed, calls) = (disk.has_failed(), disk.with(|disk| disk.calls));
    assert!(closed.is_ok() || failed, "{closed:?}");
    // The power fails: what the disk has synced is the same.
    let store = Disk::holding(disk.image()).open();
    for room in ROOMS {
        let found = store.load(room.into()).await.unwrap();
        model.loaded(room, found);
    }
    (failed, calls)
}

/// Runs the script once for each call of the disk, with this fault at that call.
async fn at_each_call(fault: Fault, calls: usize) {
    let image = Disk::formatted().image();
    let (_, made) = run(&image, None).await;
    let (mut injected, mut beyond) = (0, 0);
    for at in 0.. {
        let plan = Plan { at, calls, fault };
        let _shown = Shown(plan);
        let (failed, _) = run(&image, Some(plan)).await;
        injected += usize::from(failed);
        beyond += usize::from(!failed);
        // How the calls are grouped, and so how many the disk gets, differs from run to run.
        if at > made && beyond > 3 {
            break;
        }
    }
    println!("{injected} faults, {made} calls of the disk without one");
    assert!(injected > made / 2, "{injected} faults in {made} calls");
}

/// Shows the plan of the run that fails.
struct Shown(Plan);

impl Drop for Shown {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?}", self.0);
        }
    }
}

#[tokio::test]
async fn g2_one_broken_call_of_the_disk_loses_nothing_acknowledged_and_the_store_goes_on() {
    at_each_call(Fault::Broken, 1).await;
}

#[tokio::test]
async fn g2_one_call_on_a_full_disk_loses_nothing_acknowledged_and_the_store_goes_on() {
    at_each_call(Fault::Full, 1).await;
}

#[tokio::test]
async fn g2_a_disk_that_breaks_for_some_calls_loses_nothing_acknowledged_and_the_store_goes_on() {
    at_each_call(Fault::Broken, 9).await;
}

#[tokio::test]
async fn g2_a_disk_that_stays_full_until_it_is_freed_loses_nothing_acknowledged_and_the_store_goes_on() {
    at_each_call(Fault::Full, usize::MAX).await;
}
