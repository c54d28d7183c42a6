//! What an app is told of.

use std::sync::Arc;

use crate::core::SharedState;

/// Where a visible change of the state came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// This client wrote it; it shows at once.
    Local,
    /// Somebody else's change, or what was missed while away.
    Remote,
    /// This client's change was refused: the fields are as they are without it.
    RolledBack,
    /// The app took its events too slowly and this many were dropped: read the state.
    Lagged(u64),
}

/// One change that the app can see, whole: a merge or a transaction is one event.
pub struct Event<S: SharedState> {
    /// Where it came from.
    pub origin: Origin,
    /// The version it made, if it is part of the history already.
    pub version: Option<u64>,
    /// The public name of its author, if it is one change of somebody else.
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
