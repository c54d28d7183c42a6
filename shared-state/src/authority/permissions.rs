//! What a session may do, decided by the program, which knows the user.

use std::sync::Arc;

/// The permissions of one session in one room. Asked before anything is applied; must be quick, and give the same answer
/// to the same question at the same time.
pub trait Permissions: Send + Sync {
    /// Whether it may write at a path: a field's name, or what is inside it. The roles that the struct asks for are
    /// needed besides.
    ///
    /// # Errors
    /// Why not, for the client that tried.
    fn write(&self, path: &str) -> Result<(), String>;

    /// Whether it has this role. The answer stays the same as long as these permissions are granted.
    fn has(&self, role: &str) -> bool {
        let _ = role;
        false
    }

    /// What it may do now, if that may have changed.
    fn asked_again(&self) -> Option<Arc<dyn Permissions>> {
        None
    }
}
