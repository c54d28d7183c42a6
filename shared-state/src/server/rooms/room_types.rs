//! Which rooms may exist: maps a name to the type of its state, its first state and its hooks.

use std::any::type_name;
use std::sync::Arc;

use crate::authority::{Typed, Untyped};
use crate::core::SharedState;
use crate::proto::split_address;
use crate::server::rooms::channel_kind::{ChannelKind, Channels};
use crate::server::rooms::hooks::{AnyHooks, RoomHooks, TypedHooks};
use crate::server::rooms::room_type::{Begin, RoomType, matches};

/// The types of rooms and channels, by pattern.
#[derive(Default)]
pub(crate) struct RoomTypes {
    typed: Vec<(String, RoomType)>,
    untyped: Option<RoomType>,
    channels: Channels,
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

    /// Whether a room that no pattern matches may hold any JSON object.
    pub(crate) fn allow_untyped(&mut self, allowed: bool) {
        self.untyped = allowed.then(|| RoomType {
            type_name: type_name::<Untyped>(),
            begin: Box::new(|| Box::new(Untyped::new())),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_rooms_are_untyped_if_allowed() {
        let mut room_types = RoomTypes::default();
        assert!(room_types.of("x").is_none());
        room_types.allow_untyped(true);
        assert!(room_types.of("x").is_some());
    }
}
