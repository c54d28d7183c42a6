//! Which connections there are, to end them: all at shutdown, one when its client comes with a newer one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::core::Code;
use crate::proto::ClientId;
use crate::server::fanout::queue::{CloseReason, Queue};

#[derive(Debug)]
pub(super) struct Connections {
    inner: Mutex<Inner>,
    /// How many connections there are.
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    closing: bool,
    connections: HashMap<u64, Arc<Queue>>,
    /// The newest connection of each client.
    clients: HashMap<ClientId, u64>,
}

/// A connection's place in the connections, until it is dropped.
#[derive(Debug)]
pub(super) struct Registration {
    connections: Arc<Connections>,
    number: u64,
    client: Option<ClientId>,
}

impl Connections {
    pub(super) fn new() -> Self {
        Self { inner: Mutex::default(), count: watch::Sender::new(0) }
    }

    /// Nothing that is done under the lock can leave the maps half changed.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a connection; `None` if the server is shutting down.
    pub(super) fn register(self: &Arc<Self>, queue: Arc<Queue>) -> Option<Registration> {
        let mut inner = self.lock();
        if inner.closing {
            return None;
        }
        let number = inner.next;
        inner.next += 1;
        inner.connections.insert(number, queue);
        self.count.send_replace(inner.connections.len());
        Some(Registration { connections: self.clone(), number, client: None })
    }

    /// Puts a client's newest connection out of a room; says whether there is one.
    pub(super) fn eject(&self, client: &str, room: &str, why: &CloseReason) -> bool {
        let queue = {
            let inner = self.lock();
            inner.clients.get(client).and_then(|number| inner.connections.get(number).cloned())
        };
        queue.map(|queue| queue.eject(room, why.clone())).is_some()
    }

    /// Ends all connections and lets no more in; resolves when all have ended. Cancel safe.
    pub(super) async fn close(&self, goodbye: &CloseReason) {
        let queues: Vec<_> = {
            let mut inner = self.lock();
            inner.closing = true;
            inner.connections.values().cloned().collect()
        };
        queues.iter().for_each(|queue| queue.kill(goodbye.clone()));
        // The sender is in `self`, so this does not fail.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Registration {
    /// The connection's number: higher than those of all connections before it.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Notes whose connection it is, and ends the older connection of the same client.
    pub(super) fn identify(&mut self, client: ClientId) {
        let mut inner = self.connections.lock();
        let older = inner.clients.insert(client.clone(), self.number);
        let queue = older.and_then(|older| inner.connections.get(&older).cloned());
        drop(inner);
        self.client = Some(client);
        if let Some(queue) = queue {
            queue.kill(CloseReason::new(Code::Superseded, "a newer connection has the same client id"));
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut inner = self.connections.lock();
        inner.connections.remove(&self.number);
        // If a newer connection took over, the entry is its own.
        if let Some(client) = &self.client
            && inner.clients.get(client) == Some(&self.number)
        {
            inner.clients.remove(client);
        }
        self.connections.count.send_replace(inner.connections.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newer_connection_of_a_client_wins_and_stays() {
        let connections = Arc::new(Connections::new());
        let queues: Vec<_> = (0..3).map(|_| Arc::new(Queue::new(1))).collect();
        let mut places: Vec<_> =
            queues.iter().map(|queue| connections.register(queue.clone()).unwrap()).collect();
        places[0].identify("a".into());
        places[1].identify("a".into());
        assert_eq!(queues[0].killed().await.code, Code::Superseded);
        drop(places.remove(0));
        // The older one's end has not forgotten the newer one.
        places[1].identify("a".into());
        assert_eq!(queues[1].killed().await.code, Code::Superseded);
    }
}
