//! The author of a change and the session that it came from.

use crate::proto::ClientId;

/// Identifies a session: one room over one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(super) u64);

/// The author of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeSource {
    /// A client of the v1 protocol; answered by sequence number.
    Client {
        /// The session that is answered.
        session: SessionId,
        /// The client's public id.
        client: ClientId,
        /// The client's sequence number of the change.
        seq: u64,
    },
    /// A legacy client.
    Legacy {
        /// The session that the change came from.
        session: SessionId,
        /// The connection's public id.
        client: ClientId,
    },
    /// The server's program.
    Server,
}

impl ChangeSource {
    /// The author's public id.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Client { client, .. } | Self::Legacy { client, .. } => client,
            Self::Server => "server",
        }
    }
}
