//! [`ChannelKind`]: which channels rooms have, what these take, and how much of them is retained.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::authority::{ChannelLog, Check, Retention, RoomState};
use crate::server::rooms::room_type::{Begin, RoomType, matches};

/// The default of [`ChannelKind::longest`], in bytes of JSON.
const LONGEST: usize = 64 << 10;

/// A kind of channel: the names of the channels, the rooms that have them, what messages they take, and how many
/// messages are retained. Given to [`channels`](crate::server::ServerBuilder::channels).
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
    /// Channels that take any JSON value. `pattern` is a channel's name, or a prefix followed by `*`.
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

    /// Channels whose messages must deserialize as a `T`. Others are refused with
    /// [`Code::WrongType`](crate::core::Code::WrongType).
    pub fn of<T: DeserializeOwned + 'static>(pattern: impl Into<String>) -> Self {
        let check = |json: &str| serde_json::from_str::<T>(json).map(drop).map_err(|error| error.to_string());
        Self { type_name: type_name::<T>(), check: Some(Arc::new(check)), ..Self::any(pattern) }
    }

    /// Restricts the kind to the rooms that match: a room's name, or a prefix followed by `*`. Default: every room.
    pub fn rooms(mut self, pattern: impl Into<String>) -> Self {
        self.rooms = pattern.into();
        self
    }

    /// The most messages to retain for clients that join later or were offline; 0 retains none. Default 1,000.
    pub const fn keep(mut self, messages: usize) -> Self {
        self.history.messages = messages;
        self
    }

    /// How long a message is retained at most. Default: as long as the other bounds allow.
    pub const fn keep_for(mut self, age: Duration) -> Self {
        self.history.age = Some(age);
        self
    }

    /// The most bytes of messages to retain, counted as JSON with their stamps. Default 1 MiB.
    pub const fn keep_bytes(mut self, bytes: usize) -> Self {
        self.history.bytes = bytes;
        self
    }

    /// The longest message, in bytes of JSON. A longer one is refused with
    /// [`Code::MessageTooLarge`](crate::core::Code::MessageTooLarge). Default 64 KiB.
    pub const fn longest(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// Whether the retained messages are stored in the server's store, so that an acknowledged message is as durable
    /// as a change of a state. Otherwise they are lost when the server ends, or when nobody has been in the channel
    /// for the server's [`idle`](crate::server::ServerBuilder::idle) time. Default: not stored.
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

/// The kinds of channels, each with its pattern of rooms and its pattern of channels.
#[derive(Default)]
pub(crate) struct Channels {
    kinds: Vec<(String, String, RoomType)>,
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
        self.kinds.push((rooms, pattern, RoomType { type_name, begin, durable, hooks: None }));
    }

    /// The type of a room's channel: that of the longest pattern of rooms, then of the longest pattern of channels.
    pub(crate) fn of(&self, room: &str, channel: &str) -> Option<&RoomType> {
        self.kinds
            .iter()
            .filter_map(|(rooms, pattern, kind)| {
                Some(((matches(rooms, room)?, matches(pattern, channel)?), kind))
            })
            // `max_by_key` returns the last of equal elements; reversed, that is the one added first.
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
        // The longest message that the state takes tells which kind it was made from.
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
