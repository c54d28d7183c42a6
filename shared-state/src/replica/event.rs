//! The events that an app gets: the visible changes of the state.

use std::sync::Arc;

use crate::core::SharedState;

/// Why the visible state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// This client wrote it. The view contains it already.
    Local,
    /// Another client's change, or the changes made while this client was away.
    Remote,
    /// This client's change was refused. The updates set its fields to their values without the change.
    RolledBack,
    /// The app took its events too slowly and this many were dropped: read the state instead.
    Lagged(u64),
}

/// One visible change. All updates of a merge or a transaction come in one event.
pub struct Event<S: SharedState> {
    /// Why the state changed.
    pub origin: Origin,
    /// The version that contains it; `None` for a local write or a rollback.
    pub version: Option<u64>,
    /// The public id of the author, if this is one change of another client.
    pub from: Option<Arc<str>>,
    /// The updates, in order.
    pub updates: Vec<S::Update>,
}

impl<S: SharedState> Clone for Event<S> {
    fn clone(&self) -> Self {
        Self {
            origin: self.origin,
            version: self.version,
            from: self.from.clone(),
            updates: self.updates.clone(),
        }
    }
}

impl<S: SharedState> std::fmt::Debug for Event<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event")
            .field("origin", &self.origin)
            .field("version", &self.version)
            .field("from", &self.from)
            .field("updates", &self.updates)
            .finish()
    }
}
