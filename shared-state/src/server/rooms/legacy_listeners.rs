//! Which connections of the hook's dialect hear which channels: all of the rooms that they are in. They never say
//! which, so each is told when one of them comes to be live.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::proto::{Frame, Resume, split_address};
use crate::server::fanout::queue::Queue;

/// A room's live channels, and who hears them.
#[derive(Default)]
struct ChannelListeners {
    queues: Vec<Arc<Queue>>,
    channels: BTreeSet<Arc<str>>,
}

/// Who hears what. Its lock may be taken under the directory's, and a queue's under it.
#[derive(Default)]
pub(crate) struct Listeners {
    rooms: Mutex<HashMap<Arc<str>, ChannelListeners>>,
}

/// A connection that hears a room's channels, until it is dropped.
pub(crate) struct Listening {
    listeners: Arc<Listeners>,
    room: Arc<str>,
    queue: Arc<Queue>,
}

impl Listeners {
    /// Nothing that is done under the lock can leave the map half changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, ChannelListeners>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is live at this address, and was at this version before anybody could write there.
    pub(crate) fn opened(&self, address: &Arc<str>, from: Resume) {
        let (room, Some(_)) = split_address(address) else { return };
        let mut rooms = self.lock();
        let heard = rooms.entry(room.into()).or_default();
        heard.channels.insert(address.clone());
        heard.queues.iter().for_each(|queue| queue.opened(address.clone(), from));
    }

    /// Nothing is live at this address any more.
    pub(crate) fn closed(&self, address: &str) {
        let (room, Some(_)) = split_address(address) else { return };
        let mut rooms = self.lock();
        if let Some(heard) = rooms.get_mut(room) {
            heard.channels.remove(address);
            if heard.channels.is_empty() && heard.queues.is_empty() {
                rooms.remove(room);
            }
        }
    }

    /// Sends a frame to those who hear a room's channels, but for its sender and whoever does not read what they are
    /// sent.
    pub(crate) fn relay(&self, room: &str, sender: &Arc<Queue>, frame: &Frame) {
        let rooms = self.lock();
        let Some(heard) = rooms.get(room) else { return };
        heard.queues.iter().filter(|queue| !Arc::ptr_eq(queue, sender)).for_each(|queue| {
            queue.offer(frame);
        });
    }

    /// A connection hears a room's channels from now on; those that are live now.
    pub(crate) fn listen(self: &Arc<Self>, room: &str, queue: &Arc<Queue>) -> (Listening, Vec<Arc<str>>) {
        let room: Arc<str> = room.into();
        let mut rooms = self.lock();
        let heard = rooms.entry(room.clone()).or_default();
        heard.queues.push(queue.clone());
        let live = heard.channels.iter().cloned().collect();
        (Listening { listeners: self.clone(), room, queue: queue.clone() }, live)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut rooms = self.listeners.lock();
        if let Some(heard) = rooms.get_mut(&self.room) {
            heard.queues.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
            if heard.channels.is_empty() && heard.queues.is_empty() {
                rooms.remove(&self.room);
            }
        }
    }
}
