//! A type of rooms: what such a room begins as, and which names match its pattern.

use std::sync::Arc;

use crate::authority::RoomState;
use crate::server::rooms::hooks::AnyHooks;

/// Makes the state that a room begins with.
pub(crate) type Begin = Box<dyn Fn() -> Box<dyn RoomState> + Send + Sync>;

/// One kind of room.
pub(crate) struct RoomType {
    pub(crate) type_name: &'static str,
    pub(crate) begin: Begin,
    /// Whether the store keeps it.
    pub(crate) durable: bool,
    /// What the server's program has to say about what happens there; its rooms begin as these make them.
    pub(crate) rules: Option<Arc<dyn AnyHooks>>,
}

/// How well a room's name matches a pattern: exact, and the length of what is.
pub(crate) fn matches(pattern: &str, room: &str) -> Option<(bool, usize)> {
    match pattern.strip_suffix('*') {
        Some(prefix) => room.starts_with(prefix).then_some((false, prefix.len())),
        None => (pattern == room).then_some((true, pattern.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pattern_wins_and_an_exact_one_is_longest() {
        assert_eq!(matches("document-*", "document-1"), Some((false, 9)));
        assert_eq!(matches("document-*", "documents"), None);
        assert_eq!(matches("lobby", "lobby"), Some((true, 5)));
        assert_eq!(matches("lobby", "lobby-2"), None);
        assert!(matches("lobby", "lobby") > matches("lobby*", "lobby"));
        assert!(matches("document-draft-*", "document-draft-1") > matches("*", "document-draft-1"));
    }
}
