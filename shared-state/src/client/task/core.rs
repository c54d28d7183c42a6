//! What the task of a client and its handles share.
//!
//! Locks are taken in this order and none is held across an await: the rooms, then one room's replica. The code of
//! an app runs under a replica's lock at most.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::client::raw::Listeners;
use crate::client::task::slots::{AnyPresence, AnyReplica, Signal};
use crate::client::{DisconnectReason, Status, Unsent, lock};
use crate::proto::Secret;
use crate::replica::{LinkConfig, ReplicaConfig};

/// The rooms of a client.
#[derive(Default)]
pub(crate) struct Rooms {
    pub(crate) members: BTreeMap<Arc<str>, Arc<dyn AnyReplica>>,
    pub(crate) presences: BTreeMap<Arc<str>, Arc<dyn AnyPresence>>,
    /// Rises with each change of `members` and `presences`.
    pub(crate) generation: u64,
    /// What rooms are joined with, those that ask for one.
    pub(crate) passwords: BTreeMap<Arc<str>, Secret>,
    /// Rooms that are to be asked again.
    pub(crate) again: BTreeSet<Arc<str>>,
    pub(crate) ended: bool,
}

/// What a client is made of beyond its link and its replicas.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) link: LinkConfig,
    pub(crate) replica: ReplicaConfig,
    pub(crate) linger: Duration,
    pub(crate) events: usize,
    pub(crate) reruns: u32,
    pub(crate) messages: (usize, usize),
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
            signal: Arc::new(Signal { start: Instant::now(), wake: Notify::new() }),
            rooms: Mutex::default(),
            status: watch::Sender::new(Status::Connecting),
            public: Mutex::default(),
            listeners: Listeners::default(),
            unsent: watch::Sender::new(None),
            closing: AtomicBool::new(false),
        }
    }

    /// Asks the task to end once everything is answered, and to take nothing more.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.signal.wake.notify_one();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// The client's end: what is pending is answered with it. Only the first reason counts.
    pub(crate) fn end(&self, reason: DisconnectReason) {
        let (members, presences) = {
            let mut rooms = lock(&self.rooms);
            if std::mem::replace(&mut rooms.ended, true) {
                return;
            }
            rooms.generation += 1;
            (std::mem::take(&mut rooms.members), std::mem::take(&mut rooms.presences))
        };
        let mut unsent = Unsent::default();
        for (room, member) in members {
            match member.end(&reason) {
                0 => {}
                changes => unsent.rooms.push((room, changes)),
            }
        }
        presences.into_values().for_each(|attendee| attendee.end());
        self.listeners.end();
        self.status.send_replace(Status::Disconnected { reason });
        self.unsent.send_replace(Some(unsent));
    }
}

/// Ends the client when its task is dropped, whatever the cause.
pub(crate) struct EndWithTask(pub(crate) Arc<Core>);

impl Drop for EndWithTask {
    fn drop(&mut self) {
        self.0.end(DisconnectReason::Runtime);
    }
}

/// Closes the client with its last handle.
pub(crate) struct Guard(pub(crate) Arc<Core>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.close();
    }
}
