//! The others and their events, as an app sees them.

use std::sync::Arc;

use crate::proto::ClientId;

/// One session that is present: one tab of a user.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer<U, D> {
    /// The public id of its client. The server makes it, so nobody can pretend to be another session.
    pub id: ClientId,
    /// The user, as the session describes itself.
    pub user: Arc<U>,
    /// The data that it shows.
    pub data: Arc<D>,
    /// Whether its user is away.
    pub away: bool,
}

// Not derived: that would require `U: Clone` and `D: Clone`.
impl<U, D> Clone for Peer<U, D> {
    fn clone(&self) -> Self {
        Self { id: self.id.clone(), user: self.user.clone(), data: self.data.clone(), away: self.away }
    }
}

/// One user with all their sessions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UserSessions<U, D> {
    /// The user, as the first session describes it.
    pub user: Arc<U>,
    /// The sessions, in the order of their ids. Never empty.
    pub sessions: Vec<Peer<U, D>>,
}

/// A change among the others.
#[derive(Debug)]
#[non_exhaustive]
pub enum PresenceEvent<U, D> {
    /// A session is present now.
    Joined(Peer<U, D>),
    /// A session changed what it shows, or became away or active.
    Updated(Peer<U, D>),
    /// A session has left; this is what it showed last.
    Left(Peer<U, D>),
    /// This many events were dropped, because they were taken too slowly: read the current list of others
    /// instead.
    Lagged(u64),
}

impl<U, D> Clone for PresenceEvent<U, D> {
    fn clone(&self) -> Self {
        match self {
            Self::Joined(peer) => Self::Joined(peer.clone()),
            Self::Updated(peer) => Self::Updated(peer.clone()),
            Self::Left(peer) => Self::Left(peer.clone()),
            Self::Lagged(count) => Self::Lagged(*count),
        }
    }
}
