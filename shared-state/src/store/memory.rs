//! [`MemoryStore`]: rooms in the memory of the process.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::head::{Extent, Head};
use super::{
    Append, AppendError, CloseError, CompactError, DeleteError, Entry, ListError, LoadError, RoomInfo,
    RoomStore, Snapshot, StoreFuture, StoredRoom,
};

/// Rooms in memory, for tests and for rooms that need not outlive the process.
///
/// Every call is done when it returns, its future is ready, and no call fails with `Busy`. There is no limit: a room
/// takes the memory of its snapshot and of the entries after it, so a room that is never compacted grows with every
/// change. Loading shares the records' bytes instead of copying them. Closing the store drops the rooms.
#[derive(Debug)]
pub struct MemoryStore {
    rooms: Mutex<Rooms>,
    /// `None` if the system has no randomness.
    key: Option<[u8; 32]>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        let mut key = [0; 32];
        Self { rooms: Mutex::default(), key: getrandom::fill(&mut key).is_ok().then_some(key) }
    }
}

#[derive(Debug, Default)]
struct Rooms {
    rooms: BTreeMap<Arc<str>, StoredRoom>,
    closed: bool,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The rooms, unless the store is closed. A panic under the lock cannot leave them half changed.
    fn open(&self) -> Option<MutexGuard<'_, Rooms>> {
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        (!rooms.closed).then_some(rooms)
    }

    fn append_now(&self, append: Append) -> Result<(), AppendError> {
        let Append { room, epoch, expected, entry } = append;
        let Some(mut open) = self.open() else {
            return Err(AppendError::Closed { room, version: expected.saturating_add(1) });
        };
        let expected = Head { epoch, version: expected };
        match Extent::append(open.rooms.get(&room).map(extent), expected) {
            Err(actual) => Err(AppendError::Conflict { room, expected, actual }),
            Ok(Extent { head, .. }) => {
                let stored =
                    open.rooms.entry(room).or_insert(StoredRoom { epoch, snapshot: None, tail: vec![] });
                stored.tail.push(Entry { version: head.version, bytes: entry });
                Ok(())
            }
        }
    }

    fn compact_now(&self, room: Arc<str>, epoch: u64, snapshot: Snapshot) -> Result<(), CompactError> {
        let taken = Head { epoch, version: snapshot.version };
        let Some(mut open) = self.open() else {
            return Err(CompactError::Closed { room, version: taken.version });
        };
        let stored = open.rooms.get_mut(&room);
        match (Extent::compact(stored.as_deref().map(extent), taken), stored) {
            (Err(actual), _) => Err(CompactError::Conflict { room, taken, actual }),
            (Ok(Some(_)), Some(stored)) => {
                stored.tail.retain(|entry| entry.version > taken.version);
                stored.snapshot = Some(snapshot);
                Ok(())
            }
            (Ok(_), _) => Ok(()),
        }
    }
}

fn extent(room: &StoredRoom) -> Extent {
    Extent {
        head: Head { epoch: room.epoch, version: room.version() },
        snapshot: room.snapshot.as_ref().map(|snapshot| snapshot.version),
    }
}

impl RoomStore for MemoryStore {
    fn load(&self, room: Arc<str>) -> StoreFuture<Option<StoredRoom>, LoadError> {
        Box::pin(ready(match self.open() {
            Some(open) => Ok(open.rooms.get(&room).cloned()),
            None => Err(LoadError::Closed { room }),
        }))
    }

    fn append(&self, append: Append) -> StoreFuture<(), AppendError> {
        Box::pin(ready(self.append_now(append)))
    }

    fn compact(&self, room: Arc<str>, epoch: u64, snapshot: Snapshot) -> StoreFuture<(), CompactError> {
        Box::pin(ready(self.compact_now(room, epoch, snapshot)))
    }

    fn list(&self) -> StoreFuture<Vec<RoomInfo>, ListError> {
        let info = |(room, stored): (&Arc<str>, &StoredRoom)| RoomInfo {
            room: room.clone(),
            epoch: stored.epoch,
            version: stored.version(),
        };
        Box::pin(ready(match self.open() {
            Some(open) => Ok(open.rooms.iter().map(info).collect()),
            None => Err(ListError::Closed),
        }))
    }

    fn delete(&self, room: Arc<str>) -> StoreFuture<(), DeleteError> {
        Box::pin(ready(match self.open() {
            Some(mut open) => {
                open.rooms.remove(&room);
                Ok(())
            }
            None => Err(DeleteError::Closed { room }),
        }))
    }

    fn name_key(&self) -> Option<[u8; 32]> {
        self.key
    }

    /// Closes the store and drops its rooms.
    fn close(&self) -> StoreFuture<(), CloseError> {
        if let Some(mut open) = self.open() {
            *open = Rooms { rooms: BTreeMap::new(), closed: true };
        }
        Box::pin(ready(Ok(())))
    }
}
