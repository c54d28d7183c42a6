//! A type of rooms: what such a room begins as, and which names match its pattern.

use std::sync::Arc;

use crate::authority::RoomState;
use crate::server::rooms::hooks::AnyHooks;

/// Makes the first state of a room.
pub(crate) type Begin = Box<dyn Fn() -> Box<dyn RoomState> + Send + Sync>;

/// The type of a room or channel.
pub(crate) struct RoomType {
    pub(crate) type_name: &'static str,
    pub(crate) begin: Begin,
    /// Whether it is stored.
    pub(crate) durable: bool,
    /// The program's hooks. They make the room's state, so that `on_change` is part of it.
    pub(crate) hooks: Option<Arc<dyn AnyHooks>>,
}

/// How well a pattern matches a room's name, by which matches are ordered: whether it is exact, and its length.
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
