//! A message as an app sees it.

use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

/// What the server puts on a message.
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
    /// Its number in the channel, from 1, without a hole. `None` while it is not acknowledged.
    #[must_use]
    pub fn seq(&self) -> Option<u64> {
        self.stamp.as_ref().map(|stamp| stamp.seq)
    }

    /// The public name of its sender, as the server knows it; `"server"` is the server's own program. `None` while it
    /// is not acknowledged, and so this client's own.
    #[must_use]
    pub fn from(&self) -> Option<&Arc<str>> {
        self.stamp.as_ref().map(|stamp| &stamp.from)
    }

    /// When the server took it, in milliseconds since 1970 by the server's clock; never before the message ahead of
    /// it. `None` while it is not acknowledged.
    #[must_use]
    pub fn at(&self) -> Option<u64> {
        self.stamp.as_ref().map(|stamp| stamp.at)
    }

    /// Whether this client sent it.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        self.own
    }

    /// Whether it is not acknowledged yet. It is this client's own then, and nobody else may have it.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        self.stamp.is_none()
    }

    /// Its content.
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

/// A message whose content is not of the type that was asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[error("message {seq} of {from} cannot be read: {error}")]
#[non_exhaustive]
pub struct Unreadable {
    /// Its number.
    pub seq: u64,
    /// The public name of its sender.
    pub from: Arc<str>,
    /// When the server took it, in milliseconds since 1970.
    pub at: u64,
    /// Its content, as it is.
    pub json: Arc<RawValue>,
    /// What is wrong with it, for people.
    pub error: Arc<str>,
}

/// What happens in a channel.
#[derive(Debug)]
#[non_exhaustive]
pub enum Item<T> {
    /// A message.
    Message(Message<T>),
    /// A message that is not of the type that was asked for.
    Unreadable(Unreadable),
    /// These messages are not to be had: more was missed than the server keeps.
    Gap {
        /// The number of the first.
        from: u64,
        /// The number of the last.
        to: u64,
    },
    /// These messages came and are no longer kept here: they were not taken in time.
    Lagged {
        /// The number of the first.
        from: u64,
        /// The number of the last.
        to: u64,
    },
    /// The channel has begun anew, and counts from 1 again: the server has lost, or let go of, what was there.
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
