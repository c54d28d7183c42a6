//! The open connections of a server, so that they can be ended: all at shutdown, and a client's older one when
//! the client connects again. The program removes clients from rooms through it, too.
//!
//! Knows only the connections' queues. The server registers a connection before it spawns the task; the registration
//! ends with the task.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::core::Code;
use crate::proto::ClientId;
use crate::server::fanout::queue::{CloseReason, Queue};

#[derive(Debug)]
pub(super) struct Connections {
    inner: Mutex<Inner>,
    /// The number of open connections.
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    closing: bool,
    connections: HashMap<u64, Arc<Queue>>,
    /// The number of each client's newest connection.
    clients: HashMap<ClientId, u64>,
}

/// A connection's entry in [`Connections`], removed on drop.
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

    /// A panic under the lock cannot leave the maps half changed, so a poisoned lock is still usable.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection; `None` if the server is shutting down.
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

    /// Asks a client's newest connection to leave a room. Returns whether the client is connected.
    pub(super) fn eject(&self, client: &str, room: &str, why: &CloseReason) -> bool {
        let queue = {
            let inner = self.lock();
            inner.clients.get(client).and_then(|number| inner.connections.get(number).cloned())
        };
        queue.map(|queue| queue.eject(room, why.clone())).is_some()
    }

    /// Refuses new connections, ends all open ones, and resolves when they have ended. Cancel safe.
    pub(super) async fn close(&self, reason: &CloseReason) {
        let queues: Vec<_> = {
            let mut inner = self.lock();
            inner.closing = true;
            inner.connections.values().cloned().collect()
        };
        queues.iter().for_each(|queue| queue.kill(reason.clone()));
        // `self` holds the sender, so waiting cannot fail.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Registration {
    /// The connection's number. Numbers rise in the order of registration.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Records which client this connection belongs to, and ends that client's older connection.
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
        // If a newer connection has taken over, the entry is that connection's.
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
    use crate::server::fanout::queue::QueuedBytes;

    #[tokio::test]
    async fn the_newer_connection_of_a_client_wins_and_stays() {
        let connections = Arc::new(Connections::new());
        let all = Arc::new(QueuedBytes::new(1));
        let queues: Vec<_> = (0..3).map(|_| Arc::new(Queue::new(1, 1, all.clone()))).collect();
        let mut registrations: Vec<_> =
            queues.iter().map(|queue| connections.register(queue.clone()).unwrap()).collect();
        registrations[0].identify("a".into());
        registrations[1].identify("a".into());
        assert_eq!(queues[0].killed().await.code, Code::Superseded);
        drop(registrations.remove(0));
        // The older connection's end has not removed the newer one's entry.
        registrations[1].identify("a".into());
        assert_eq!(queues[1].killed().await.code, Code::Superseded);
    }
}
