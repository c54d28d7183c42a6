//! What the program says of a room.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "password")]
pub use crate::server::membership::password::{PasswordError, PasswordHash};

#[cfg(not(feature = "password"))]
use crate::server::membership::password::PasswordHash;

/// What the program says of a room; see [`room_settings`](crate::server::ServerBuilder::room_settings). By default
/// everybody who may join comes in, nothing is said of it, and the store keeps it.
///
/// ```
/// # fn settings() -> Result<(), Box<dyn std::error::Error>> {
/// use serde_json::json;
/// use shared_state::server::RoomSettings;
///
/// let settings = RoomSettings::new().max_users(8).metadata(json!({"title": "Friday's game"})).temporary(true);
/// # #[cfg(feature = "password")]
/// let settings = settings.password(shared_state::server::PasswordHash::of("open sesame")?);
/// # drop(settings);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
#[must_use = "settings are what the server's function returns"]
pub struct RoomSettings {
    pub(crate) password: Option<PasswordHash>,
    pub(crate) max_users: Option<usize>,
    pub(crate) metadata: Option<Arc<str>>,
    pub(crate) temporary: bool,
    pub(crate) closed: Option<Arc<str>>,
}

impl RoomSettings {
    /// A room that is open to all who may join.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who comes in must say this password; others are refused with
    /// [`Code::WrongPassword`](crate::core::Code::WrongPassword). It is for the room's state, its channels and its
    /// presence; who has said it for one of them over a connection has said it for all, as long as they are in one.
    #[cfg(feature = "password")]
    pub fn password(mut self, password: PasswordHash) -> Self {
        self.password = Some(password);
        self
    }

    /// At most so many users are in the room; others are refused with
    /// [`Code::RoomFull`](crate::core::Code::RoomFull). Whom the server knows by
    /// [`user_id`](crate::server::ServerBuilder::user_id) is one user however many tabs they have open; without that,
    /// every client is. Who is in stays if it becomes fewer.
    pub const fn max_users(mut self, users: usize) -> Self {
        self.max_users = Some(users);
        self
    }

    /// What those who join are told of the room: its title, its owner, anything.
    pub fn metadata(mut self, metadata: serde_json::Value) -> Self {
        self.metadata = Some(metadata.to_string().into());
        self
    }

    /// Whether the room and its channels are never stored: they end when they leave memory, because nobody has been
    /// there for as long as [`idle`](crate::server::ServerBuilder::idle) says. Looked at when the room comes into memory.
    /// What the store has of a room of this name stays there, and is not seen.
    pub const fn temporary(mut self, temporary: bool) -> Self {
        self.temporary = temporary;
        self
    }

    /// Nobody comes in, and whoever is in is put out, with
    /// [`Code::RoomClosed`](crate::core::Code::RoomClosed) and this reason. What the store has of the room stays.
    pub fn closed(mut self, reason: impl Into<Arc<str>>) -> Self {
        self.closed = Some(reason.into());
        self
    }
}

impl fmt::Debug for RoomSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomSettings")
            .field("password", &self.password.is_some())
            .field("max_users", &self.max_users)
            .field("metadata", &self.metadata)
            .field("temporary", &self.temporary)
            .field("closed", &self.closed)
            .finish()
    }
}
