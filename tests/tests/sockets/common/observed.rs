//! A store that reports its calls, and that can be made to wait and to fail.

use std::sync::Arc;

use shared_state::store::{
    Append, AppendError, CloseError, CompactError, DeleteError, ListError, LoadError, MemoryStore, RoomInfo,
    RoomStore, Snapshot, StoreFuture, StoredRoom,
};
use shared_state_tests::soon;
use tokio::sync::{mpsc, watch};

/// What happens to the appends from now on.
#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    Pass,
    /// Stored at once, but answered only when the mode changes.
    Hold,
    /// As `Hold`, but appends up to this version are answered.
    Until(u64),
    /// Not stored; refused when the mode changes.
    Fail,
    /// Not stored; refused at once.
    Refuse,
    /// Not stored: the store is busy.
    Busy,
}

pub struct Observed {
    inner: Arc<MemoryStore>,
    mode: watch::Receiver<Mode>,
    events: mpsc::UnboundedSender<String>,
}

/// The test's side of the store.
pub struct Observer {
    pub mode: watch::Sender<Mode>,
    events: mpsc::UnboundedReceiver<String>,
}

pub fn observed() -> (Observed, Observer) {
    let (mode, mode_receiver) = watch::channel(Mode::Pass);
    let (events, events_receiver) = mpsc::unbounded_channel();
    let inner = Arc::new(MemoryStore::new());
    (Observed { inner, mode: mode_receiver, events }, Observer { mode, events: events_receiver })
}

impl Observer {
    /// Waits for the next call.
    pub async fn next(&mut self) -> String {
        soon("a store call", self.events.recv()).await.unwrap()
    }

    /// Whether there was no other call.
    pub fn is_quiet(&self) -> bool {
        self.events.is_empty()
    }
}

impl Observed {
    fn note(&self, event: String) {
        let _ = self.events.send(event);
    }
}

impl RoomStore for Observed {
    fn load(&self, room: Arc<str>) -> StoreFuture<Option<StoredRoom>, LoadError> {
        self.note(format!("load {room}"));
        if room.contains("hole") {
            return Box::pin(async { Err(LoadError::Hole { room, version: 7 }) });
        }
        self.inner.load(room)
    }

    fn append(&self, append: Append) -> StoreFuture<(), AppendError> {
        let (room, version) = (append.room.clone(), append.expected + 1);
        self.note(format!("append {room} {version}"));
        let mut mode = self.mode.clone();
        let now = *mode.borrow();
        let stored = match now {
            Mode::Fail | Mode::Refuse | Mode::Busy => None,
            Mode::Pass | Mode::Hold | Mode::Until(_) => Some(self.inner.append(append)),
        };
        Box::pin(async move {
            if !matches!(now, Mode::Pass | Mode::Refuse | Mode::Busy) {
                let answered =
                    |mode: &Mode| *mode != now && !matches!(mode, Mode::Until(last) if *last < version);
                let _ = mode.wait_for(answered).await;
            }
            match stored {
                Some(stored) => stored.await,
                None if now == Mode::Busy => {
                    Err(AppendError::Busy { room, version, limit: 0, unit: "calls" })
                }
                None => Err(AppendError::Closed { room, version }),
            }
        })
    }

    fn compact(&self, room: Arc<str>, epoch: u64, snapshot: Snapshot) -> StoreFuture<(), CompactError> {
        self.note(format!("compact {room} {}", snapshot.version));
        self.inner.compact(room, epoch, snapshot)
    }

    fn list(&self) -> StoreFuture<Vec<RoomInfo>, ListError> {
        self.inner.list()
    }

    fn delete(&self, room: Arc<str>) -> StoreFuture<(), DeleteError> {
        self.inner.delete(room)
    }

    fn close(&self) -> StoreFuture<(), CloseError> {
        self.note("close".to_owned());
        self.inner.close()
    }
}
