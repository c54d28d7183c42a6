//! What an app sees of the others.

use std::sync::Arc;

use crate::proto::ClientId;

/// One session that is present: one tab of one user.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer<U, D> {
    /// The public name of its client, made by the server: nobody can take another's.
    pub id: ClientId,
    /// Who it says it is.
    pub user: Arc<U>,
    /// What it shows.
    pub data: Arc<D>,
    /// Whether its user is away.
    pub away: bool,
}

// Not derived: that would ask for `U: Clone` and `D: Clone`.
impl<U, D> Clone for Peer<U, D> {
    fn clone(&self) -> Self {
        Self { id: self.id.clone(), user: self.user.clone(), data: self.data.clone(), away: self.away }
    }
}

/// One user with all their sessions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UserSessions<U, D> {
    /// Who it is, as the first session says it.
    pub user: Arc<U>,
    /// The sessions, in the order of their ids; there is at least one.
    pub sessions: Vec<Peer<U, D>>,
}

/// What has happened among the others.
#[derive(Debug)]
#[non_exhaustive]
pub enum PresenceEvent<U, D> {
    /// A session is there.
    Joined(Peer<U, D>),
    /// A session shows something else, or is away or back.
    Updated(Peer<U, D>),
    /// A session is gone; this is what it showed last.
    Left(Peer<U, D>),
    /// This many events were dropped, because they were not taken in time: look at who is there now.
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
