//! What a session may do, decided by whoever knows who is behind it.

use std::sync::Arc;

/// The rights of one session in one room. Asked before anything is applied; quick, and the same for the same question
/// at the same time.
pub trait Permissions: Send + Sync {
    /// Whether it may write at a path: a field's name, or what is inside it. The roles that the struct asks for are
    /// needed besides.
    ///
    /// # Errors
    /// Why not, for the one who tried.
    fn write(&self, path: &str) -> Result<(), String>;

    /// Whether it has this role. The same for as long as these rights are granted.
    fn has(&self, role: &str) -> bool {
        let _ = role;
        false
    }

    /// What it may do now, if that can have changed.
    fn asked_again(&self) -> Option<Arc<dyn Permissions>> {
        None
    }
}
