//! Opens the file again after an error. Called by the writer thread when a commit or a read has failed; the queue
//! refuses all calls until the file is open.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::OpenError;
use super::file::{DirectoryLock, Location, NameKey, OpenFile};
use super::queue::Queue;
use crate::store::Cause;

/// The error of a call that was made while the file was being opened again.
#[derive(Debug, thiserror::Error)]
#[error("the store's file failed and is being opened again")]
pub(super) struct Reopening {
    /// How the file failed.
    pub(super) source: Cause,
}

/// redb panicked, which it may do on damaged pages.
#[derive(Debug, thiserror::Error)]
#[error("redb panicked; the file may be damaged")]
pub(super) struct Panicked;

/// The pauses between attempts to open the file: the first one, which doubles up to the longest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { first: Duration::from_millis(50), longest: Duration::from_secs(2) }
    }
}

/// What the file is opened with again.
pub(super) struct Recovery {
    pub(super) location: Location,
    /// The lock on the directory; held until the writer ends.
    pub(super) lock: Option<DirectoryLock>,
    key: NameKey,
    pauses: Pauses,
    /// The pause before the next attempt.
    pause: Duration,
}

impl Recovery {
    pub(super) fn new(location: Location, lock: Option<DirectoryLock>, key: NameKey, pauses: Pauses) -> Self {
        Self { location, lock, key, pauses, pause: Duration::ZERO }
    }

    /// A commit of calls has succeeded: the next attempt needs no pause.
    pub(super) fn committed(&mut self) {
        self.pause = Duration::ZERO;
    }

    /// Closes the failed file and opens it again, however long that takes. The first attempt is made at once, unless
    /// no commit has succeeded since the last one. `None` if the queue is closed meanwhile.
    pub(super) fn reopen(&mut self, failed: OpenFile, queue: &Queue) -> Option<OpenFile> {
        let began = Instant::now();
        // Reads in progress fail from here on. Their errors, and that of closing, follow from the one that is known.
        let _ = catch_unwind(AssertUnwindSafe(|| failed.db.close()));
        let mut logged = String::new();
        let mut attempts = 0_u64;
        loop {
            if !queue.wait_open(self.pause) {
                return None;
            }
            self.pause = (self.pause * 2).clamp(self.pauses.first, self.pauses.longest);
            attempts += 1;
            match self.attempt() {
                Ok(file) => {
                    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                    tracing::info!(ms, attempts, "the store's file is open again");
                    return Some(file);
                }
                Err(error) => {
                    // Once for each error, not for each attempt.
                    let text = format!("{error:?}");
                    if text != logged {
                        let error: &(dyn Error + 'static) = &*error;
                        tracing::warn!(error, "the store's file cannot be opened yet; trying again");
                        logged = text;
                    }
                }
            }
        }
    }

    fn attempt(&mut self) -> Result<OpenFile, Box<dyn Error>> {
        let opened = catch_unwind(AssertUnwindSafe(|| -> Result<OpenFile, OpenError> {
            if let Some(lock) = &mut self.lock {
                lock.renew()?;
            }
            self.location.open_again(self.key)
        }));
        Ok(opened.map_err(|_| Panicked)??)
    }
}
