//! What a client's task and its handles share: the rooms, the status, the settings and the signal to wake the
//! task.
//!
//! Locks are taken in this order, and none is held across an await: the rooms, then one room's replica. An
//! app's code runs at most under a replica's lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::client::raw_messages::Listeners;
use crate::client::task::slots::{AnyPresence, AnyReplica, Signal};
use crate::client::{DisconnectReason, Status, Unsent, lock};
use crate::proto::Secret;
use crate::replica::{LinkConfig, ReplicaConfig};

/// What a client has open, by room.
#[derive(Default)]
pub(crate) struct Rooms {
    pub(crate) replicas: BTreeMap<Arc<str>, Arc<dyn AnyReplica>>,
    pub(crate) presences: BTreeMap<Arc<str>, Arc<dyn AnyPresence>>,
    /// The passwords of the rooms that need one.
    pub(crate) passwords: BTreeMap<Arc<str>, Secret>,
    /// The rooms that the app has asked to join again.
    pub(crate) to_rejoin: BTreeSet<Arc<str>>,
    pub(crate) ended: bool,
}

/// The configuration of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) link: LinkConfig,
    pub(crate) replica: ReplicaConfig,
    pub(crate) linger: Duration,
    pub(crate) events: usize,
    pub(crate) reruns: u32,
    pub(crate) messages: (usize, usize),
    pub(crate) max_message: usize,
}

pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) signal: Arc<Signal>,
    pub(crate) rooms: Mutex<Rooms>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) public: Mutex<Option<Arc<str>>>,
    pub(crate) listeners: Listeners,
    /// Set once the client has ended.
    pub(crate) unsent: watch::Sender<Option<Unsent>>,
    closing: AtomicBool,
}

impl Core {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            signal: Arc::new(Signal::new(Instant::now())),
            rooms: Mutex::default(),
            status: watch::Sender::new(Status::Connecting),
            public: Mutex::default(),
            listeners: Listeners::default(),
            unsent: watch::Sender::new(None),
            closing: AtomicBool::new(false),
        }
    }

    /// Asks the task to accept no more writes and to end once everything is answered.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.signal.rooms_changed();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Ends the client: answers everything pending with the reason. Only the first call counts.
    pub(crate) fn end(&self, reason: DisconnectReason) {
        let (replicas, presences) = {
            let mut rooms = lock(&self.rooms);
            if std::mem::replace(&mut rooms.ended, true) {
                return;
            }
            (std::mem::take(&mut rooms.replicas), std::mem::take(&mut rooms.presences))
        };
        let mut unsent = Unsent::default();
        for (room, replica) in replicas {
            match replica.end(&reason) {
                0 => {}
                changes => unsent.rooms.push((room, changes)),
            }
        }
        presences.into_values().for_each(|presence| presence.end());
        self.listeners.end();
        self.status.send_replace(Status::Disconnected { reason });
        self.unsent.send_replace(Some(unsent));
    }
}

/// Ends the client when its task is dropped, for whatever cause.
pub(crate) struct EndWithTask(pub(crate) Arc<Core>);

impl Drop for EndWithTask {
    fn drop(&mut self) {
        self.0.end(DisconnectReason::Runtime);
    }
}

/// Closes the client when its last handle is dropped.
pub(crate) struct Guard(pub(crate) Arc<Core>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.close();
    }
}
