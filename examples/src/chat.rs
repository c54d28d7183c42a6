//! The messages of the example `chat`, and the presence of its users.

use serde::{Deserialize, Serialize};
use shared_state::server::ChannelKind;

/// A message. The channel adds the author's public id and the time; `name` is what the author calls themselves.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The author's name.
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

/// The demo server's channel of lines: the last 1,000 are retained and stored, so they survive a killed server.
pub fn channel() -> ChannelKind {
    ChannelKind::of::<Line>("chat").durable(true)
}
