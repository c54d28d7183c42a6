//! Which rooms may exist: maps a name to the type of its state, its first state and its hooks.

use std::any::type_name;
use std::sync::Arc;

use crate::authority::{RoomState, Typed, Untyped};
use crate::core::SharedState;
use crate::proto::split_address;
use crate::server::rooms::channel_types::{ChannelKind, Channels};
use crate::server::rooms::hooks::{AnyHooks, RoomHooks, TypedHooks};

/// Makes the first state of a room.
pub(crate) type Begin = Box<dyn Fn() -> Box<dyn RoomState> + Send + Sync>;

/// The types of rooms and channels, by pattern.
#[derive(Default)]
pub(crate) struct RoomTypes {
    typed: Vec<(String, RoomType)>,
    untyped: Option<RoomType>,
    channels: Channels,
}

/// The type of a room or channel.
pub(crate) struct RoomType {
    pub(crate) type_name: &'static str,
    pub(crate) begin: Begin,
    /// Whether it is stored.
    pub(crate) durable: bool,
    /// The program's hooks. They make the room's state, so that `on_change` is part of it.
    pub(crate) hooks: Option<Arc<dyn AnyHooks>>,
}

impl RoomTypes {
    pub(crate) fn add<S: SharedState>(
        &mut self,
        pattern: String,
        initial: impl Fn() -> S + Send + Sync + 'static,
    ) {
        let begin: Begin = Box::new(move || Box::new(Typed::new(initial())));
        self.typed
            .push((pattern, RoomType { type_name: type_name::<S>(), begin, durable: true, hooks: None }));
    }

    pub(crate) fn add_with<S: SharedState>(
        &mut self,
        pattern: String,
        initial: impl Fn() -> S + Send + Sync + 'static,
        hooks: impl RoomHooks<S>,
    ) {
        let initial = Arc::new(initial);
        let typed = TypedHooks::new(hooks, initial.clone());
        let begin: Begin = Box::new(move || Box::new(Typed::new(initial())));
        let hooks: Option<Arc<dyn AnyHooks>> = Some(Arc::new(typed));
        self.typed.push((pattern, RoomType { type_name: type_name::<S>(), begin, durable: true, hooks }));
    }

    /// Whether a room that no pattern matches may hold any JSON object, of at most `limit` bytes.
    pub(crate) fn allow_untyped(&mut self, allowed: bool, limit: usize) {
        self.untyped = allowed.then(|| RoomType {
            type_name: type_name::<Untyped>(),
            begin: Box::new(move || Box::new(Untyped::new(limit))),
            durable: true,
            hooks: None,
        });
    }

    pub(crate) fn add_channel(&mut self, kind: ChannelKind) {
        self.channels.add(kind);
    }

    /// The type of the room or channel with this address.
    pub(crate) fn of(&self, address: &str) -> Option<&RoomType> {
        match split_address(address) {
            (room, None) => self.of_room(room),
            (room, Some(channel)) => self.of_room(room).and_then(|_| self.channels.of(room, channel)),
        }
    }

    /// The type of a room: that of the longest pattern that matches its name, an exact pattern first.
    fn of_room(&self, room: &str) -> Option<&RoomType> {
        self.typed
            .iter()
            .filter_map(|(pattern, kind)| Some((matches(pattern, room)?, kind)))
            // `max_by_key` returns the last of equal elements; reversed, that is the one added first.
            .rev()
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, kind)| kind)
            .or(self.untyped.as_ref())
    }
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

    #[test]
    fn other_rooms_are_untyped_if_allowed() {
        let mut room_types = RoomTypes::default();
        assert!(room_types.of("x").is_none());
        room_types.allow_untyped(true, 10);
        assert!(room_types.of("x").is_some());
    }
}
