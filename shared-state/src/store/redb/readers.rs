//! The threads that read rooms, so that a large room blocks neither the writer nor an async runtime. Started and
//! stopped by the writer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{Builder, JoinHandle};

use redb::ReadTransaction;

use super::format;
use super::queue::{Done, Queue, Ticket};
use crate::store::{Cause, ListError, LoadError, RoomInfo, StoredRoom};

/// What to read.
pub(super) enum Wanted {
    Room { room: Arc<str>, done: Done<Option<StoredRoom>, LoadError> },
    List { done: Done<Vec<RoomInfo>, ListError> },
}

impl Wanted {
    /// Sends the error for which nothing was read. The receiver may have been dropped.
    pub(super) fn refuse(self, source: Cause) {
        match self {
            Self::Room { room, done } => drop(done.send(Err(LoadError::Storage { room, source }))),
            Self::List { done } => drop(done.send(Err(ListError::Storage { source }))),
        }
    }
}

/// A read, and the version of the file that it sees. The ticket of the queue bounds how many there are.
pub(super) struct Reading {
    pub(super) txn: ReadTransaction,
    pub(super) wanted: Wanted,
    pub(super) ticket: Ticket,
    /// Told if the file fails.
    pub(super) queue: Arc<Queue>,
    /// How often the file had been opened again.
    pub(super) reopened: u64,
}

impl Reading {
    fn run(self) {
        match self.wanted {
            Wanted::Room { room, done } => {
                let outcome = format::read_room(&self.txn, &room);
                if let Err(LoadError::Storage { source, .. }) = &outcome {
                    report(&self.queue, self.reopened, source);
                }
                drop(done.send(outcome));
            }
            Wanted::List { done } => {
                let outcome = format::read_list(&self.txn);
                if let Err(ListError::Storage { source }) = &outcome {
                    report(&self.queue, self.reopened, source);
                }
                drop(done.send(outcome));
            }
        }
        drop(self.ticket);
    }
}

/// Tells the writer about a read that failed, if the file must be opened again for the next one.
pub(super) fn report(queue: &Queue, reopened: u64, cause: &Cause) {
    if cause.downcast_ref().is_some_and(format::has_failed) {
        queue.read_failed(reopened, cause.clone());
    }
}

/// A pool of reader threads, and the channel that feeds it.
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
                    // redb may panic on damaged pages. That fails this read, whose future gets an error when its
                    // sender is dropped, but does not end the thread.
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

    /// Hands a read to the next free thread.
    pub(super) fn read(&self, reading: Reading) {
        // Fails only if no reader is left. The read is dropped then, so its future gets an error.
        let _ = self.send.send(reading);
    }

    /// Finishes the reads that were requested and ends the threads.
    pub(super) fn stop(self) {
        drop(self.send);
        for thread in self.threads {
            // A reader that panicked has nothing left to do.
            let _ = thread.join();
        }
    }
}
