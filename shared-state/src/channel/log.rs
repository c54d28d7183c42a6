//! A client's copy of a channel: the last messages it received, and its own that are not acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::channel::message::Stamp;
use crate::channel::{Item, Message, Unreadable};
use crate::core::json_text::JsonText;
use crate::proto::channel::ChannelEntry;

/// The default limits of a log, in messages and in bytes.
pub(crate) const RETAINED: (usize, usize) = (1000, 4 << 20);

/// A message that was received and decoded.
pub(super) struct LogMessage<T> {
    pub(super) stamp: Stamp,
    pub(super) value: Result<Arc<T>, (Arc<RawValue>, Arc<str>)>,
    /// The length of its JSON, in bytes.
    pub(super) bytes: usize,
}

/// A message of this client that is not acknowledged: its JSON, and the value decoded from it.
pub(super) struct Sent<T> {
    pub(super) json: Box<RawValue>,
    pub(super) value: Arc<T>,
}

/// A client's copy of a channel: the state of its replica.
///
/// It stores the last 1,000 messages, or the last 4 MiB of JSON if that is less; [`keeping`](Self::keeping)
/// sets other limits. A clone copies pointers.
pub struct Log<T> {
    /// By number, the oldest first. A missing number is a gap.
    pub(super) entries: VecDeque<Arc<LogMessage<T>>>,
    pub(super) pending: VecDeque<Arc<Sent<T>>>,
    /// Messages up to this number were dropped here, because of the limits.
    pub(super) dropped: u64,
    bytes: usize,
    limits: (usize, usize),
    pub(super) longest: Option<usize>,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self::keeping(RETAINED.0, RETAINED.1)
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self {
            entries: self.entries.clone(),
            pending: self.pending.clone(),
            dropped: self.dropped,
            bytes: self.bytes,
            limits: self.limits,
            longest: self.longest,
        }
    }
}

impl<T> Log<T> {
    /// An empty log that stores at most this many messages and bytes of JSON. The last message is always
    /// stored.
    #[must_use]
    pub const fn keeping(messages: usize, bytes: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            pending: VecDeque::new(),
            dropped: 0,
            bytes: 0,
            limits: (messages, bytes),
            longest: None,
        }
    }

    /// The length of the longest message that the channel takes, in bytes of JSON, once the server has said.
    #[must_use]
    pub const fn longest(&self) -> Option<usize> {
        self.longest
    }

    /// Everything in the log, in order: received messages, unreadable ones, the gaps between them, and last
    /// the messages of this client that are not acknowledged. `me` is this client's public id.
    pub fn items(&self, me: Option<&str>) -> Vec<Item<T>> {
        let mut items = Vec::with_capacity(self.entries.len() + self.pending.len());
        let mut next = None;
        for entry in &self.entries {
            let seq = entry.stamp.seq;
            if let Some(from) = next.filter(|next| *next < seq) {
                items.push(Item::Gap { from, to: seq - 1 });
            }
            items.push(entry.item(me));
            next = Some(seq + 1);
        }
        let pending =
            self.pending.iter().map(|sent| Message { stamp: None, own: true, value: sent.value.clone() });
        items.extend(pending.map(Item::Message));
        items
    }

    pub(super) fn last(&self) -> u64 {
        self.entries.back().map_or(self.dropped, |entry| entry.stamp.seq)
    }

    /// Appends a message and returns those that were dropped for it; `None` if the message is not newer than
    /// the last.
    pub(super) fn append(&mut self, entry: Arc<LogMessage<T>>) -> Option<Vec<Arc<LogMessage<T>>>> {
        if entry.stamp.seq <= self.last() {
            return None;
        }
        self.bytes += entry.bytes;
        self.entries.push_back(entry);
        Some(self.trim())
    }

    /// Drops the oldest messages beyond the limits, and returns them.
    fn trim(&mut self) -> Vec<Arc<LogMessage<T>>> {
        let mut dropped = Vec::new();
        while self.entries.len() > 1
            && (self.entries.len() > self.limits.0 || self.bytes > self.limits.1)
            && let Some(first) = self.entries.pop_front()
        {
            self.bytes -= first.bytes;
            self.dropped = first.stamp.seq;
            dropped.push(first);
        }
        dropped
    }

    /// Removes the last message, and restores those that were dropped for it.
    pub(super) fn retract(&mut self, dropped: Vec<Arc<LogMessage<T>>>, up_to: u64) {
        if let Some(last) = self.entries.pop_back() {
            self.bytes -= last.bytes;
        }
        for entry in dropped.into_iter().rev() {
            self.bytes += entry.bytes;
            self.entries.push_front(entry);
        }
        self.dropped = up_to;
    }

    /// Replaces the content, but not the limits. Returns the previous log.
    pub(super) fn replace(&mut self, other: Self) -> Self {
        let limits = self.limits;
        let before = std::mem::replace(self, other);
        self.limits = limits;
        self.trim();
        before
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.dropped == other.dropped
            && self.entries.len() == other.entries.len()
            && self.pending.len() == other.pending.len()
            && self.entries.iter().zip(&other.entries).all(|(a, b)| Arc::ptr_eq(a, b) || a.stamp == b.stamp)
            && self.pending.iter().zip(&other.pending).all(|(a, b)| same_sent(a, b))
    }
}

pub(super) fn same_sent<T>(a: &Arc<Sent<T>>, b: &Arc<Sent<T>>) -> bool {
    Arc::ptr_eq(a, b) || a.json.get() == b.json.get()
}

impl<T> LogMessage<T> {
    pub(super) fn item(&self, me: Option<&str>) -> Item<T> {
        let Stamp { seq, from, at } = self.stamp.clone();
        match &self.value {
            Ok(value) => {
                let own = me == Some(&*from);
                Item::Message(Message { stamp: Some(Stamp { seq, from, at }), own, value: value.clone() })
            }
            Err((json, error)) => {
                Item::Unreadable(Unreadable { seq, from, at, json: json.clone(), error: error.clone() })
            }
        }
    }
}

impl<T: DeserializeOwned> LogMessage<T> {
    pub(super) fn read(entry: &ChannelEntry<'_>) -> Self {
        let value = T::deserialize(JsonText::of(entry.value))
            .map(Arc::new)
            .map_err(|error| (Arc::from(entry.value.to_owned()), Arc::from(error.to_string())));
        let stamp = Stamp { seq: entry.seq, from: Arc::from(&*entry.from), at: entry.at };
        Self { stamp, value, bytes: entry.value.get().len() }
    }
}
