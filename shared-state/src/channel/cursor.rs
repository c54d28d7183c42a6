//! A reader's position in a channel. The client's streams and the simulation read through it.

use crate::channel::{Item, Log};
use crate::replica::Replica;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A reader's position in a [`Log`]: it returns each message once and in order, and reports those that it
/// cannot return.
///
/// It stores no messages, but reads the log that all readers of the channel share. A reader that is slower
/// than the log's limits allow gets an [`Item::Lagged`].
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    epoch: Option<u64>,
    /// The number to read next. `None`, before the channel's state arrived: the first one after that state.
    next: Option<u64>,
}

impl Cursor {
    /// At the end: everything from now on. If the channel's state has not arrived yet, everything after that
    /// state.
    #[must_use]
    pub fn now<T>(replica: &Replica<Log<T>>) -> Self
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let epoch = replica.epoch();
        Self { epoch, next: epoch.map(|_| replica.version() + 1) }
    }

    /// After the message with this number; 0 is the beginning.
    #[must_use]
    pub fn after<T>(replica: &Replica<Log<T>>, seq: u64) -> Self
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        Self { epoch: replica.epoch(), next: Some(seq.saturating_add(1)) }
    }

    /// Returns the next item, if there is one. `me` is this client's public id. Costs O(log n) in the stored
    /// messages.
    pub fn next<T>(&mut self, replica: &Replica<Log<T>>, me: Option<&str>) -> Option<Item<T>>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let epoch = replica.epoch()?;
        let (version, log) = (replica.version(), replica.confirmed());
        if *self.epoch.get_or_insert(epoch) != epoch || self.next.is_some_and(|next| next > version + 1) {
            *self = Self { epoch: Some(epoch), next: Some(1) };
            return Some(Item::Restarted);
        }
        let next = *self.next.get_or_insert(version + 1);
        if next <= log.dropped {
            self.next = Some(log.dropped + 1);
            return Some(Item::Lagged { from: next, to: log.dropped });
        }
        let at = log.entries.partition_point(|entry| entry.stamp.seq < next);
        let found = log.entries.get(at);
        let there = found.map_or(version + 1, |entry| entry.stamp.seq);
        if next < there {
            self.next = Some(there);
            return Some(Item::Gap { from: next, to: there - 1 });
        }
        found.map(|entry| {
            self.next = Some(next + 1);
            entry.item(me)
        })
    }
}
