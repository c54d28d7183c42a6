//! Which legacy clients receive which channels. A legacy client never joins channels by name: it receives all
//! channels of the rooms it is in, so its connection is notified whenever one of them comes into memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::proto::{Frame, Resume, split_address};
use crate::server::fanout::queue::Queue;

/// A room's channels in memory, and the queues of the connections that receive them.
#[derive(Default)]
struct ChannelListeners {
    queues: Vec<Arc<Queue>>,
    channels: BTreeSet<Arc<str>>,
}

/// The listeners of every room. Lock order: the directory's lock, then this one, then a queue's.
#[derive(Default)]
pub(crate) struct Listeners {
    rooms: Mutex<HashMap<Arc<str>, ChannelListeners>>,
}

/// A connection's subscription to a room's channels. Ends on drop.
pub(crate) struct Listening {
    listeners: Arc<Listeners>,
    room: Arc<str>,
    queue: Arc<Queue>,
}

impl Listeners {
    /// A panic under the lock cannot leave the map half changed, so a poisoned lock is still usable.
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, ChannelListeners>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A channel has come into memory. `from` is where it was before anybody could write in it. Ignores a room's own
    /// address.
    pub(crate) fn opened(&self, address: &Arc<str>, from: Resume) {
        let (room, Some(_)) = split_address(address) else { return };
        let mut rooms = self.lock();
        let listeners = rooms.entry(room.into()).or_default();
        listeners.channels.insert(address.clone());
        listeners.queues.iter().for_each(|queue| queue.opened(address.clone(), from));
    }

    /// A channel has left memory.
    pub(crate) fn closed(&self, address: &str) {
        let (room, Some(_)) = split_address(address) else { return };
        let mut rooms = self.lock();
        if let Some(listeners) = rooms.get_mut(room) {
            listeners.channels.remove(address);
            if listeners.channels.is_empty() && listeners.queues.is_empty() {
                rooms.remove(room);
            }
        }
    }

    /// Sends a frame to the connections that receive a room's channels, except to its sender. A connection whose
    /// queue is half full or more does not get it.
    pub(crate) fn relay(&self, room: &str, sender: &Arc<Queue>, frame: &Frame) {
        let rooms = self.lock();
        let Some(listeners) = rooms.get(room) else { return };
        listeners.queues.iter().filter(|queue| !Arc::ptr_eq(queue, sender)).for_each(|queue| {
            queue.offer(frame);
        });
    }

    /// Subscribes a connection to a room's channels. Returns the channels that are in memory now.
    pub(crate) fn listen(self: &Arc<Self>, room: &str, queue: &Arc<Queue>) -> (Listening, Vec<Arc<str>>) {
        let room: Arc<str> = room.into();
        let mut rooms = self.lock();
        let listeners = rooms.entry(room.clone()).or_default();
        listeners.queues.push(queue.clone());
        let live = listeners.channels.iter().cloned().collect();
        (Listening { listeners: self.clone(), room, queue: queue.clone() }, live)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut rooms = self.listeners.lock();
        if let Some(listeners) = rooms.get_mut(&self.room) {
            listeners.queues.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
            if listeners.channels.is_empty() && listeners.queues.is_empty() {
                rooms.remove(&self.room);
            }
        }
    }
}
