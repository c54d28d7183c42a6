//! Which rooms there can be, and what each begins as.

use std::any::type_name;
use std::sync::Arc;

use crate::authority::{RoomState, Typed, Untyped};
use crate::core::SharedState;
use crate::proto::split_address;
use crate::server::rooms::channel_types::{ChannelKind, Channels};
use crate::server::rooms::hooks::{AnyHooks, RoomHooks, TypedHooks};

/// Makes the state that a room begins with.
pub(crate) type Begin = Box<dyn Fn() -> Box<dyn RoomState> + Send + Sync>;

/// The room_types of rooms, by pattern.
#[derive(Default)]
pub(crate) struct RoomTypes {
    typed: Vec<(String, RoomType)>,
    untyped: Option<RoomType>,
    channels: Channels,
}

/// One kind of room.
pub(crate) struct RoomType {
    pub(crate) type_name: &'static str,
    pub(crate) begin: Begin,
    /// Whether the store keeps it.
    pub(crate) durable: bool,
    /// What the server's program has to say about what happens there; its rooms begin as these make them.
    pub(crate) rules: Option<Arc<dyn AnyHooks>>,
}

impl RoomTypes {
    pub(crate) fn add<S: SharedState>(
        &mut self,
        pattern: String,
        initial: impl Fn() -> S + Send + Sync + 'static,
    ) {
        let begin: Begin = Box::new(move || Box::new(Typed::new(initial())));
        self.typed
            .push((pattern, RoomType { type_name: type_name::<S>(), begin, durable: true, rules: None }));
    }

    pub(crate) fn add_with<S: SharedState>(
        &mut self,
        pattern: String,
        initial: impl Fn() -> S + Send + Sync + 'static,
        rules: impl RoomHooks<S>,
    ) {
        let initial = Arc::new(initial);
        let ruled = TypedHooks::new(rules, initial.clone());
        let begin: Begin = Box::new(move || Box::new(Typed::new(initial())));
        let rules: Option<Arc<dyn AnyHooks>> = Some(Arc::new(ruled));
        self.typed.push((pattern, RoomType { type_name: type_name::<S>(), begin, durable: true, rules }));
    }

    /// Whether any other room is one of any JSON object of at most `limit` bytes.
    pub(crate) fn allow_untyped(&mut self, allowed: bool, limit: usize) {
        self.untyped = allowed.then(|| RoomType {
            type_name: type_name::<Untyped>(),
            begin: Box::new(move || Box::new(Untyped::new(limit))),
            durable: true,
            rules: None,
        });
    }

    pub(crate) fn add_channel(&mut self, kind: ChannelKind) {
        self.channels.add(kind);
    }

    /// The kind of what has this address.
    pub(crate) fn of(&self, address: &str) -> Option<&RoomType> {
        match split_address(address) {
            (room, None) => self.of_room(room),
            (room, Some(channel)) => self.of_room(room).and_then(|_| self.channels.of(room, channel)),
        }
    }

    /// The kind of the room with this name: that of the longest pattern that matches, an exact one first.
    fn of_room(&self, room: &str) -> Option<&RoomType> {
        self.typed
            .iter()
            .filter_map(|(pattern, kind)| Some((matches(pattern, room)?, kind)))
            // Of two equal ones, the one given first.
            .rev()
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, kind)| kind)
            .or(self.untyped.as_ref())
    }
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

    #[test]
    fn other_rooms_are_untyped_if_allowed() {
        let mut room_types = RoomTypes::default();
        assert!(room_types.of("x").is_none());
        room_types.allow_untyped(true, 10);
        assert!(room_types.of("x").is_some());
    }
}
