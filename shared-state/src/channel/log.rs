//! What a client has of a channel: the last messages it got, and its own that are not acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::channel::message::Stamp;
use crate::channel::{Item, Message, Unreadable};
use crate::proto::channel::ChannelEntry;

/// How many messages, and how many bytes of them, a client keeps if nothing else is said.
pub(crate) const RETAINED: (usize, usize) = (1000, 4 << 20);

/// A message, read.
pub(super) struct LogMessage<T> {
    pub(super) stamp: Stamp,
    pub(super) value: Result<Arc<T>, (Arc<RawValue>, Arc<str>)>,
    /// Its length as JSON.
    pub(super) bytes: usize,
}

/// An own message that is not acknowledged: as it is sent, and as it reads.
pub(super) struct Sent<T> {
    pub(super) json: Box<RawValue>,
    pub(super) value: Arc<T>,
}

/// A client's copy of a channel: the state of its replica.
///
/// Bounded: of the messages it got it keeps the last 1,000, or as many as have 4 MiB of JSON, or what
/// [`keeping`](Self::keeping) says. A clone copies pointers.
pub struct Log<T> {
    /// By number, the oldest first; a hole is a gap.
    pub(super) kept: VecDeque<Arc<LogMessage<T>>>,
    pub(super) pending: VecDeque<Arc<Sent<T>>>,
    /// Messages up to this number were let go of here.
    pub(super) dropped: u64,
    bytes: usize,
    limits: (usize, usize),
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self::keeping(RETAINED.0, RETAINED.1)
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self {
            kept: self.kept.clone(),
            pending: self.pending.clone(),
            dropped: self.dropped,
            bytes: self.bytes,
            limits: self.limits,
        }
    }
}

impl<T> Log<T> {
    /// An empty log that keeps so many messages, and so many bytes of them. The last message is always kept.
    #[must_use]
    pub const fn keeping(messages: usize, bytes: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            pending: VecDeque::new(),
            dropped: 0,
            bytes: 0,
            limits: (messages, bytes),
        }
    }

    /// Everything there is, in order: messages, those that cannot be read, gaps between them, and last this client's
    /// own that are not acknowledged. `me` is this client's public name.
    pub fn items(&self, me: Option<&str>) -> Vec<Item<T>> {
        let mut items = Vec::with_capacity(self.kept.len() + self.pending.len());
        let mut next = None;
        for kept in &self.kept {
            let seq = kept.stamp.seq;
            if let Some(from) = next.filter(|next| *next < seq) {
                items.push(Item::Gap { from, to: seq - 1 });
            }
            items.push(kept.item(me));
            next = Some(seq + 1);
        }
        let pending =
            self.pending.iter().map(|sent| Message { stamp: None, own: true, value: sent.value.clone() });
        items.extend(pending.map(Item::Message));
        items
    }

    pub(super) fn last(&self) -> u64 {
        self.kept.back().map_or(self.dropped, |kept| kept.stamp.seq)
    }

    /// Adds a message, if it is news; gives those that were let go of for it.
    pub(super) fn append(&mut self, kept: Arc<LogMessage<T>>) -> Option<Vec<Arc<LogMessage<T>>>> {
        if kept.stamp.seq <= self.last() {
            return None;
        }
        self.bytes += kept.bytes;
        self.kept.push_back(kept);
        Some(self.trim())
    }

    /// Lets go of what is too much, the oldest first.
    fn trim(&mut self) -> Vec<Arc<LogMessage<T>>> {
        let mut dropped = Vec::new();
        while self.kept.len() > 1
            && (self.kept.len() > self.limits.0 || self.bytes > self.limits.1)
            && let Some(first) = self.kept.pop_front()
        {
            self.bytes -= first.bytes;
            self.dropped = first.stamp.seq;
            dropped.push(first);
        }
        dropped
    }

    /// Takes the last message back, and puts back those that were let go of for it.
    pub(super) fn retract(&mut self, dropped: Vec<Arc<LogMessage<T>>>, up_to: u64) {
        if let Some(last) = self.kept.pop_back() {
            self.bytes -= last.bytes;
        }
        for kept in dropped.into_iter().rev() {
            self.bytes += kept.bytes;
            self.kept.push_front(kept);
        }
        self.dropped = up_to;
    }

    /// Becomes equal to another, within its own limits.
    pub(super) fn replace(&mut self, other: Self) -> Self {
        let limits = self.limits;
        let before = std::mem::replace(self, other);
        self.limits = limits;
        self.trim();
        before
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.dropped == other.dropped
            && self.kept.len() == other.kept.len()
            && self.pending.len() == other.pending.len()
            && self.kept.iter().zip(&other.kept).all(|(a, b)| Arc::ptr_eq(a, b) || a.stamp == b.stamp)
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
        let value = T::deserialize(entry.value)
            .map(Arc::new)
            .map_err(|error| (Arc::from(entry.value.to_owned()), Arc::from(error.to_string())));
        let stamp = Stamp { seq: entry.seq, from: Arc::from(&*entry.from), at: entry.at };
        Self { stamp, value, bytes: entry.value.get().len() }
    }
}
