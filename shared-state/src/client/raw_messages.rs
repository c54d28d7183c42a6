//! The server's messages as they arrive, for types that the library does not know. Owns the subscriptions by
//! type; the client's task passes every text frame here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::broadcast;

use crate::client::lock;
use crate::proto::Envelope;

/// The most messages of a type that wait for the app.
const CAPACITY: usize = 256;

/// A message from the server, not interpreted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawMessage {
    /// The message's type.
    pub kind: Arc<str>,
    /// The room it belongs to.
    pub room: Option<Arc<str>>,
    /// The public id of its sender, if the server sends it.
    pub from: Option<Arc<str>>,
    /// Its payload: JSON text, `null` if there is none.
    pub payload: Arc<str>,
}

impl RawMessage {
    /// Decodes the payload.
    ///
    /// # Errors
    /// The payload is not a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.payload)
    }
}

/// This many messages were dropped, because the app received them too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} messages were dropped: they were received too slowly")]
pub struct Lagged(pub u64);

/// The subscriptions, by message type.
#[derive(Default)]
pub(super) struct Listeners {
    types: Mutex<BTreeMap<Box<str>, broadcast::Sender<RawMessage>>>,
}

impl Listeners {
    pub(super) fn subscribe(&self, kind: &str) -> broadcast::Receiver<RawMessage> {
        let mut types = lock(&self.types);
        types.retain(|_, sender| sender.receiver_count() > 0);
        types.entry(kind.into()).or_insert_with(|| broadcast::channel(CAPACITY).0).subscribe()
    }

    /// Passes a message to the streams of its type.
    pub(super) fn dispatch(&self, envelope: &Envelope<'_>, text: &str) {
        #[derive(Deserialize)]
        struct Sender<'a> {
            #[serde(borrow, default)]
            from: Option<Cow<'a, str>>,
        }
        let types = lock(&self.types);
        let Some(listeners) = types.get(&*envelope.kind) else { return };
        let from = serde_json::from_str::<Sender<'_>>(text).ok().and_then(|sender| sender.from);
        // Fails if the last stream was dropped; then nobody wants the message.
        let _ = listeners.send(RawMessage {
            kind: Arc::from(&*envelope.kind),
            room: envelope.room.as_deref().map(Arc::from),
            from: from.as_deref().map(Arc::from),
            payload: Arc::from(envelope.payload.map_or("null", |payload| payload.get())),
        });
    }

    /// Ends every stream.
    pub(super) fn end(&self) {
        lock(&self.types).clear();
    }
}
