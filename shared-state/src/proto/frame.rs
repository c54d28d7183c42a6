//! An encoded WebSocket frame.

use bytes::Bytes;

/// One encoded frame, shared by all its receivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
    is_binary: bool,
}

impl Frame {
    /// A binary frame: a [compact](crate::proto::compact) one.
    pub(crate) fn binary(bytes: Vec<u8>) -> Self {
        Self { bytes: Bytes::from(bytes), is_binary: true }
    }

    /// Whether it is a [compact](crate::proto::compact) frame, which has no text.
    #[must_use]
    pub const fn is_binary(&self) -> bool {
        self.is_binary
    }

    /// The frame's text; empty if it is binary.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // A text frame is made from a `String` only, so it is always UTF-8.
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
