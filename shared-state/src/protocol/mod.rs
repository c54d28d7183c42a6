//! What travels between a client and the server: messages, codes and limits. `PROTOCOL.md` describes it for
//! someone who writes a client from scratch.
//!
//! Reading borrows from the frame; the values of updates stay text until the type that knows them decodes
//! them. Writing makes each frame once, whatever the number of receivers.

/// `write!` to a string cannot fail.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => { let _ = write!($out, $($arg)*); };
}

mod address;
pub mod brief;
pub mod channel;
mod code;
mod decode;
mod encode;
mod envelope;
pub mod hook;
mod join;
mod limits;
pub mod presence;
mod rights;
pub mod room;
mod secret;

pub use address::{channel_address, split_address};
pub use code::{Code, Reject};
pub use decode::{
    ChangeRequest, ClientMessage, Hello, Outcome, Outcomes, Resume, RoomMessage, ServerMessage, Violation,
};
pub(crate) use encode::push_string;
pub use encode::{client, server};
pub use envelope::Envelope;
pub(crate) use join::room_schema;
pub use join::{Declaration, JoinRequest, RoomSchema};
pub use limits::{Limits, check_depth, check_room_name};
pub use rights::Barred;
pub use room::RoomDetails;
pub use secret::Secret;

use bytes::Bytes;

/// The WebSocket subprotocol of the JSON codec.
pub const JSON: &str = "shared-state.v1.json";

/// The public name of a client: who made a change. Made by the server from the client's secret id.
pub type ClientId = std::sync::Arc<str>;

/// One encoded frame, shared by all its receivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
    is_binary: bool,
}

impl Frame {
    /// A binary frame: a [`brief`] one.
    pub(crate) fn binary(bytes: Vec<u8>) -> Self {
        Self { bytes: Bytes::from(bytes), is_binary: true }
    }

    /// Whether it is a [`brief`] frame, which has no text.
    #[must_use]
    pub const fn is_binary(&self) -> bool {
        self.is_binary
    }

    /// The frame's text; empty if it is binary.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // What is not binary was made from a `String`, so it never falls back.
        if self.is_binary { "" } else { std::str::from_utf8(&self.bytes).unwrap_or_default() }
    }

    /// The frame's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The frame's bytes: UTF-8, if it is not binary.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The frame's length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the frame is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Self { bytes: Bytes::from(text), is_binary: false }
    }
}
