//! Which channels the rooms have.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::authority::{ChannelLog, Check, Retention, RoomState};
use crate::server::rooms::room_type::{Begin, RoomType, matches};

/// The longest message if nothing else is said, in bytes of JSON.
const LONGEST: usize = 64 << 10;

/// A kind of channels: their names, whose they are, what they take and what of it is kept.
#[derive(Clone)]
#[must_use = "a kind of channels is given to a server's builder"]
pub struct ChannelKind {
    pattern: String,
    rooms: String,
    type_name: &'static str,
    check: Option<Check>,
    history: Retention,
    longest: usize,
    durable: bool,
}

impl ChannelKind {
    /// Channels that take any JSON. `pattern` is a channel's name, or the beginning of names and a `*`.
    pub fn any(pattern: impl Into<String>) -> Self {
        Self {
            pattern: pattern.into(),
            rooms: "*".into(),
            type_name: "any JSON",
            check: None,
            history: Retention::default(),
            longest: LONGEST,
            durable: false,
        }
    }

    /// Channels that take what reads as a `T`; everything else is refused with
    /// [`Code::WrongType`](crate::core::Code::WrongType).
    pub fn of<T: DeserializeOwned + 'static>(pattern: impl Into<String>) -> Self {
        let check = |json: &str| serde_json::from_str::<T>(json).map(drop).map_err(|error| error.to_string());
        Self { type_name: type_name::<T>(), check: Some(Arc::new(check)), ..Self::any(pattern) }
    }

    /// Only the channels of these rooms: a room's name, or the beginning of names and a `*`. Default: of every room.
    pub fn rooms(mut self, pattern: impl Into<String>) -> Self {
        self.rooms = pattern.into();
        self
    }

    /// The most messages that are kept for those who come later or were away; 0: none. Default 1,000.
    pub const fn keep(mut self, messages: usize) -> Self {
        self.history.messages = messages;
        self
    }

    /// How long a message is kept at most. Default: for as long as the other bounds allow.
    pub const fn keep_for(mut self, age: Duration) -> Self {
        self.history.age = Some(age);
        self
    }

    /// The most bytes of messages that are kept, as JSON with their stamps. Default 1 MiB.
    pub const fn keep_bytes(mut self, bytes: usize) -> Self {
        self.history.bytes = bytes;
        self
    }

    /// The longest message, in bytes of JSON. Longer ones are refused with
    /// [`Code::MessageTooLarge`](crate::core::Code::MessageTooLarge). Default 64 KiB.
    pub const fn longest(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// Whether the history is in the server's store: then an acknowledged message is as durable as a change of a
    /// state. If not, it lives until the server ends, or until nobody has been in the channel for as long as
    /// [`idle`](crate::server::ServerBuilder::idle) says. Default: no.
    pub const fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }
}

impl fmt::Debug for ChannelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelKind")
            .field("pattern", &self.pattern)
            .field("rooms", &self.rooms)
            .field("type", &self.type_name)
            .field("history", &self.history)
            .field("longest", &self.longest)
            .field("durable", &self.durable)
            .finish()
    }
}

/// The room_types of channels, by pattern.
#[derive(Default)]
pub(crate) struct Channels {
    room_types: Vec<(String, String, RoomType)>,
}

impl Channels {
    pub(crate) fn add(&mut self, kind: ChannelKind) {
        let ChannelKind { pattern, rooms, type_name, check, history, longest, durable } = kind;
        let begin: Begin = Box::new(move || -> Box<dyn RoomState> {
            let log = ChannelLog::new(history, longest);
            Box::new(match &check {
                Some(check) => log.checked(check.clone()),
                None => log,
            })
        });
        self.room_types.push((rooms, pattern, RoomType { type_name, begin, durable, rules: None }));
    }

    /// The kind of a room's channel.
    pub(crate) fn of(&self, room: &str, channel: &str) -> Option<&RoomType> {
        self.room_types
            .iter()
            .filter_map(|(rooms, pattern, kind)| {
                Some(((matches(rooms, room)?, matches(pattern, channel)?), kind))
            })
            // Of two equal ones, the one given first.
            .rev()
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, kind)| kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_for_the_longest_pattern_of_rooms_counts_then_of_channels() {
        let mut channels = Channels::default();
        for (longest, (rooms, pattern)) in
            [("*", "chat"), ("*", "c*"), ("game-*", "*"), ("game-1", "c*")].into_iter().enumerate()
        {
            channels.add(ChannelKind::any(pattern).rooms(rooms).longest(longest));
        }
        // Which one it is shows in the longest message that it takes.
        let of = |room, channel| {
            let state = (channels.of(room, channel)?.begin)();
            let log = state.as_any().downcast_ref::<ChannelLog>()?;
            (0..4)
                .rev()
                .find(|length| log.admit(&"1".repeat(*length)).is_ok_and(|()| *length > 0))
                .or(Some(0))
        };
        assert_eq!(of("lobby", "chat"), Some(0));
        assert_eq!(of("lobby", "cards"), Some(1));
        assert_eq!(of("lobby", "other"), None);
        assert_eq!(of("game-2", "chat"), Some(2));
        assert_eq!(of("game-1", "chat"), Some(3));
        assert_eq!(of("game-1", "other"), Some(2));
    }
}
