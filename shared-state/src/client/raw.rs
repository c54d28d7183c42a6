//! Messages as they come from the server, for what the library does not know.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::broadcast;

use crate::client::lock;
use crate::proto::Envelope;

/// How many messages of a type wait for an app that does not take them.
const CAPACITY: usize = 256;

/// A message from the server, not looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawMessage {
    /// Its type.
    pub kind: Arc<str>,
    /// The room it is about.
    pub room: Option<Arc<str>>,
    /// The public name of its sender, if the server says it.
    pub from: Option<Arc<str>>,
    /// Its content: JSON text, `null` if there is none.
    pub payload: Arc<str>,
}

impl RawMessage {
    /// Reads the content.
    ///
    /// # Errors
    /// It does not have the form of a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.payload)
    }
}

/// This many messages were dropped, because they were not taken in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} messages were dropped: they were not taken in time")]
pub struct Lagged(pub u64);

/// Who listens to which types.
#[derive(Default)]
pub(super) struct Listeners {
    types: Mutex<BTreeMap<Box<str>, broadcast::Sender<RawMessage>>>,
}

impl Listeners {
    pub(super) fn listen(&self, kind: &str) -> broadcast::Receiver<RawMessage> {
        let mut types = lock(&self.types);
        types.retain(|_, sender| sender.receiver_count() > 0);
        types.entry(kind.into()).or_insert_with(|| broadcast::channel(CAPACITY).0).subscribe()
    }

    /// Tells those who listen to this type.
    pub(super) fn tell(&self, envelope: &Envelope<'_>, text: &str) {
        #[derive(Deserialize)]
        struct Sender<'a> {
            #[serde(borrow, default)]
            from: Option<Cow<'a, str>>,
        }
        let types = lock(&self.types);
        let Some(listeners) = types.get(&*envelope.kind) else { return };
        let from = serde_json::from_str::<Sender<'_>>(text).ok().and_then(|sender| sender.from);
        // Nobody may be there any more.
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
