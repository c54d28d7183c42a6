//! Broadcasts of a channel: messages for the clients that are in it now, delivered at most once and never
//! stored. Owns the queue to the socket and the one to the app;
//! [`SharedReplica`](crate::client::task::shared_replica::SharedReplica) has one for each channel.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::broadcast;

use crate::client::Lagged;
use crate::core::Reject;
use crate::proto::{ClientLimits, Frame};

/// The most broadcasts that wait for the socket.
const OUTGOING: usize = 64;

/// The most received broadcasts that wait for the app.
const INCOMING: usize = 256;

/// A broadcast that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broadcast<T> {
    /// The public id of its sender, set by the server.
    pub from: Arc<str>,
    /// When the server received it, in milliseconds since 1970.
    pub at: u64,
    /// Its content.
    pub value: T,
}

/// Why a broadcast was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastError {
    /// The channel is not joined over the current connection.
    #[error("the channel is not joined now, so the broadcast was not sent")]
    NotLive,
    /// Too many broadcasts wait for the socket.
    #[error("the queue of unsent broadcasts is full: {limit} at most")]
    Full {
        /// The length of the queue.
        limit: usize,
    },
    /// The broadcast is longer than the server accepts.
    #[error("the broadcast has {found} bytes, and the server accepts {limit} at most")]
    TooLarge {
        /// The longest frame that the server accepts, in bytes.
        limit: usize,
        /// The frame's length, in bytes.
        found: usize,
    },
    /// The server would refuse the broadcast.
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// The value has no JSON form.
    #[error("the value has no JSON form: {0}")]
    Unsendable(#[from] serde_json::Error),
}

/// Why a broadcast was not received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The app received too slowly, and some were dropped.
    #[error(transparent)]
    Lagged(#[from] Lagged),
    /// The content is not of the requested type.
    #[error("a broadcast of {from} cannot be read: {error}")]
    Unreadable {
        /// The public id of its sender.
        from: Arc<str>,
        /// Why it cannot be read.
        error: serde_json::Error,
    },
}

/// A broadcast on its way to the app's streams, not decoded yet.
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

/// The broadcasts of one channel, in both directions.
#[derive(Default)]
pub(super) struct Broadcasts {
    /// What waits for the socket.
    pub(super) outgoing: VecDeque<Frame>,
    deliveries: Option<broadcast::Sender<Delivery>>,
    limits: ClientLimits,
}

impl Broadcasts {
    pub(super) fn send(&mut self, frame: Frame) -> Result<(), BroadcastError> {
        if self.outgoing.len() >= OUTGOING {
            return Err(BroadcastError::Full { limit: OUTGOING });
        }
        let (limit, found) = (self.limits.frame, frame.len());
        if found > limit {
            return Err(BroadcastError::TooLarge { limit, found });
        }
        // The text is a whole frame, so nothing is around it.
        self.limits.check_depth(frame.as_str(), 0).map_err(BroadcastError::Rejected)?;
        self.outgoing.push_back(frame);
        Ok(())
    }

    /// Sets the server's limits.
    pub(super) const fn set_limits(&mut self, limits: ClientLimits) {
        self.limits = limits;
    }

    /// Drops what waits: it was meant for the clients that were connected then.
    pub(super) fn detach(&mut self) {
        self.outgoing.clear();
    }

    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    pub(super) fn subscribe(&mut self) -> broadcast::Receiver<Delivery> {
        self.deliveries.get_or_insert_with(|| broadcast::channel(INCOMING).0).subscribe()
    }

    pub(super) fn deliver(&mut self, from: &str, at: u64, value: &RawValue) {
        let Some(deliveries) = &self.deliveries else { return };
        let value = Arc::from(value.to_owned());
        if deliveries.send(Delivery { from: Arc::from(from), at, value }).is_err() {
            // The last stream was dropped.
            self.deliveries = None;
        }
    }
}
