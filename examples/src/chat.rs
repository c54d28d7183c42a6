//! The messages of the example `chat`, and the presence of its users.

use serde::{Deserialize, Serialize};
use shared_state::server::ChannelKind;

/// A message. The channel adds the author's public id and the time; `name` is what the author calls themselves.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The author's name; empty if the client gives none.
    #[serde(default)]
    pub name: String,
    /// The text.
    pub text: String,
}

/// What a user is doing. Shown to the others, never stored.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doing {
    /// They are typing a message.
    pub typing: bool,
}

/// The demo server's channels of lines: the last 1,000 are retained and stored, so they survive a killed server. Only those
/// of the example's rooms, `chat` and `chat-..`, check that a message is a [`Line`]; in other rooms a client may have its own
/// messages in a channel of this name.
pub fn channels() -> [ChannelKind; 3] {
    let lines = || ChannelKind::of::<Line>("chat").durable(true);
    [lines().rooms("chat"), lines().rooms("chat-*"), ChannelKind::any("chat").durable(true)]
}
