//! The messages of the example `chat`, and what those who are in it show of themselves.

use serde::{Deserialize, Serialize};
use shared_state::server::ChannelKind;

/// What somebody says. Who it is, for the server, and when it was, is on every message; the name is what they call
/// themselves.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who says it.
    pub name: String,
    /// What.
    pub text: String,
}

/// What somebody does just now. Shown to the others, never stored.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doing {
    /// They are about to say something.
    pub typing: bool,
}

/// The demo server's channel of lines: the last 1,000 are kept, also when the server is killed.
pub fn channel() -> ChannelKind {
    ChannelKind::of::<Line>("chat").durable(true)
}
