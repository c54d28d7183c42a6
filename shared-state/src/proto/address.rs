//! Where a message belongs: to a room, or to one of a room's channels.
//!
//! On the wire these are two members, `room` and `channel`. Inside the program they are one name, so that whatever
//! deals with rooms deals with channels: the room's name, a character that no name can have, the channel's name.

/// The unit separator: a control character, see [`check_room_name`](crate::proto::check_room_name).
const SEPARATOR: char = '\u{1f}';

/// The address of a channel.
#[must_use]
pub fn channel_address(room: &str, channel: &str) -> String {
    format!("{room}{SEPARATOR}{channel}")
}

/// An address taken apart: the room, and the channel if it is one's.
#[must_use]
pub fn split_address(address: &str) -> (&str, Option<&str>) {
    match address.split_once(SEPARATOR) {
        Some((room, channel)) => (room, Some(channel)),
        None => (address, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_as_it_was_made() {
        assert_eq!(split_address("lobby"), ("lobby", None));
        assert_eq!(split_address(&channel_address("a b", "chat")), ("a b", Some("chat")));
    }
}
