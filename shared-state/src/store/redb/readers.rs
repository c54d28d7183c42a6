//! The threads that read rooms, so that a large room stops neither the writer nor anybody's runtime.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{Builder, JoinHandle};

use redb::ReadTransaction;

use super::format;
use super::queue::{Done, Ticket};
use crate::store::{ListError, LoadError, RoomInfo, StoredRoom};

/// What is to be read.
pub(super) enum Wanted {
    Room { room: Arc<str>, done: Done<Option<StoredRoom>, LoadError> },
    List { done: Done<Vec<RoomInfo>, ListError> },
}

/// A reading, and the state of the file it sees. The queue's ticket bounds how many there are.
pub(super) struct Reading {
    pub(super) txn: ReadTransaction,
    pub(super) wanted: Wanted,
    pub(super) ticket: Ticket,
}

impl Reading {
    fn run(self) {
        match self.wanted {
            Wanted::Room { room, done } => drop(done.send(format::read_room(&self.txn, &room))),
            Wanted::List { done } => drop(done.send(format::read_list(&self.txn))),
        }
        drop(self.ticket);
    }
}

pub(super) struct Readers {
    send: mpsc::Sender<Reading>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(super) fn start(threads: usize) -> std::io::Result<Self> {
        let (send, receive) = mpsc::channel::<Reading>();
        let receive = Arc::new(Mutex::new(receive));
        let read = |receive: Arc<Mutex<mpsc::Receiver<Reading>>>| {
            move || {
                loop {
                    let next = receive.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(reading) = next else { break };
                    // redb may panic on pages that were damaged on the disk: that costs this reading, whose future
                    // is told as its sender is dropped, and not the thread.
                    if catch_unwind(AssertUnwindSafe(|| reading.run())).is_err() {
                        tracing::error!("a read of the store panicked; the file may be damaged");
                    }
                }
            }
        };
        let threads = (0..threads)
            .map(|n| Builder::new().name(format!("rooms-read-{n}")).spawn(read(receive.clone())))
            .collect::<Result<_, _>>()?;
        Ok(Self { send, threads })
    }

    pub(super) fn read(&self, reading: Reading) {
        // Fails only if no reader is left, and drops the reading then, which tells its future.
        let _ = self.send.send(reading);
    }

    /// Finishes what was asked for.
    pub(super) fn stop(self) {
        drop(self.send);
        for thread in self.threads {
            // A reader that panicked has nothing left to do.
            let _ = thread.join();
        }
    }
}
