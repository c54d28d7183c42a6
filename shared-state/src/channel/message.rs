//! The messages and other items of a channel, as an app sees them.

use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

/// What the server adds to a message: number, sender and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) seq: u64,
    pub(super) from: Arc<str>,
    pub(super) at: u64,
}

/// A message of a channel. Cheap to clone.
pub struct Message<T> {
    pub(super) stamp: Option<Stamp>,
    pub(super) own: bool,
    pub(super) value: Arc<T>,
}

impl<T> Message<T> {
    /// The message's number in the channel, from 1 without gaps. `None` while it is not acknowledged.
    #[must_use]
    pub fn seq(&self) -> Option<u64> {
        self.stamp.as_ref().map(|stamp| stamp.seq)
    }

    /// The public id of the sender, set by the server; `"server"` for a message of the server's program.
    /// `None` while the message is not acknowledged; it is this client's own then.
    #[must_use]
    pub fn from(&self) -> Option<&Arc<str>> {
        self.stamp.as_ref().map(|stamp| &stamp.from)
    }

    /// When the server accepted the message, in milliseconds since 1970 by the server's clock; never earlier
    /// than the message before. `None` while the message is not acknowledged.
    #[must_use]
    pub fn at(&self) -> Option<u64> {
        self.stamp.as_ref().map(|stamp| stamp.at)
    }

    /// Whether this client sent the message.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        self.own
    }

    /// Whether the message is not acknowledged yet. It is this client's own then, and others may not have it.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        self.stamp.is_none()
    }

    /// The content.
    #[must_use]
    pub fn value(&self) -> &T {
        &self.value
    }
}

impl<T> Clone for Message<T> {
    fn clone(&self) -> Self {
        Self { stamp: self.stamp.clone(), own: self.own, value: self.value.clone() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Message<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("seq", &self.seq())
            .field("from", &self.from())
            .field("at", &self.at())
            .field("own", &self.own)
            .field("value", &self.value)
            .finish()
    }
}

/// A message whose content is not of the requested type.
#[derive(Clone, Debug, thiserror::Error)]
#[error("message {seq} of {from} cannot be read: {error}")]
#[non_exhaustive]
pub struct Unreadable {
    /// The message's number.
    pub seq: u64,
    /// The public id of the sender.
    pub from: Arc<str>,
    /// When the server accepted it, in milliseconds since 1970.
    pub at: u64,
    /// The content as JSON.
    pub json: Arc<RawValue>,
    /// Why it cannot be read, for people.
    pub error: Arc<str>,
}

/// One item of a channel's stream or of its stored history.
#[derive(Debug)]
#[non_exhaustive]
pub enum Item<T> {
    /// A message.
    Message(Message<T>),
    /// A message whose content is not of the requested type.
    Unreadable(Unreadable),
    /// These messages cannot be had: this client missed more than the server keeps.
    Gap {
        /// The number of the first one.
        from: u64,
        /// The number of the last one.
        to: u64,
    },
    /// These messages arrived, but were dropped here before they were read, because the stream was read too
    /// slowly.
    Lagged {
        /// The number of the first one.
        from: u64,
        /// The number of the last one.
        to: u64,
    },
    /// The channel has a new history, and numbers start from 1 again: the server has lost or deleted the old
    /// one.
    Restarted,
}

impl<T> Clone for Item<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Message(message) => Self::Message(message.clone()),
            Self::Unreadable(unreadable) => Self::Unreadable(unreadable.clone()),
            Self::Gap { from, to } => Self::Gap { from: *from, to: *to },
            Self::Lagged { from, to } => Self::Lagged { from: *from, to: *to },
            Self::Restarted => Self::Restarted,
        }
    }
}
