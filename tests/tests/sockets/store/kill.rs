//! A writing process is killed: what it acknowledged is in the store. The process is this test program,
//! started again.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use shared_state::store::{RedbStore, RoomStore};

use super::{EPOCH, entry, room, snapshot, text};

/// Tells the child process where its store is, and what to do.
const PATH: &str = "STORE_KILL_PATH";
const TASK: &str = "STORE_KILL_TASK";

fn again(task: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::kill::the_process_started_again", "--nocapture", "--test-threads=1"])
        .env(TASK, task)
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Not a test itself: the work of the child process that the tests below start.
#[tokio::test]
async fn the_process_started_again() {
    let (Ok(task), Ok(path)) = (std::env::var(TASK), std::env::var(PATH)) else { return };
    if task == "open" {
        say(&format!("answer {}", RedbStore::open(path).unwrap_err()));
        return;
    }
    let store = RedbStore::open(path).unwrap();
    let mut writers = FuturesUnordered::new();
    for n in 0..4 {
        writers.push(write(&store, n));
    }
    while writers.next().await.is_some() {}
}

/// Appends forever, several at a time, compacts now and then, and prints what was acknowledged.
async fn write(store: &RedbStore, n: u32) {
    let room = room(&format!("room{n}"));
    let mut at = store.load(room.clone()).await.unwrap().map_or(0, |room| room.version());
    loop {
        let calls: Vec<_> =
            (at..at + 5).map(|expected| (expected + 1, store.append(entry(&room, expected)))).collect();
        if at % 50 == 45 {
            drop(store.compact(room.clone(), EPOCH, snapshot(&room, at)));
        }
        for (version, call) in calls {
            call.await.unwrap();
            say(&format!("ack {room} {version}"));
        }
        at += 5;
    }
}

/// Prints a line at once, past the test harness.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").unwrap();
    out.flush().unwrap();
}

#[tokio::test]
async fn g2_what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: HashMap<String, u64> = HashMap::new();
    for round in 0..6 {
        let mut child = again("write", dir.path());
        let mut heard = 0;
        let enough = fastrand::u32(1..300);
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let Some(("ack", rest)) = line.split_once(' ') else { continue };
            let (room, version) = rest.split_once(' ').unwrap();
            acknowledged.insert(room.to_owned(), version.parse().unwrap());
            heard += 1;
            if heard == enough {
                // Reading continues, because acknowledgements printed before the kill count.
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success());
        assert!(heard >= enough, "the process ended after {heard} acknowledgements");

        let store = RedbStore::open(dir.path()).unwrap();
        for (name, &version) in &acknowledged {
            let stored = store.load(room(name)).await.unwrap().unwrap();
            assert!(
                stored.version() >= version,
                "round {round}: {name} at {}, not {version}",
                stored.version()
            );
            for entry in stored.tail {
                assert_eq!(entry.bytes, text(name, entry.version));
            }
            if let Some(taken) = stored.snapshot {
                assert_eq!(taken, snapshot(name, taken.version));
            }
        }
    }
}

#[tokio::test]
async fn a_second_process_is_told_that_the_store_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let _store = RedbStore::open(dir.path()).unwrap();
    let mut child = again("open", dir.path());
    let lines: Vec<_> =
        BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap()).collect();
    let answer = lines.iter().find(|line| line.starts_with("answer ")).unwrap();
    assert!(answer.ends_with("is already open, in this process or another"), "{answer}");
    assert!(child.wait().unwrap().success());
}
