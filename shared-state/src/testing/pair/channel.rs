//! A channel of a pair's room: the real log of its messages, and a copy of it for each client.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authority::{ChannelLog, Retention};
use crate::channel::{Item, Log, Update};
use crate::core::{Backend as _, WriteError};
use crate::proto::{ClientId, channel_address};
use crate::testing::pair::{Beside, Connection, Pair, PairClient, PairReceipt};

/// The longest message, in bytes of JSON.
const LONGEST: usize = 64 << 10;

/// The most messages and bytes that a client keeps.
const KEPT: (usize, usize) = (1_000, 1 << 20);

pub(super) struct Channel<T: Serialize + DeserializeOwned + Send + Sync + 'static> {
    room: Pair<Log<T>>,
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Channel<T> {
    pub(super) fn new(name: &str) -> Self {
        let state = ChannelLog::new(Retention::default(), LONGEST);
        let log = Log::keeping(KEPT.0, KEPT.1);
        Self { room: Pair::of(&channel_address("room", name), Box::new(state), log) }
    }

    /// The side of a client, one of these users.
    pub(super) fn side(&mut self, index: usize, users: impl Iterator<Item = ClientId>) -> PairChannel<T> {
        for user in users.skip(self.room.clients.len()) {
            self.room.add(&user);
        }
        PairChannel(self.room.clients[index].clone())
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Beside for Channel<T> {
    fn deliver(&mut self, connections: &[Connection], now: Duration) {
        for (client, connection) in self.room.clients.iter().zip(connections) {
            let lost = client.0.borrow().lost < connection.lost;
            if lost || !connection.connected {
                client.disconnect();
                client.0.borrow_mut().lost = connection.lost;
            }
            if connection.connected {
                client.connect();
            }
        }
        self.room.room.borrow_mut().authority.set_time(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        self.room.set_time(now);
    }
}

/// A client's side of a channel, from [`Pair::channel`]. Clones are the same side.
pub struct PairChannel<T: Serialize + DeserializeOwned + Send + Sync + 'static>(PairClient<Log<T>>);

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> PairChannel<T> {
    /// Sends a message. The [`history`](Self::history) contains it at once, as pending; the others have it after the next
    /// [`sync`](Pair::sync).
    ///
    /// # Errors
    /// The value has no JSON form, or too many messages wait already.
    pub fn send(&self, value: &T) -> Result<PairReceipt<Log<T>>, WriteError> {
        self.0.write(Update::of(value).map_err(WriteError::Unsendable)?)
    }

    /// What this client has of the channel, oldest first; last its own messages that are not acknowledged.
    #[must_use]
    pub fn history(&self) -> Vec<Item<T>> {
        let user = self.0.user();
        self.0.read(|log| log.items(Some(&user)))
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Clone for PairChannel<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> fmt::Debug for PairChannel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairChannel").field("user", &self.0.user()).finish_non_exhaustive()
    }
}
