//! What a session may do, as decided by the program, which knows the user.

use std::sync::Arc;

/// The permissions of one session in one room. Called under the room's lock before a change is applied, so that the
/// methods must be quick and consistent with each other.
pub trait Permissions: Send + Sync {
    /// Checks that the session may write at a path: a field, or a place inside it. The roles that the struct requires
    /// are checked in addition.
    ///
    /// # Errors
    /// The reason, which is sent to the client.
    fn write(&self, path: &str) -> Result<(), String>;

    /// Whether the session has this role. The answer must not change while these permissions are granted.
    fn has(&self, role: &str) -> bool {
        let _ = role;
        false
    }

    /// The id of the session's user; `None`: users have no ids. The answer must not change while these permissions are
    /// granted.
    fn user(&self) -> Option<&str> {
        None
    }

    /// The session's permissions now; `None` if they cannot have changed.
    fn refreshed(&self) -> Option<Arc<dyn Permissions>> {
        None
    }
}
