//! What a session may do, decided by whoever knows who is behind it.

/// The rights of one session in one room. Asked before anything is applied; quick, and the same for the same question
/// at the same time.
pub trait Rights: Send + Sync {
    /// Whether it may write at a path: a field's name, or what is inside it.
    ///
    /// # Errors
    /// Why not, for the one who tried.
    fn write(&self, path: &str) -> Result<(), String>;
}
