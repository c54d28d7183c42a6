//! The server is killed while clients write at full speed: every acknowledged change is there, once, in
//! order.
//!
//! `KILL_ROUNDS` sets the number of kills (4), `SHARED_STATE_SEED` their moments.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use shared_state::client::State;
use shared_state_tests::{Load, Process, client, live, seeds, soon, until};
use tokio::sync::{mpsc, watch};

const SERVER: &str = env!("CARGO_BIN_EXE_redb_server");
const ROOM: &str = "doc-1";

/// How many unanswered changes each writer has: more than the server's window, so that some wait unsent.
const OUTSTANDING: usize = 200;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Writes until it is stopped, and then waits for every answer. Returns the versions of its changes, in
/// order; each one is also reported when it arrives.
async fn write(
    address: SocketAddr,
    writer: usize,
    stop: Arc<AtomicBool>,
    acks: mpsc::Sender<u64>,
) -> Vec<u64> {
    let client = client(address);
    let state = client.room(ROOM).state(Load::default());
    let mut receipts = VecDeque::new();
    let mut versions = Vec::new();
    let mut number = 0;
    loop {
        while receipts.len() < OUTSTANDING && !stop.load(Ordering::Acquire) {
            number += 1;
            receipts.push_back(Load::write(&state, writer, number));
        }
        let Some(receipt) = receipts.pop_front() else { break };
        let version = soon("an answer", receipt).await.expect("no change is refused");
        versions.push(version);
        let _ = acks.send(version).await;
    }
    assert!(soon("the client's end", client.close()).await.is_empty());
    versions
}

/// Watches until there are as many changes as `end` says. Every state seen must be consistent, and no change
/// may disappear.
async fn observe(state: State<Load>, mut end: watch::Receiver<Option<u64>>) {
    let mut before = Load::default();
    loop {
        let revision = state.revision();
        let now = state.state();
        assert_eq!(now.total, now.written().iter().sum::<u64>(), "a change is seen whole: {now:?}");
        let risen = now.written().iter().zip(before.written()).all(|(now, before)| *now >= before);
        assert!(risen, "{before:?} was seen, and then {now:?}");
        if *end.borrow_and_update() == Some(now.total) {
            return;
        }
        before = now;
        tokio::select! {
            _ = state.changed(revision) => {}
            changed = end.changed() => changed.expect("the test says when"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g2_g3_acknowledged_changes_survive_kill_9_under_full_load() {
    let rounds = number("KILL_ROUNDS").unwrap_or(4);
    let seed = seeds::given().unwrap_or_else(|| fastrand::u64(..));
    let _replay = seeds::Replay::of(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let began = Instant::now();

    let data = tempfile::tempdir().unwrap();
    let address = Process::address();
    let mut server = Process::start(SERVER, address, data.path()).await;
    let (told, mut acks) = mpsc::channel(4 * OUTSTANDING);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..3).map(|writer| tokio::spawn(write(address, writer, stop.clone(), told.clone()))).collect();
    drop(told);
    let observer = client(address);
    let observed = observer.room(ROOM).state(Load::default());
    let end = watch::Sender::new(None);
    let observing = tokio::spawn(observe((*observed).clone(), end.subscribe()));

    for _ in 0..rounds {
        for _ in 0..random.usize(100..2000) {
            soon("an answer", acks.recv()).await.unwrap();
        }
        server.kill().await;
        server = Process::start(SERVER, address, data.path()).await;
        // Discard the acknowledgements from before the kill.
        while acks.try_recv().is_ok() {}
    }
    for _ in 0..500 {
        soon("an answer", acks.recv()).await.unwrap();
    }
    stop.store(true, Ordering::Release);
    while soon("an answer, or the end", acks.recv()).await.is_some() {}

    let mut all = Vec::new();
    let mut written = Vec::new();
    for writer in writers {
        let versions = writer.await.unwrap();
        assert!(versions.is_sorted(), "a writer's changes are in its order");
        written.push(versions.len() as u64);
        all.push(versions);
    }
    let writes: u64 = written.iter().sum();
    let mut dense = all.concat();
    dense.sort_unstable();
    assert!(dense.into_iter().eq(1..=writes), "every change is one version, and every version one change");

    // The last kill happens at rest, so that a client that joins then gets what is on the disk.
    server.kill().await;
    let _server = Process::start(SERVER, address, data.path()).await;
    let late = client(address);
    let late = late.room(ROOM).state(Load::default());
    live(&late).await;
    let state = late.state();
    assert_eq!((late.version(), state.total), (writes, writes));
    assert_eq!(state.written(), written[..]);
    let last = (0..3).max_by_key(|writer| all[*writer].last().copied()).unwrap();
    assert_eq!((state.last.writer, state.last.number), (last, written[last]));

    end.send_replace(Some(writes));
    until(&observed, "the observer's last version", |observed| observed.version() == writes).await;
    assert_eq!(observed.state(), state);
    soon("the end of observing", observing).await.unwrap();
    println!(
        "{rounds} kills and one at the end, {writes} writes, all acknowledged, in {:?}",
        began.elapsed()
    );
}
