//! An encoded WebSocket frame.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

/// Text that is a part of several frames is copied into each if it is shorter than this, in bytes.
const SHORTEST_SHARED: usize = 16 << 10;

/// One encoded frame, shared by all its receivers. It may share a long part of its text with other frames.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The bytes, or those before the shared part.
    bytes: Bytes,
    rest: Option<Arc<Rest>>,
    is_binary: bool,
}

/// The shared part of a frame and what follows it.
#[derive(Debug)]
struct Rest {
    shared: Bytes,
    after: Bytes,
    /// The whole frame, if it was asked for.
    joined: OnceLock<Bytes>,
}

/// Text that is a part of several frames.
struct Shared(Arc<String>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Frame {
    /// A binary frame: a [compact](crate::proto::compact) one.
    pub(crate) fn binary(bytes: Vec<u8>) -> Self {
        Self { bytes: Bytes::from(bytes), rest: None, is_binary: true }
    }

    /// A text frame with `inside` inserted at the byte `at` of `around`. Frames with the same long `inside` share it.
    pub(crate) fn with_inside(mut around: String, at: usize, inside: &Arc<String>) -> Self {
        if inside.len() < SHORTEST_SHARED {
            around.insert_str(at, inside);
            return Self::from(around);
        }
        let mut bytes = Bytes::from(around);
        let after = bytes.split_off(at);
        let shared = Bytes::from_owner(Shared(inside.clone()));
        let rest = Rest { shared, after, joined: OnceLock::new() };
        Self { bytes, rest: Some(Arc::new(rest)), is_binary: false }
    }

    /// Whether it is a [compact](crate::proto::compact) frame, which has no text.
    #[must_use]
    pub const fn is_binary(&self) -> bool {
        self.is_binary
    }

    /// The frame's text; empty if it is binary. If the frame shares a part with others, the first call copies it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // A text frame is made from `String`s only, so it is always UTF-8.
        if self.is_binary { "" } else { std::str::from_utf8(self.whole()).unwrap_or_default() }
    }

    /// The frame's bytes. If the frame shares a part with others, the first call copies it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.whole()
    }

    /// The frame's bytes: UTF-8, if it is not binary. If the frame shares a part with others, the first call copies it.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.whole().clone()
    }

    fn whole(&self) -> &Bytes {
        match self.rest.as_deref() {
            None => &self.bytes,
            Some(Rest { shared, after, joined }) => {
                joined.get_or_init(|| [&*self.bytes, shared, after].concat().into())
            }
        }
    }

    /// The frame's bytes in order, in three pieces that may be empty. Copies nothing.
    #[cfg(any(feature = "server", test))]
    pub(crate) fn into_pieces(self) -> [Bytes; 3] {
        match self.rest.as_deref() {
            None => [self.bytes, Bytes::new(), Bytes::new()],
            Some(rest) => [self.bytes, rest.shared.clone(), rest.after.clone()],
        }
    }

    /// The frame's length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() + self.rest.as_ref().map_or(0, |rest| rest.shared.len() + rest.after.len())
    }

    /// Whether the frame is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.is_binary == other.is_binary && self.len() == other.len() && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Frame {}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Self { bytes: Bytes::from(text), rest: None, is_binary: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_with_the_same_text_inside_share_it_if_it_is_long() {
        for (length, holders) in [(SHORTEST_SHARED - 1, 1), (SHORTEST_SHARED, 3)] {
            let inside = Arc::new("x".repeat(length));
            let one = Frame::with_inside("{\"a\":}".to_owned(), 5, &inside);
            let other = Frame::with_inside("{\"bc\":,\"d\":1}".to_owned(), 6, &inside);
            assert_eq!(Arc::strong_count(&inside), holders);
            assert_eq!(one.as_str(), format!("{{\"a\":{inside}}}"));
            assert_eq!(other.as_str(), format!("{{\"bc\":{inside},\"d\":1}}"));
            assert_eq!((one.len(), other.len()), (length + 6, length + 13));
            assert_eq!(other.clone().into_pieces().concat(), other.as_bytes());
            assert_ne!(one, other);
            drop((one, other));
            assert_eq!(Arc::strong_count(&inside), 1, "no frame is left");
        }
    }
}
