//! A channel of a room, as an app holds it.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::channel::{Cursor, Item, Log, Message, Update};
use crate::client::broadcast::{Broadcast, BroadcastError, RecvError};
use crate::client::room::{Room, StateError};
use crate::client::{Lagged, Receipt, State, Subscription, subscription};
use crate::core::WriteError;
use crate::proto::channel::MESSAGES;
use crate::proto::{Violation, channel_address, split_address};

/// A channel of a room: messages of type `T`, one after the other, the same for everybody. Cheap to clone; every clone
/// is the same channel.
///
/// Reads and writes take a lock for as long as they take, never wait for the network, and work without a connection.
///
/// # What is bounded, and what then
/// * Own messages that are not acknowledged: as many as
///   [`max_queue`](crate::client::ClientBuilder::max_queue) says; then [`send`](Self::send) fails with
///   [`WriteError::QueueFull`]. At most the server's window of them (128) is on the way; a server whose store cannot
///   follow takes them more slowly. To be slowed down with it, await the receipts.
/// * What is kept here of what came: as much as
///   [`channel_buffer`](crate::client::ClientBuilder::channel_buffer) says. A [`stream`](Self::stream) that is read more
///   slowly gets an [`Item::Lagged`].
/// * What the server keeps: its configuration says. Who was away for longer gets an [`Item::Gap`].
/// * Broadcasts: 64 that wait for the socket, then [`BroadcastError::Full`]; 256 that wait to be taken, then
///   [`RecvError::Lagged`]; the server leaves out those who do not take what they are sent.
pub struct Channel<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    state: State<Log<T>>,
}

impl Room {
    /// The room's channel of this name. It is joined now, whether the room's state is used or not.
    ///
    /// If there can be no such channel, see [`StateError`], the error is logged and the channel is a closed one: it is
    /// empty, and refuses every message with [`WriteError::Closed`]. Use [`try_channel`](Self::try_channel) where
    /// that can happen. A channel that the server does not have is told by [`Channel::error`].
    pub fn channel<T>(&self, name: &str) -> Channel<T>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        Channel { state: State::clone(&self.of(channel_address(self.name(), name)).state(self.log())) }
    }

    /// [`channel`](Self::channel), for those who want to know.
    ///
    /// # Errors
    /// The client has the channel with another type, the name is not one a channel can have, or the client has ended.
    pub fn try_channel<T>(&self, name: &str) -> Result<Channel<T>, StateError>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let state = self.of(channel_address(self.name(), name)).try_state(self.log())?;
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

    /// Sends a message. It is in the [`history`](Self::history) at once, as pending; it is sent when there is a
    /// connection, again after one that broke, and is in the channel once. The receipt resolves to its number when
    /// the server has it for good, or to why it was refused.
    ///
    /// Messages of one client are in the channel in the order in which they were sent.
    ///
    /// # Errors
    /// The value has no JSON form or does not read back from it, this client [may not send](Self::can_send), too many
    /// wait already, or the client was closed.
    pub fn send(&self, value: &T) -> Result<Receipt, WriteError> {
        self.state.write(Update::of(value).map_err(WriteError::Unsendable)?)
    }

    /// Whether this client may send messages, as far as the server has said; as
    /// [`can_set`](crate::client::State::can_set).
    #[must_use]
    pub fn can_send(&self) -> bool {
        self.state.rights().can_write(MESSAGES)
    }

    /// What is known of the channel now, oldest first: the messages that were got, those that cannot be read, gaps
    /// between them, and last this client's own that are not acknowledged. Costs their number.
    #[must_use]
    pub fn items(&self) -> Vec<Item<T>> {
        let me = self.state.client_id();
        self.state.shared.lock().replica.state().items(me.as_deref())
    }

    /// The messages that are known now, oldest first, this client's own that are [pending](Message::is_pending) last.
    /// Costs their number. What cannot be read and gaps are only in [`items`](Self::items).
    #[must_use]
    pub fn history(&self) -> Vec<Message<T>> {
        let messages = self.items().into_iter().filter_map(|item| match item {
            Item::Message(message) => Some(message),
            _ => None,
        });
        messages.collect()
    }

    /// What comes from now on: every message once, own ones too when they are acknowledged, in the order that is the
    /// same for everybody. Of a channel that has not come yet ([`live`](Self::live)), that is what follows the history
    /// that comes first.
    ///
    /// Lasts over reconnects: what was missed comes, and what is no longer kept is a [gap](Item::Gap). It holds no
    /// messages: if it is read too slowly, an [`Item::Lagged`] says which are gone. Ends with the client.
    pub fn stream(&self) -> Subscription<Item<T>> {
        let cursor = Cursor::now(&self.state.shared.lock().replica);
        self.follow(cursor)
    }

    /// The messages after the one with this number, and then what comes, as [`stream`](Self::stream). 0: all that are
    /// kept, so the history and what follows it without a seam.
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
                    // Before the log is read: a message after that is not overlooked.
                    let ended = seen.borrow_and_update().ended;
                    let me = channel.state.client_id();
                    let item = cursor.next(&channel.state.shared.lock().replica, me.as_deref());
                    match item {
                        Some(item) => return Some((item, (channel, cursor, seen))),
                        None if ended => return None,
                        // Fails only if the sender is gone, which this stream holds.
                        None => seen.changed().await.ok()?,
                    }
                }
            },
        ))
    }

    /// Tells those who are in the channel now, this client not among them: at most once, in no order with the
    /// messages, no part of the history. For what is worth nothing later: reactions, somebody is typing.
    ///
    /// # Errors
    /// It was not sent: the channel is not [live](Self::is_live), too many wait already, or the value has no JSON
    /// form. Whoever does not take what it is sent is left out without a word.
    pub fn broadcast(&self, value: &T) -> Result<(), BroadcastError> {
        self.state.shared.cast(serde_json::value::to_raw_value(value)?.get())
    }

    /// The broadcasts of others, from now on. Ends with the client.
    pub fn broadcasts(&self) -> Subscription<Result<Broadcast<T>, RecvError>> {
        subscription::broadcast(
            self.state.shared.casts(),
            self.clone(),
            |heard| heard.read(),
            |count| Err(Lagged(count).into()),
        )
    }

    /// The number of the last message that is known here; 0: none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.state.version()
    }

    /// How many own messages are not acknowledged, sent or not.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.state.pending()
    }

    /// Whether messages go both ways: the channel has come over the present connection.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state.is_live()
    }

    /// Waits until the channel [is live](Self::is_live). `false` if the client has ended. Cancellation safe.
    pub async fn live(&self) -> bool {
        self.state.live().await
    }

    /// What is wrong with the channel, if something is: the server has no such channel, say.
    #[must_use]
    pub fn error(&self) -> Option<Violation> {
        self.state.error()
    }

    /// What is wrong with the channel now, if something is, and what goes wrong then. If it is read too slowly it
    /// skips to the latest. Does not keep the client alive, and ends with the channel.
    pub fn errors(&self) -> Subscription<Violation> {
        self.state.errors()
    }

    /// This client's public name: what others see as the sender. `None` before the server has said it.
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
