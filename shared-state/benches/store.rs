//! Durable appends through `RedbStore`, against redb alone: transactions of the same number of records of the same
//! size, with the same durability and quick repair, in the same run on the same disk.
//!
//! `cargo bench --bench store --no-default-features --features redb`
//!
//! A comparison is printed first: both sides take turns, and redb alone commits groups of the size the store made.
//! The table after it has each side by itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use redb::{Database, Durability, TableDefinition};
use shared_state::store::{Append, RedbStore, RoomStore};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const ROOMS: [u64; 3] = [1, 8, 64];
/// Appends of one room that are outstanding.
const PIPELINE: u64 = 16;
/// Appends of one room in a run.
const APPENDS: u64 = 128;
const ENTRY: usize = 100;

fn main() {
    compare();
    divan::main();
}

struct Store {
    runtime: Runtime,
    store: RedbStore,
    rooms: Vec<Arc<str>>,
    at: u64,
    entry: Bytes,
    _dir: TempDir,
}

impl Store {
    fn new(rooms: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
            store: RedbStore::open(dir.path()).expect("a store"),
            rooms: (0..rooms).map(|n| Arc::from(format!("room {n}"))).collect(),
            at: 0,
            entry: Bytes::from(vec![7; ENTRY]),
            _dir: dir,
        }
    }

    /// Each room appends, a number of entries always outstanding.
    fn run(&mut self) {
        let Self { store, rooms, at, entry, .. } = self;
        self.runtime.block_on(async {
            let mut outstanding = VecDeque::new();
            for n in 0..APPENDS {
                for room in rooms.iter() {
                    if outstanding.len() as u64 >= PIPELINE * rooms.len() as u64 {
                        let oldest: shared_state::store::StoreFuture<_, _> =
                            outstanding.pop_front().expect("it is not empty");
                        oldest.await.expect("appended");
                    }
                    let append =
                        Append { room: room.clone(), epoch: 1, expected: *at + n, entry: entry.clone() };
                    outstanding.push_back(store.append(append));
                }
            }
            for append in outstanding {
                append.await.expect("appended");
            }
        });
        *at += APPENDS;
    }
}

struct Floor {
    db: Database,
    rooms: Vec<String>,
    at: u64,
    _dir: TempDir,
}

impl Floor {
    const LOG: TableDefinition<'static, (&'static str, u64), &'static [u8]> = TableDefinition::new("log");

    fn new(rooms: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let db = redb::Builder::new().set_cache_size(64 << 20).create(dir.path().join("floor.redb"));
        let rooms = (0..rooms).map(|n| format!("room {n}")).collect();
        Self { db: db.expect("a database"), rooms, at: 0, _dir: dir }
    }

    /// The same records, `group` to a transaction.
    fn run(&mut self, group: u64) -> Result<(), redb::Error> {
        let rooms = self.rooms.len() as u64;
        let last = (self.at + APPENDS) * rooms;
        let record = [7; ENTRY + 4];
        let mut n = self.at * rooms;
        while n < last {
            let mut txn = self.db.begin_write()?;
            txn.set_durability(Durability::Immediate)?;
            txn.set_quick_repair(true);
            {
                let mut log = txn.open_table(Self::LOG)?;
                for n in n..last.min(n + group) {
                    let room = &self.rooms[(n % rooms) as usize];
                    log.insert((&room[..], n / rooms + 1), &record[..])?;
                }
            }
            txn.commit()?;
            n += group;
        }
        self.at += APPENDS;
        Ok(())
    }
}

fn compare() {
    println!(
        "durable appends of {ENTRY} bytes, {PIPELINE} of a room outstanding; redb alone in groups of the same size"
    );
    for rooms in ROOMS {
        let (mut store, mut floor) = (Store::new(rooms), Floor::new(rooms));
        let rounds = (2048 / rooms / APPENDS).clamp(3, 8);
        let (mut stored, mut alone) = (Duration::ZERO, Duration::ZERO);
        // The first round of each warms up.
        for round in 0..=rounds {
            let (before, started) = (store.store.commits(), Instant::now());
            store.run();
            let took = started.elapsed();
            let group = (APPENDS * rooms).div_ceil(store.store.commits() - before);
            let started = Instant::now();
            floor.run(group).expect("redb alone");
            if round > 0 {
                stored += took;
                alone += started.elapsed();
            }
        }
        let appends = (rounds * APPENDS * rooms) as f64;
        println!(
            "  {rooms:>2} rooms: {:>7.0} appends/s, redb alone {:>7.0}; time {:.2} of redb alone; {:.0} appends to a commit",
            appends / stored.as_secs_f64(),
            appends / alone.as_secs_f64(),
            stored.as_secs_f64() / alone.as_secs_f64(),
            ((rounds + 1) * APPENDS * rooms) as f64 / store.store.commits() as f64,
        );
    }
    println!();
}

#[divan::bench(args = ROOMS, sample_count = 10, sample_size = 1)]
fn store(bencher: Bencher<'_, '_>, rooms: u64) {
    let mut store = Store::new(rooms);
    bencher.counter(ItemsCount::new(APPENDS * rooms)).bench_local(|| store.run());
}

/// Every group is as large as it can be: all that may be outstanding.
#[divan::bench(args = ROOMS, sample_count = 10, sample_size = 1)]
fn redb_alone(bencher: Bencher<'_, '_>, rooms: u64) {
    let mut floor = Floor::new(rooms);
    bencher
        .counter(ItemsCount::new(APPENDS * rooms))
        .bench_local(|| floor.run(PIPELINE * rooms).expect("redb alone"));
}
