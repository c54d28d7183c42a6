//! A reader's place in a channel.

use crate::channel::{Item, Log};
use crate::replica::Replica;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Where a reader is: it is given what follows, each message once and in order, and told what it cannot be given.
///
/// It holds no messages: it reads the log that every reader of the channel shares. A reader that is slower than the
/// log's bound is told which messages it [missed](Item::Lagged).
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    epoch: Option<u64>,
    /// The number that is read next; of a history that is not known yet: `None` for what comes after it is known.
    next: Option<u64>,
}

impl Cursor {
    /// Before what comes from now on. Of a channel that is not known yet, that is what comes after it is known.
    #[must_use]
    pub fn now<T>(replica: &Replica<Log<T>>) -> Self
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let epoch = replica.epoch();
        Self { epoch, next: epoch.map(|_| replica.version() + 1) }
    }

    /// Before the message that follows the one with this number; 0: before the first.
    #[must_use]
    pub fn after<T>(replica: &Replica<Log<T>>, seq: u64) -> Self
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        Self { epoch: replica.epoch(), next: Some(seq.saturating_add(1)) }
    }

    /// The next item, if there is one. `me` is this client's public name.
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
        let at = log.kept.partition_point(|kept| kept.stamp.seq < next);
        let found = log.kept.get(at);
        let there = found.map_or(version + 1, |kept| kept.stamp.seq);
        if next < there {
            self.next = Some(there);
            return Some(Item::Gap { from: next, to: there - 1 });
        }
        found.map(|kept| {
            self.next = Some(next + 1);
            kept.item(me)
        })
    }
}
