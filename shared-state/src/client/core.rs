//! What the task of a client and its handles share.
//!
//! Locks are taken in this order and none is held across an await: the rooms, then one room's replica. The code of
//! an app runs under a replica's lock at most.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::client::builder::Settings;
use crate::client::presence::Attendee;
use crate::client::raw::Listeners;
use crate::client::room::Member;
use crate::client::{Reason, Status, Unsent, lock};
use crate::protocol::Secret;

/// The clock of a client, and the bell by which its handles wake its task.
pub(super) struct Signal {
    start: Instant,
    pub(super) wake: Notify,
}

impl Signal {
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) fn instant(&self, at: Duration) -> Instant {
        self.start + at
    }
}

/// The rooms of a client.
#[derive(Default)]
pub(super) struct Rooms {
    pub(super) members: BTreeMap<Arc<str>, Arc<dyn Member>>,
    pub(super) attendees: BTreeMap<Arc<str>, Arc<dyn Attendee>>,
    /// Rises with each change of `members` and `attendees`.
    pub(super) generation: u64,
    /// What rooms are joined with, those that ask for one.
    pub(super) passwords: BTreeMap<Arc<str>, Secret>,
    /// Rooms that are to be asked again.
    pub(super) again: BTreeSet<Arc<str>>,
    pub(super) ended: bool,
}

pub(super) struct Core {
    pub(super) settings: Settings,
    pub(super) signal: Arc<Signal>,
    pub(super) rooms: Mutex<Rooms>,
    pub(super) status: watch::Sender<Status>,
    pub(super) public: Mutex<Option<Arc<str>>>,
    pub(super) listeners: Listeners,
    /// Set once the client has ended.
    pub(super) unsent: watch::Sender<Option<Unsent>>,
    closing: AtomicBool,
}

impl Core {
    pub(super) fn new(settings: Settings) -> Self {
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
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.signal.wake.notify_one();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// The client's end: what is pending is answered with it. Only the first reason counts.
    pub(super) fn end(&self, reason: Reason) {
        let (members, attendees) = {
            let mut rooms = lock(&self.rooms);
            if std::mem::replace(&mut rooms.ended, true) {
                return;
            }
            rooms.generation += 1;
            (std::mem::take(&mut rooms.members), std::mem::take(&mut rooms.attendees))
        };
        let mut unsent = Unsent::default();
        for (room, member) in members {
            match member.end(&reason) {
                0 => {}
                changes => unsent.rooms.push((room, changes)),
            }
        }
        attendees.into_values().for_each(|attendee| attendee.end());
        self.listeners.end();
        self.status.send_replace(Status::Disconnected { reason });
        self.unsent.send_replace(Some(unsent));
    }
}

/// Ends the client when its task is dropped, whatever the cause.
pub(super) struct EndWithTask(pub(super) Arc<Core>);

impl Drop for EndWithTask {
    fn drop(&mut self) {
        self.0.end(Reason::Runtime);
    }
}

/// Closes the client with its last handle.
pub(super) struct Guard(pub(super) Arc<Core>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.close();
    }
}
