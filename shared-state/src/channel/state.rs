//! A channel's [`Log`] as a [`SharedState`], so that a replica can hold it: one field, to which messages are
//! appended. Made by hand, not by the derive.
//!
//! The log stores pending messages apart from received ones, so a message that arrives never disturbs a
//! pending one.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::channel::Log;
use crate::channel::log::{LogMessage, Sent, same_sent};
use crate::core::Overlap;
use crate::core::json_text::JsonText;
use crate::core::read_back::encode_checked;
use crate::core::{Backend, FieldId, FieldInfo, FieldPath, FieldPathBuf, SharedState, UpdateError};
use crate::proto::channel::{APPEND, ChannelEntry, ChannelHistory, GONE, LONGEST, MESSAGES, SEND};

/// An operation on a channel.
pub struct Update<T>(Op<T>);

enum Op<T> {
    /// A new message of this client.
    Send(Arc<Sent<T>>),
    /// A message that the server has numbered.
    Append(Arc<LogMessage<T>>),
    /// The server no longer has the messages up to this number.
    Gone(u64),
    /// The length of the longest message that the channel takes, in bytes of JSON, once the server has said.
    Longest(Option<usize>),
    /// The full log.
    Set(Log<T>),
    /// The inverse of `Send`.
    Unsend(Arc<Sent<T>>),
    /// The inverse of `Append`: removes the last message and restores those that were dropped for it; the
    /// number is the one up to which messages were dropped before.
    Retract(Arc<LogMessage<T>>, Vec<Arc<LogMessage<T>>>, u64),
}

impl<T> Update<T> {
    fn send(json: Box<RawValue>, value: T) -> Self {
        Self(Op::Send(Arc::new(Sent { json, value: Arc::new(value) })))
    }

    /// The length of the message that is sent, in bytes of JSON; 0 if this sends none.
    #[must_use]
    pub fn sent_bytes(&self) -> usize {
        if let Op::Send(sent) = &self.0 { sent.json.get().len() } else { 0 }
    }
}

impl<T: Serialize + DeserializeOwned> Update<T> {
    /// The update that sends a message. It contains the value as it reads back from its JSON, which is what
    /// the others will get.
    ///
    /// # Errors
    /// The value has no JSON form, or it reads back from it as another value or not at all.
    pub fn of(value: &T) -> Result<Self, UpdateError> {
        let checked = encode_checked(value).and_then(|(json, read)| Ok((RawValue::from_string(json)?, read)));
        let (json, read) = checked.map_err(|error| UpdateError::wrong_type(&error))?;
        Ok(Self::send(json, read))
    }
}

impl<T> Clone for Update<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Op::Send(sent) => Op::Send(sent.clone()),
            Op::Append(entry) => Op::Append(entry.clone()),
            Op::Gone(seq) => Op::Gone(*seq),
            Op::Longest(bytes) => Op::Longest(*bytes),
            Op::Set(log) => Op::Set(log.clone()),
            Op::Unsend(sent) => Op::Unsend(sent.clone()),
            Op::Retract(entry, dropped, up_to) => Op::Retract(entry.clone(), dropped.clone(), *up_to),
        })
    }
}

impl<T> PartialEq for Update<T> {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Op::Send(a), Op::Send(b)) | (Op::Unsend(a), Op::Unsend(b)) => same_sent(a, b),
            (Op::Append(a), Op::Append(b)) => a.stamp == b.stamp,
            (Op::Retract(a, _, to), Op::Retract(b, _, other)) => a.stamp == b.stamp && to == other,
            (Op::Gone(a), Op::Gone(b)) => a == b,
            (Op::Longest(a), Op::Longest(b)) => a == b,
            (Op::Set(a), Op::Set(b)) => a.is_same(b),
            _ => false,
        }
    }
}

impl<T> fmt::Debug for Update<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Op::Send(sent) => write!(f, "Send({})", sent.json),
            Op::Append(entry) => write!(f, "Append({:?})", entry.stamp),
            Op::Gone(seq) => write!(f, "Gone({seq})"),
            Op::Longest(bytes) => write!(f, "Longest({bytes:?})"),
            Op::Set(log) => write!(f, "Set({} messages, {} pending)", log.entries.len(), log.pending.len()),
            Op::Unsend(sent) => write!(f, "Unsend({})", sent.json),
            Op::Retract(entry, ..) => write!(f, "Retract({:?})", entry.stamp),
        }
    }
}

/// The patch of a channel, which is always empty: a channel has no fields to set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoPatch {}

/// A channel's handle over any backend: the backend itself.
#[derive(Clone, Debug)]
pub struct Bare<L>(L);

impl<L> From<L> for Bare<L> {
    fn from(live: L) -> Self {
        Self(live)
    }
}

impl<L> Deref for Bare<L> {
    type Target = L;

    fn deref(&self) -> &L {
        &self.0
    }
}

impl<T> SharedState for Log<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Update = Update<T>;
    type Patch = NoPatch;
    type Handle<L: Backend<Self>> = Bare<L>;

    const NAME: &'static str = "channel";
    const FIELDS: &'static [FieldInfo] = &[FieldInfo::new(MESSAGES, "append")];

    fn apply(&mut self, update: Update<T>) -> Update<T> {
        Update(match update.0 {
            Op::Send(sent) => {
                self.pending.push_back(sent.clone());
                Op::Unsend(sent)
            }
            Op::Unsend(sent) => {
                if let Some(at) = self.pending.iter().rposition(|pending| same_sent(pending, &sent)) {
                    self.pending.remove(at);
                }
                Op::Send(sent)
            }
            Op::Append(entry) => {
                let up_to = self.dropped;
                match self.append(entry.clone()) {
                    Some(dropped) => Op::Retract(entry, dropped, up_to),
                    None => Op::Gone(0),
                }
            }
            Op::Retract(entry, dropped, up_to) => {
                self.retract(dropped, up_to);
                Op::Append(entry)
            }
            // The stored messages stay. A reader notices the gap before the next message, or at the end.
            Op::Gone(seq) => Op::Gone(seq),
            Op::Longest(bytes) => Op::Longest(std::mem::replace(&mut self.longest, bytes)),
            Op::Set(log) => Op::Set(self.replace(log)),
        })
    }

    fn field(_update: &Update<T>) -> FieldId {
        0
    }

    fn diff(old: &Self, new: &Self) -> Vec<Update<T>> {
        if old.is_same(new) { Vec::new() } else { vec![Update(Op::Set(new.clone()))] }
    }

    fn patch_updates(_patch: NoPatch) -> Vec<Update<T>> {
        Vec::new()
    }

    fn current(&self, _field: FieldId) -> Update<T> {
        Update(Op::Set(self.clone()))
    }

    fn copy_field(&mut self, from: &Self, _field: FieldId) {
        self.replace(from.clone());
    }

    fn overlap(pending: &Update<T>, remote: &Update<T>) -> Overlap {
        match (&pending.0, &remote.0) {
            (Op::Send(_), Op::Append(_) | Op::Gone(_) | Op::Longest(_)) => Overlap::Commutes,
            _ => Overlap::Conflicts,
        }
    }

    fn coalesce(_earlier: &mut Update<T>, _later: &Update<T>) -> bool {
        false
    }

    fn undo(&self, _update: &Update<T>, _inverse: &Update<T>) -> Option<Update<T>> {
        // A message that others have received cannot be undone.
        None
    }

    fn address(update: &Update<T>, path: &mut FieldPathBuf) -> Option<&'static str> {
        path.push(MESSAGES);
        match &update.0 {
            Op::Send(_) => Some(SEND),
            Op::Append(_) => Some(APPEND),
            Op::Gone(_) => Some(GONE),
            Op::Longest(_) => Some(LONGEST),
            Op::Set(_) | Op::Unsend(_) | Op::Retract(..) => None,
        }
    }

    fn encode<S: Serializer>(update: &Update<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match &update.0 {
            Op::Send(sent) => sent.json.serialize(serializer),
            Op::Append(entry) => write_entry(entry, |entry| entry.serialize(serializer)),
            Op::Gone(seq) => serializer.serialize_u64(*seq),
            Op::Longest(bytes) => bytes.serialize(serializer),
            Op::Set(log) => log.messages(serializer),
            Op::Unsend(_) | Op::Retract(..) => {
                Err(S::Error::custom("the inverse of an update is never sent"))
            }
        }
    }

    fn decode<'de, D: Deserializer<'de>>(
        mut path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<Update<T>, UpdateError> {
        let field = path.next_segment().unwrap_or_default();
        if field != MESSAGES {
            return Err(UpdateError::unknown_field(Self::NAME, &field));
        }
        if let Some(part) = path.next_segment() {
            return Err(UpdateError::no_parts("append", &part).in_field(MESSAGES));
        }
        let read = match op {
            Some(SEND) => Box::<RawValue>::deserialize(value).and_then(|json| {
                let read = T::deserialize(JsonText::of(&json)).map_err(D::Error::custom)?;
                Ok(Update::send(json, read))
            }),
            Some(APPEND) => ChannelEntry::deserialize(value)
                .map(|entry| Update(Op::Append(Arc::new(LogMessage::read(&entry))))),
            Some(GONE) => u64::deserialize(value).map(|seq| Update(Op::Gone(seq))),
            Some(LONGEST) => usize::deserialize(value).map(|bytes| Update(Op::Longest(Some(bytes)))),
            None => ChannelHistory::deserialize(value).map(|history| Update(Op::Set(Self::of(&history)))),
            Some(op) => return Err(UpdateError::unknown_op("append", op).in_field(MESSAGES)),
        };
        read.map_err(|error| UpdateError::wrong_type(&error).in_field(MESSAGES))
    }

    fn encode_field<S: Serializer>(&self, _field: FieldId, serializer: S) -> Result<S::Ok, S::Error> {
        self.messages(serializer)
    }
}

/// Calls `write` with a message's wire form.
fn write_entry<T: Serialize, R, E: serde::ser::Error>(
    entry: &LogMessage<T>,
    write: impl FnOnce(&ChannelEntry<'_>) -> Result<R, E>,
) -> Result<R, E> {
    let own;
    let value = match &entry.value {
        Ok(value) => {
            own = serde_json::value::to_raw_value(&**value).map_err(E::custom)?;
            &*own
        }
        Err((json, _)) => json,
    };
    let (seq, at) = (entry.stamp.seq, entry.stamp.at);
    write(&ChannelEntry { seq, from: (&*entry.stamp.from).into(), at, value })
}

impl<T: Serialize + DeserializeOwned> Log<T> {
    /// The log with these messages, without limits.
    fn of(history: &ChannelHistory<'_>) -> Self {
        let mut log = Self::keeping(usize::MAX, usize::MAX);
        log.longest = history.longest;
        for entry in &history.entries {
            log.append(Arc::new(LogMessage::read(entry)));
        }
        log
    }

    fn messages<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut json = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            json.push(write_entry(entry, |entry| {
                serde_json::value::to_raw_value(entry).map_err(S::Error::custom)
            })?);
        }
        let mut object = serializer.serialize_struct("Messages", 2)?;
        object.serialize_field(
            "gone",
            &self.entries.front().map_or(self.dropped, |entry| entry.stamp.seq - 1),
        )?;
        object.serialize_field("entries", &json)?;
        object.end()
    }
}

impl<T: Serialize + DeserializeOwned> Serialize for Log<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Messages<'a, T>(&'a Log<T>);
        impl<T: Serialize + DeserializeOwned> Serialize for Messages<'_, T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.messages(serializer)
            }
        }
        use serde::ser::SerializeStruct as _;
        let mut object = serializer.serialize_struct("Channel", 1)?;
        object.serialize_field(MESSAGES, &Messages(self))?;
        object.end()
    }
}

impl<'de, T: Serialize + DeserializeOwned> Deserialize<'de> for Log<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Channel {
            messages: Box<RawValue>,
        }
        let channel = Channel::deserialize(deserializer)?;
        let history = serde_json::from_str(channel.messages.get()).map_err(D::Error::custom)?;
        Ok(Self::of(&history))
    }
}
