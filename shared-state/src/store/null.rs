//! A store that stores nothing, for temporary rooms and for channels that are not durable. Every call succeeds at
//! once.

use std::future::ready;
use std::sync::Arc;

use crate::store::{
    Append, AppendError, CloseError, CompactError, DeleteError, ListError, LoadError, RoomInfo, RoomStore,
    Snapshot, StoreFuture, StoredRoom,
};

/// Accepts every append and loads no room.
pub(crate) struct NullStore;

impl RoomStore for NullStore {
    fn load(&self, _room: Arc<str>) -> StoreFuture<Option<StoredRoom>, LoadError> {
        Box::pin(ready(Ok(None)))
    }

    fn append(&self, _append: Append) -> StoreFuture<(), AppendError> {
        Box::pin(ready(Ok(())))
    }

    fn compact(&self, _room: Arc<str>, _epoch: u64, _snapshot: Snapshot) -> StoreFuture<(), CompactError> {
        Box::pin(ready(Ok(())))
    }

    fn list(&self) -> StoreFuture<Vec<RoomInfo>, ListError> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn delete(&self, _room: Arc<str>) -> StoreFuture<(), DeleteError> {
        Box::pin(ready(Ok(())))
    }

    fn close(&self) -> StoreFuture<(), CloseError> {
        Box::pin(ready(Ok(())))
    }
}
