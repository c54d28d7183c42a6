//! A store that a test can inspect.

use std::sync::Arc;

use shared_state::store::{
    Append, AppendError, CloseError, CompactError, DeleteError, ListError, LoadError, MemoryStore, RoomInfo,
    RoomStore, Snapshot, StoreFuture, StoredRoom,
};

/// A memory store that outlives its server.
#[derive(Clone, Default)]
pub(crate) struct Kept(pub(crate) Arc<MemoryStore>);

impl RoomStore for Kept {
    fn load(&self, room: Arc<str>) -> StoreFuture<Option<StoredRoom>, LoadError> {
        self.0.load(room)
    }
    fn append(&self, append: Append) -> StoreFuture<(), AppendError> {
        self.0.append(append)
    }
    fn compact(&self, room: Arc<str>, epoch: u64, snapshot: Snapshot) -> StoreFuture<(), CompactError> {
        self.0.compact(room, epoch, snapshot)
    }
    fn list(&self) -> StoreFuture<Vec<RoomInfo>, ListError> {
        self.0.list()
    }
    fn delete(&self, room: Arc<str>) -> StoreFuture<(), DeleteError> {
        self.0.delete(room)
    }
    fn close(&self) -> StoreFuture<(), CloseError> {
        Box::pin(std::future::ready(Ok(())))
    }
}
