//! A user who is in a room or about to join it, as the program's hooks see them.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::proto::ClientId;
use crate::server::access::Identity;
use crate::server::membership::Membership;

/// Somebody who is in a room or about to join it: one session of one connection.
#[derive(Clone)]
pub struct Participant {
    client: ClientId,
    connection: u64,
    identity: Identity,
    membership: Arc<Membership>,
}

impl Participant {
    pub(crate) fn new(
        client: ClientId,
        connection: u64,
        identity: Identity,
        membership: Arc<Membership>,
    ) -> Self {
        Self { client, connection, identity, membership }
    }

    /// What keeps the connection in the room, its channels and its presence.
    pub(crate) fn membership(&self) -> &Arc<Membership> {
        &self.membership
    }

    /// The client's public id, which is the name of the [`Author`](crate::Author) of its changes.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.client
    }

    /// The connection's number. Of two connections of one client, the later one has the higher number.
    #[must_use]
    pub const fn connection(&self) -> u64 {
        self.connection
    }

    /// The user that [`authenticate`](crate::server::ServerBuilder::authenticate) returned; `None` if it is not a
    /// `U`.
    #[must_use]
    pub fn user<U: Any>(&self) -> Option<&U> {
        self.identity.user().downcast_ref()
    }
}

impl fmt::Debug for Participant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Participant")
            .field("client", &self.client)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
