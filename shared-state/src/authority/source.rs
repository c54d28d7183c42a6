//! Who made a change, and through which session.

use crate::proto::ClientId;

/// One connection's stay in one room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(super) u64);

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeSource {
    /// A client of the v1 protocol; answered by sequence number.
    Client {
        /// Where the answer goes.
        session: SessionId,
        /// The client's public name.
        client: ClientId,
        /// The client's number for the change.
        seq: u64,
    },
    /// A legacy client.
    Legacy {
        /// Where it came from.
        session: SessionId,
        /// The connection's public name.
        client: ClientId,
    },
    /// The server's own program.
    Server,
}

impl ChangeSource {
    /// The author's public name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Client { client, .. } | Self::Legacy { client, .. } => client,
            Self::Server => "server",
        }
    }
}
