//! Addresses: the room or channel that a message is about, as one string.
//!
//! On the wire there are two members, `room` and `channel`. An address is the room's name, followed for a channel by a
//! separator that no name can contain and the channel's name. So code for rooms works for channels too.

/// The unit separator: a control character, see [`check_room_name`](crate::proto::check_room_name).
const SEPARATOR: char = '\u{1f}';

/// The address of a channel.
#[must_use]
pub fn channel_address(room: &str, channel: &str) -> String {
    format!("{room}{SEPARATOR}{channel}")
}

/// Splits an address into the room and, if it is a channel's address, the channel.
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
    fn an_address_is_split_into_what_it_was_made_of() {
        assert_eq!(split_address("lobby"), ("lobby", None));
        assert_eq!(split_address(&channel_address("a b", "chat")), ("a b", Some("chat")));
    }
}
