//! A channel of a room, as an app holds it: a [`State`] whose type is the channel's [`Log`], with methods for
//! messages.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::channel::{Cursor, Item, Log, Message, Update};
use crate::client::broadcast::{Broadcast, BroadcastError, RecvError};
use crate::client::room::{Room, StateError};
use crate::client::{Lagged, Receipt, State, Subscription, subscription};
use crate::core::read_back::encode_checked;
use crate::core::{Reject, WriteError};
use crate::proto::channel::{MESSAGES, check_length};
use crate::proto::{Violation, channel_address, split_address};

/// A channel of a room: a sequence of messages of type `T` that is the same for everyone. Cheap to clone;
/// every clone is the same channel.
///
/// Reads and writes hold a lock while they run, never wait for the network, and work without a connection.
///
/// # Limits
/// * Messages of this client that are not acknowledged:
///   [`max_queue`](crate::client::ClientBuilder::max_queue) changes and bytes; beyond that
///   [`send`](Self::send) fails with [`WriteError::QueueFull`]. At most the server's window (128 by default)
///   of them is in flight, so a server whose store is slow accepts them more slowly. Await the receipts to be
///   slowed down with it.
/// * Messages stored here: as many as [`channel_buffer`](crate::client::ClientBuilder::channel_buffer) says.
///   A [`stream`](Self::stream) that is read too slowly gets an [`Item::Lagged`].
/// * Messages kept by the server: as configured there, in memory unless the channel is durable. A client that
///   was away for longer gets an [`Item::Gap`].
/// * Broadcasts: 64 may wait for the socket, then [`BroadcastError::Full`]; 256 may wait for the app, then
///   [`RecvError::Lagged`]. The server skips receivers that read too slowly.
pub struct Channel<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    state: State<Log<T>>,
}

impl Room {
    /// The room's channel of this name. Joins it now, whether the room's state is used or not.
    ///
    /// If the channel cannot be opened (see [`StateError`]), the error is logged and the returned channel is
    /// closed: it is empty, and refuses every message with [`WriteError::Closed`]. Use
    /// [`try_channel`](Self::try_channel) where that can happen. [`Channel::error`] tells whether the server
    /// has such a channel.
    pub fn channel<T>(&self, name: &str) -> Channel<T>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        Channel {
            state: State::clone(&self.at_address(channel_address(self.name(), name)).state(self.log())),
        }
    }

    /// As [`channel`](Self::channel), with an error.
    ///
    /// # Errors
    /// The client has opened the channel with another type, the name is not valid for a channel, or the
    /// client has ended.
    pub fn try_channel<T>(&self, name: &str) -> Result<Channel<T>, StateError>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let state = self.at_address(channel_address(self.name(), name)).try_state(self.log())?;
        Ok(Channel { state: State::clone(&state) })
    }

    fn log<T>(&self) -> Log<T> {
        let (messages, bytes) = self.settings().messages;
        Log::keeping(messages, bytes)
    }
}

impl<T> Channel<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// The room's name.
    #[must_use]
    pub fn room(&self) -> &str {
        split_address(self.state.room()).0
    }

    /// The channel's name in its room.
    #[must_use]
    pub fn name(&self) -> &str {
        split_address(self.state.room()).1.unwrap_or_default()
    }

    /// Sends a message. The [`history`](Self::history) contains it at once, as pending. It is sent when there
    /// is a connection, and again if that breaks, but it is in the channel only once. The receipt resolves to
    /// the message's number when the server has accepted it (and, if the channel is durable, stored it), or to why
    /// it was refused.
    ///
    /// The messages of one client are in the channel in the order in which they were sent.
    ///
    /// # Errors
    /// The value has no JSON form or cannot be read back from it, it is longer than the channel takes (as far as the
    /// server has said), this client [may not send](Self::can_send), too many messages wait already, or the client was
    /// closed.
    pub fn send(&self, value: &T) -> Result<Receipt, WriteError> {
        let update = Update::of(value).map_err(WriteError::Unsendable)?;
        self.check_length(update.sent_bytes())?;
        self.state.write(update)
    }

    /// Whether this client may send messages, as far as the server has said; see
    /// [`can_set`](crate::client::State::can_set).
    #[must_use]
    pub fn can_send(&self) -> bool {
        self.state.permissions().can_write(MESSAGES)
    }

    /// Everything that is stored here, oldest first: received messages, unreadable ones, the gaps between
    /// them, and last the messages of this client that are not acknowledged. Costs their number.
    #[must_use]
    pub fn items(&self) -> Vec<Item<T>> {
        let me = self.state.client_id();
        self.state.shared.lock().replica.state().items(me.as_deref())
    }

    /// The messages that are stored here, oldest first. The [pending](Message::is_pending) ones of this
    /// client come last. Costs their number. Unreadable messages and gaps are only in [`items`](Self::items).
    #[must_use]
    pub fn history(&self) -> Vec<Message<T>> {
        let messages = self.items().into_iter().filter_map(|item| match item {
            Item::Message(message) => Some(message),
            _ => None,
        });
        messages.collect()
    }

    /// Everything from now on: each message once, in the order that is the same for everyone. Messages of
    /// this client are included when they are acknowledged. If the channel is not [live](Self::live) yet, the
    /// stream starts after the history that arrives first.
    ///
    /// Continues over reconnects: messages missed meanwhile are delivered, and those that the server no
    /// longer has are a [gap](Item::Gap). The stream stores no messages; if it is read too slowly, an
    /// [`Item::Lagged`] reports which are lost. Ends with the client.
    pub fn stream(&self) -> Subscription<Item<T>> {
        let cursor = Cursor::now(&self.state.shared.lock().replica);
        self.follow(cursor)
    }

    /// As [`stream`](Self::stream), from the message after this number. With 0: all stored messages, then
    /// everything that follows, without a gap in between.
    pub fn stream_after(&self, seq: u64) -> Subscription<Item<T>> {
        let cursor = Cursor::after(&self.state.shared.lock().replica, seq);
        self.follow(cursor)
    }

    fn follow(&self, cursor: Cursor) -> Subscription<Item<T>> {
        let channel = self.clone();
        let seen = self.state.shared.seen.subscribe();
        Subscription::new(futures_util::stream::unfold(
            (channel, cursor, seen),
            |(channel, mut cursor, mut seen)| async move {
                loop {
                    // Checked before the log is read, so that a later message wakes the stream again.
                    let ended = seen.borrow_and_update().ended;
                    let me = channel.state.client_id();
                    let item = cursor.next(&channel.state.shared.lock().replica, me.as_deref());
                    match item {
                        Some(item) => return Some((item, (channel, cursor, seen))),
                        None if ended => return None,
                        // Fails only if the sender is dropped, and this stream holds it.
                        None => seen.changed().await.ok()?,
                    }
                }
            },
        ))
    }

    /// Sends a message to the other clients that are in the channel now: at most once, not ordered with the
    /// messages, and not in the history. For what is worthless later, such as reactions or typing indicators.
    ///
    /// # Errors
    /// The broadcast was not sent: the channel is not [live](Self::is_live), too many wait already, it is too
    /// long, or the value does not read back from its JSON. Receivers that read too slowly miss it without an error.
    pub fn broadcast(&self, value: &T) -> Result<(), BroadcastError> {
        let json = encode_checked(value)?.0;
        self.check_length(json.len()).map_err(BroadcastError::Rejected)?;
        self.state.shared.broadcast(&json)
    }

    fn check_length(&self, bytes: usize) -> Result<(), Reject> {
        self.longest().map_or(Ok(()), |longest| check_length(bytes, longest))
    }

    /// The length of the longest message that the channel takes, in bytes of JSON. `None` before the server has said.
    #[must_use]
    pub fn longest(&self) -> Option<usize> {
        self.state.shared.lock().replica.state().longest()
    }

    /// The broadcasts of others from now on. Ends with the client.
    pub fn broadcasts(&self) -> Subscription<Result<Broadcast<T>, RecvError>> {
        subscription::broadcast(
            self.state.shared.broadcasts(),
            self.clone(),
            |delivery| delivery.read(),
            |count| Err(Lagged(count).into()),
        )
    }

    /// The number of the last message that is known here; 0 if there is none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.state.version()
    }

    /// How many messages of this client are not acknowledged, sent or not.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.state.pending()
    }

    /// Whether the channel is joined over the current connection.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state.is_live()
    }

    /// Waits until the channel [is live](Self::is_live). Returns `false` if the client has ended, if the room has
    /// no such channel, or if this client may not join it; [`error`](Self::error) says which. Cancel safe.
    pub async fn live(&self) -> bool {
        self.state.live().await
    }

    /// The channel's current error, for example that the server has no such channel.
    #[must_use]
    pub fn error(&self) -> Option<Violation> {
        self.state.error()
    }

    /// The channel's current error, if any, and then each further one. A stream that is read too slowly skips
    /// to the latest. Does not keep the client alive, and ends with the channel.
    pub fn errors(&self) -> Subscription<Violation> {
        self.state.errors()
    }

    /// This client's public id, which others see as the sender. `None` before the server has sent it.
    #[must_use]
    pub fn me(&self) -> Option<Arc<str>> {
        self.state.client_id()
    }
}

impl<T> Clone for Channel<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn clone(&self) -> Self {
        Self { state: self.state.clone() }
    }
}

impl<T> std::fmt::Debug for Channel<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel")
            .field("room", &self.room())
            .field("name", &self.name())
            .field("last", &self.last())
            .finish_non_exhaustive()
    }
}
