//! What a session may do, as decided by the program, which knows the user.

use std::sync::Arc;

use crate::authority::state::PathChange;

/// The permissions of one session in one room. Called under the room's lock before a change is applied, so that the
/// methods must be quick and consistent with each other.
pub trait Permissions: Send + Sync {
    /// Checks that the session may write at a path: a field, or a place inside it. Asked about the path of each update
    /// and about every other path that the update changes. The roles that the struct requires are checked in addition.
    ///
    /// # Errors
    /// The reason, which is sent to the client.
    fn write(&self, path: &str) -> Result<(), String>;

    /// Checks that the session may make this change of the value at a path, which [`write`](Self::write) has allowed.
    ///
    /// # Errors
    /// The reason, which is sent to the client.
    fn change(&self, change: &PathChange<'_>) -> Result<(), String> {
        let _ = change;
        Ok(())
    }

    /// Whether [`write`](Self::write) and [`change`](Self::change) decide by the path. If not, only the paths of the
    /// updates are asked about, which costs less. The answer must not change.
    fn asks_paths(&self) -> bool {
        true
    }

    /// Whether [`change`](Self::change) needs the values before and after an operation such as `add`, too, which costs the
    /// field for each of them. The answer must not change.
    fn wants_values(&self) -> bool {
        false
    }

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
