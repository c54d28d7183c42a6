//! A replica behind a lock, and its listeners: the receipts, watches and streams of one room or channel.
//! Written to by the handles, driven by the client's task.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use crate::client::broadcast::{BroadcastError, Broadcasts, Delivery};
use crate::client::receipt::Answer;
use crate::client::task::slots::{AnyReplica, Signal};
use crate::client::{DisconnectReason, Receipt, lock};
use crate::core::{Code, Reject};
use crate::core::{FieldId, SharedState};
use crate::core::{Rejected, WriteError};
use crate::proto::{ClientLimits, Frame, RoomDetails, RoomMessage, Secret, Violation, client};
use crate::replica::{Event, Origin, Read, Replica, RoomPermissions, WriteId};

/// A replica and its listeners.
pub(crate) struct SharedReplica<S: SharedState> {
    room: Arc<str>,
    signal: Arc<Signal>,
    events: usize,
    handles: AtomicUsize,
    pub(crate) errors: watch::Sender<Option<Violation>>,
    pub(crate) seen: watch::Sender<Seen>,
    pub(crate) rights: watch::Sender<RoomPermissions>,
    pub(crate) details: watch::Sender<Option<RoomDetails>>,
    inner: Mutex<Inner<S>>,
}

/// What `changed` and `live` wait for: the number of visible changes, whether the room is joined, whether it
/// refused this client, and whether the client has ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) revision: u64,
    pub(crate) live: bool,
    pub(crate) refused: bool,
    pub(crate) ended: bool,
}

pub(crate) struct Inner<S: SharedState> {
    pub(crate) replica: Replica<S>,
    /// The writes that wait for their answer.
    answers: BTreeMap<WriteId, Arc<Answer>>,
    /// Per watched field, how often it has changed.
    watched: Vec<Option<watch::Sender<u64>>>,
    events: Option<broadcast::Sender<Event<S>>>,
    /// The broadcasts, which are not part of the state.
    broadcasts: Broadcasts,
    /// The connection over which it was last joined, counted from 1.
    connection: u64,
    closed: bool,
}

impl<S: SharedState> SharedReplica<S> {
    pub(crate) fn new(replica: Replica<S>, signal: Arc<Signal>, events: usize) -> Self {
        Self {
            room: replica.room().clone(),
            signal,
            events: events.max(1),
            handles: AtomicUsize::new(0),
            errors: watch::Sender::new(None),
            seen: watch::Sender::default(),
            rights: watch::Sender::default(),
            details: watch::Sender::new(None),
            inner: Mutex::new(Inner {
                replica,
                answers: BTreeMap::new(),
                watched: S::FIELDS.iter().map(|_| None).collect(),
                events: None,
                broadcasts: Broadcasts::default(),
                connection: 0,
                closed: false,
            }),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        lock(&self.inner)
    }

    /// Counts one handle less. The last one wakes the task, which leaves the room.
    pub(crate) fn release(&self) {
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.signal.wake.notify_one();
        }
    }

    /// Calls `decide` with the state and writes the updates it returns, atomically. `decide` also returns the
    /// reads that the write depends on, if any.
    pub(crate) fn write<E: From<WriteError>>(
        &self,
        decide: impl FnOnce(&S) -> Result<(Vec<S::Update>, Option<Vec<Read>>), E>,
    ) -> Result<Receipt, E> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(WriteError::Closed.into());
        }
        let (updates, reads) = decide(inner.replica.state())?;
        let now = self.signal.now();
        let id = match reads {
            None => inner.replica.write(now, updates)?,
            Some(reads) => inner.replica.write_if_unchanged(now, updates, reads)?,
        };
        let answer = inner.answers.entry(id).or_default().clone();
        self.notify(&mut inner);
        drop(inner);
        self.signal.wake.notify_one();
        Ok(Receipt::new(answer))
    }

    /// Runs `step`, an undo or a redo.
    pub(crate) fn undo_redo(
        &self,
        step: impl FnOnce(&mut Replica<S>, Duration) -> Result<Option<WriteId>, WriteError>,
    ) -> Result<Option<Receipt>, WriteError> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(WriteError::Closed);
        }
        let id = step(&mut inner.replica, self.signal.now())?;
        let answer = id.map(|id| inner.answers.entry(id).or_default().clone());
        self.notify(&mut inner);
        drop(inner);
        self.signal.wake.notify_one();
        Ok(answer.map(Receipt::new))
    }

    /// Begins an undo group that ends when the returned guard is dropped.
    pub(crate) fn group(&self) -> impl Drop + use<'_, S> {
        struct Group<'a, S: SharedState>(&'a SharedReplica<S>);
        impl<S: SharedState> Drop for Group<'_, S> {
            fn drop(&mut self) {
                self.0.lock().replica.end_group();
            }
        }
        self.lock().replica.begin_group();
        Group(self)
    }

    /// Sends the delayed writes. Returns the receipts of everything that is pending, in order.
    pub(crate) fn flush(&self) -> Vec<Receipt> {
        let mut inner = self.lock();
        inner.replica.flush(self.signal.now());
        self.notify(&mut inner);
        let receipts = inner.answers.values().cloned().map(Receipt::new).collect();
        drop(inner);
        self.signal.wake.notify_one();
        receipts
    }

    /// The number of changes of a field; ends with the client.
    pub(crate) fn watch(&self, field: FieldId) -> watch::Receiver<u64> {
        let mut inner = self.lock();
        if inner.closed {
            return watch::channel(0).1;
        }
        match inner.watched.get_mut(field) {
            Some(watched) => watched.get_or_insert_default().subscribe(),
            None => watch::channel(0).1,
        }
    }

    /// The events from now on; ends with the client.
    pub(crate) fn events(&self) -> broadcast::Receiver<Event<S>> {
        let mut inner = self.lock();
        if inner.closed {
            return broadcast::channel(1).1;
        }
        inner.events.get_or_insert_with(|| broadcast::channel(self.events).0).subscribe()
    }

    /// Sends a broadcast, JSON text, to the clients that are in the channel now.
    pub(crate) fn broadcast(&self, value: &str) -> Result<(), BroadcastError> {
        let mut inner = self.lock();
        if !inner.replica.is_live() {
            return Err(BroadcastError::NotLive);
        }
        inner.broadcasts.send(client::broadcast(&self.room, value))?;
        drop(inner);
        self.signal.wake.notify_one();
        Ok(())
    }

    /// The received broadcasts from now on; ends with the client.
    pub(crate) fn broadcasts(&self) -> broadcast::Receiver<Delivery> {
        let mut inner = self.lock();
        if inner.closed {
            return broadcast::channel(1).1;
        }
        inner.broadcasts.subscribe()
    }

    /// Passes the replica's events and answers on. Called with the lock held, so that every listener gets
    /// them in the same order.
    fn notify(&self, inner: &mut Inner<S>) {
        let mut visible = false;
        while let Some(event) = inner.replica.poll_event() {
            visible = true;
            let missed = matches!(event.origin, Origin::Lagged(_));
            for (field, watched) in inner.watched.iter_mut().enumerate() {
                let Some(sender) = watched else { continue };
                if sender.receiver_count() == 0 {
                    *watched = None;
                } else if missed || event.updates.iter().any(|update| S::field(update) == field) {
                    sender.send_modify(|count| *count += 1);
                }
            }
            if inner.events.as_ref().is_some_and(|events| events.send(event).is_err()) {
                // The last stream was dropped.
                inner.events = None;
            }
        }
        self.rights.send_if_modified(|rights| {
            let changed = rights != inner.replica.permissions();
            if changed {
                rights.clone_from(inner.replica.permissions());
            }
            changed
        });
        let (live, refused) = (inner.replica.is_live(), inner.replica.refusal().is_some());
        self.seen.send_if_modified(|seen| {
            seen.revision += u64::from(visible);
            let changed = (seen.live, seen.refused) != (live, refused);
            (seen.live, seen.refused) = (live, refused);
            visible | changed
        });
        while let Some((id, outcome)) = inner.replica.poll_answer() {
            if let Err(rejected) = &outcome {
                tracing::info!(room = %self.room, code = %rejected.code(), %rejected, "a change was rolled back");
            }
            if let Some(answer) = inner.answers.remove(&id) {
                answer.resolve(outcome);
            }
        }
    }

    fn with(&self, act: impl FnOnce(&mut Replica<S>)) {
        let mut inner = self.lock();
        act(&mut inner.replica);
        self.notify(&mut inner);
    }
}

impl<S: SharedState> AnyReplica for SharedReplica<S> {
    fn room(&self) -> &Arc<str> {
        &self.room
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn state_name(&self) -> &'static str {
        S::NAME
    }

    fn attach(&self, connection: u64, window: usize, limits: ClientLimits) {
        let mut inner = self.lock();
        if inner.connection != connection {
            inner.connection = connection;
            inner.broadcasts.set_limits(limits);
            inner.replica.set_limits(limits);
            inner.replica.connected(window);
            self.notify(&mut inner);
        }
    }

    fn rejoin(&self, window: usize) {
        self.with(|replica| replica.connected(window));
    }

    fn set_password(&self, password: &Secret) {
        self.lock().replica.set_password(Some(password.clone()));
    }

    fn detach(&self) {
        let mut inner = self.lock();
        inner.broadcasts.detach();
        inner.replica.disconnected();
        self.notify(&mut inner);
    }

    fn receive(&self, message: RoomMessage<'_>) -> Result<(), Violation> {
        let mut inner = self.lock();
        let message = match message {
            RoomMessage::Broadcast { from, at, value } => {
                inner.broadcasts.deliver(&from, at, value);
                return Ok(());
            }
            RoomMessage::BroadcastRejected(violation) => return Err(violation),
            RoomMessage::Info(details) => {
                self.details.send_if_modified(|known| {
                    let changed = known.as_ref() != Some(&details);
                    *known = Some(details);
                    changed
                });
                return Ok(());
            }
            message => message,
        };
        let verdict = inner.replica.receive(message);
        self.notify(&mut inner);
        verdict
    }

    fn tick(&self, now: Duration) {
        self.with(|replica| replica.tick(now));
    }

    fn deadline(&self) -> Option<Duration> {
        self.lock().replica.deadline()
    }

    fn poll_frame(&self) -> Option<Frame> {
        let mut inner = self.lock();
        inner.replica.poll_frame().or_else(|| inner.broadcasts.poll_frame())
    }

    fn pending(&self) -> usize {
        self.lock().replica.pending()
    }

    fn is_live(&self) -> bool {
        self.lock().replica.is_live()
    }

    fn close(&self, now: Duration) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.replica.flush(now);
        self.notify(&mut inner);
    }

    fn end(&self, reason: &DisconnectReason) -> usize {
        let mut inner = self.lock();
        inner.closed = true;
        inner.replica.disconnected();
        self.notify(&mut inner);
        inner.events = None;
        inner.broadcasts.end();
        inner.watched.iter_mut().for_each(|watched| *watched = None);
        let message = format!("{reason}; whether the change was applied is not known");
        let rejected = Rejected(Reject::new(Code::Closed, message));
        for answer in std::mem::take(&mut inner.answers).into_values() {
            answer.resolve(Err(rejected.clone()));
        }
        let pending = inner.replica.pending();
        drop(inner);
        self.seen.send_modify(|seen| seen.ended = true);
        pending
    }

    fn report(&self, violation: Option<Violation>) {
        self.errors.send_if_modified(|error| {
            let changed = *error != violation;
            *error = violation;
            changed
        });
    }

    fn is_abandoned(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0
    }

    fn hold(&self) {
        self.handles.fetch_add(1, Ordering::AcqRel);
    }
}
