//! [`RoomSettings`]: what the program decides about a room.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "password")]
pub use crate::server::membership::password::{PasswordError, PasswordHash};

#[cfg(not(feature = "password"))]
use crate::server::membership::password::PasswordHash;

/// What the program decides about a room; returned by the function given to
/// [`room_settings`](crate::server::ServerBuilder::room_settings).
///
/// By default, everyone who may join the room can enter it, it has no metadata, and it is stored.
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
    /// The default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires this password of everyone who enters the room. Without it, or with another one, they are refused with
    /// [`Code::WrongPassword`](crate::core::Code::WrongPassword).
    ///
    /// The password protects the room's state, its channels and its presence. A connection that has entered one of
    /// them need not send it again for the others, as long as it is in one of them.
    ///
    /// After five wrong passwords for the room at once, an address (IPv6: its /64 network) may try one more every two
    /// seconds, whatever the number of connections; others are refused with
    /// [`Code::TooOften`](crate::core::Code::TooOften) and not checked. The right password is never refused once it is
    /// known to the server: always, if the [`PasswordHash`] was made of it; after somebody gave it, if the hash was
    /// parsed. The address is that of [`Handshake::peer`](crate::server::Handshake::peer): behind a proxy the
    /// proxy's, and clients whose address is not known share one budget.
    #[cfg(feature = "password")]
    pub fn password(mut self, password: PasswordHash) -> Self {
        self.password = Some(password);
        self
    }

    /// Limits the number of users in the room; others are refused with
    /// [`Code::RoomFull`](crate::core::Code::RoomFull).
    ///
    /// A user that the server knows by [`user_id`](crate::server::ServerBuilder::user_id) counts once, however many
    /// connections it has; without `user_id`, each client counts as one user. Lowering the limit removes nobody.
    pub const fn max_users(mut self, users: usize) -> Self {
        self.max_users = Some(users);
        self
    }

    /// Metadata that clients are sent when they join: a title, an owner, anything that is JSON.
    pub fn metadata(mut self, metadata: serde_json::Value) -> Self {
        self.metadata = Some(metadata.to_string().into());
        self
    }

    /// Whether the room and its channels are temporary: they are never stored, and end when they leave memory, which
    /// happens when nobody has been in the room, its channels or its presence for the server's
    /// [`idle`](crate::server::ServerBuilder::idle) time. Default: no.
    ///
    /// Read when the room is loaded; a change applies when it is loaded again. If the store has a room of this name,
    /// a temporary one neither shows nor changes it.
    pub const fn temporary(mut self, temporary: bool) -> Self {
        self.temporary = temporary;
        self
    }

    /// Closes the room: nobody can enter, and whoever is in it is put out, with
    /// [`Code::RoomClosed`](crate::core::Code::RoomClosed) and this reason. The stored room is not deleted.
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
