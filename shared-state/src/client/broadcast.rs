//! Messages for those who are there now: sent once, or not at all.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::broadcast;

use crate::client::Lagged;
use crate::proto::Frame;

/// How many of them wait for the socket to take them.
const OUTGOING: usize = 64;

/// How many of them wait for an app that does not take them.
const INCOMING: usize = 256;

/// A message for those who are in a channel now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broadcast<T> {
    /// The public name of its sender, as the server knows it.
    pub from: Arc<str>,
    /// When the server had it, in milliseconds since 1970.
    pub at: u64,
    /// Its content.
    pub value: T,
}

/// A broadcast that was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastError {
    /// The channel is not joined over a connection that stands.
    #[error("the channel is not joined now, so nobody can be told")]
    NotLive,
    /// The socket does not take what was sent before.
    #[error("{limit} broadcasts wait to be sent already")]
    Full {
        /// How many can wait.
        limit: usize,
    },
    /// It is longer than the server takes.
    #[error("the server takes {limit} bytes at most, and the broadcast has {found}")]
    TooLarge {
        /// The longest frame, in bytes.
        limit: usize,
        /// The frame's length.
        found: usize,
    },
    /// The value has no JSON form.
    #[error("the value has no JSON form: {0}")]
    Unsendable(#[from] serde_json::Error),
}

/// A broadcast that was not received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// Some were not taken in time.
    #[error(transparent)]
    Lagged(#[from] Lagged),
    /// One was not of the type that was asked for.
    #[error("a broadcast of {from} cannot be read: {error}")]
    Unreadable {
        /// The public name of its sender.
        from: Arc<str>,
        /// What is wrong.
        error: serde_json::Error,
    },
}

/// One that came.
#[derive(Clone)]
pub(super) struct Delivery {
    from: Arc<str>,
    at: u64,
    value: Arc<RawValue>,
}

impl Delivery {
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<Broadcast<T>, RecvError> {
        match serde_json::from_str(self.value.get()) {
            Ok(value) => Ok(Broadcast { from: self.from, at: self.at, value }),
            Err(error) => Err(RecvError::Unreadable { from: self.from, error }),
        }
    }
}

/// A channel's part that is no state.
#[derive(Default)]
pub(super) struct Broadcasts {
    outgoing: VecDeque<Frame>,
    heard: Option<broadcast::Sender<Delivery>>,
    /// The longest frame that the server takes, once it has said so.
    max_frame: Option<usize>,
}

impl Broadcasts {
    pub(super) fn send(&mut self, frame: Frame) -> Result<(), BroadcastError> {
        if self.outgoing.len() >= OUTGOING {
            return Err(BroadcastError::Full { limit: OUTGOING });
        }
        match self.max_frame {
            Some(limit) if frame.len() > limit => Err(BroadcastError::TooLarge { limit, found: frame.len() }),
            _ => {
                self.outgoing.push_back(frame);
                Ok(())
            }
        }
    }

    pub(super) const fn limit_frames(&mut self, bytes: usize) {
        self.max_frame = Some(bytes);
    }

    pub(super) fn poll_frame(&mut self) -> Option<Frame> {
        self.outgoing.pop_front()
    }

    /// What waits is for those who were there then.
    pub(super) fn detach(&mut self) {
        self.outgoing.clear();
    }

    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    pub(super) fn listen(&mut self) -> broadcast::Receiver<Delivery> {
        self.heard.get_or_insert_with(|| broadcast::channel(INCOMING).0).subscribe()
    }

    pub(super) fn hear(&mut self, from: &str, at: u64, value: &RawValue) {
        let Some(heard) = &self.heard else { return };
        let value = Arc::from(value.to_owned());
        if heard.send(Delivery { from: Arc::from(from), at, value }).is_err() {
            // Nobody is there any more.
            self.heard = None;
        }
    }
}
