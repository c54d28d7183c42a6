//! A replica behind a lock, and its listeners: the receipts, watches and streams of one room or channel.
//! Written to by the handles, driven by the client's task.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use crate::client::broadcast::{BroadcastError, Broadcasts, Delivery};
use crate::client::checked_mutex::{CheckedMutex, Locked};
use crate::client::receipt::Answer;
use crate::client::task::connection::{Connection, End};
use crate::client::task::shared::Settings;
use crate::client::task::slots::{AnyReplica, Signal};
use crate::client::{DisconnectReason, Receipt};
use crate::core::{Code, Reject};
use crate::core::{FieldId, SharedState};
use crate::core::{Rejected, WriteError};
use crate::proto::{Refusal, RoomDetails, RoomMessage, Secret, Violation, client};
use crate::replica::{Backoff, Event, Origin, Read, Replica, RoomPermissions, WriteId};

/// How often a change may be what the server ends connections for before it is not sent any more. The last times it is
/// sent alone.
const MAX_DOUBT: u32 = 4;

/// A replica and its listeners.
pub(crate) struct SharedReplica<S: SharedState> {
    room: Arc<str>,
    signal: Arc<Signal>,
    /// How many events a stream of events stores.
    events: usize,
    /// How long to wait before joining again a room that could not be joined for now.
    backoff: Backoff,
    handles: AtomicUsize,
    pub(crate) errors: watch::Sender<Option<Violation>>,
    pub(crate) seen: watch::Sender<Seen>,
    pub(crate) rights: watch::Sender<RoomPermissions>,
    pub(crate) details: watch::Sender<Option<RoomDetails>>,
    inner: CheckedMutex<Inner<S>>,
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
    attachment: Attachment,
    /// Whether an error of the room is reported.
    has_error: bool,
    closed: bool,
}

/// How the room is joined over the current connection.
#[derive(Default)]
struct Attachment {
    /// The connection over which it was last joined, counted from 1.
    connection: u64,
    /// How many unanswered changes the server allows.
    window: usize,
    /// How often in a row the room could not be joined for now.
    failed: u32,
    /// When it is joined again, if it could not be.
    retry: Option<Duration>,
    /// How often in a row the connection was lost while the room's state was awaited.
    lost: u32,
    /// How often in a row the server has ended the connection because of what it was sent, while changes of the room
    /// were not answered.
    doubt: u32,
}

impl Attachment {
    /// Whether the room's state, or a change of it, seems to be what ends the connections. It is joined after the others,
    /// and less and less often, so that they live on.
    const fn is_suspect(&self) -> bool {
        self.lost > 1 || self.doubt > 1
    }

    /// How many unanswered changes are sent: one at a time if it is in doubt.
    const fn window(&self) -> usize {
        if self.doubt > 1 { 1 } else { self.window }
    }
}

impl<S: SharedState> SharedReplica<S> {
    pub(crate) fn new(replica: Replica<S>, signal: Arc<Signal>, settings: &Settings) -> Self {
        Self {
            room: replica.room().clone(),
            signal,
            events: settings.events.max(1),
            backoff: Backoff { attempts: None, ..settings.link.backoff },
            handles: AtomicUsize::new(0),
            errors: watch::Sender::new(None),
            seen: watch::Sender::default(),
            rights: watch::Sender::default(),
            details: watch::Sender::new(None),
            inner: CheckedMutex::new(Inner {
                replica,
                answers: BTreeMap::new(),
                watched: S::FIELDS.iter().map(|_| None).collect(),
                events: None,
                broadcasts: Broadcasts::default(),
                attachment: Attachment::default(),
                has_error: false,
                closed: false,
            }),
        }
    }

    pub(crate) fn lock(&self) -> Locked<'_, Inner<S>> {
        self.inner.lock()
    }

    pub(crate) const fn room(&self) -> &Arc<str> {
        &self.room
    }

    /// Counts one more handle.
    pub(crate) fn hold(&self) {
        self.handles.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts one handle less. After the last one the task leaves the room.
    pub(crate) fn release(&self) {
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.signal.rooms_changed();
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
        if let Some(permissions) = inner.replica.poll_permissions() {
            self.rights.send_replace(permissions);
        }
        let (live, refused) = (inner.replica.is_live(), inner.replica.refusal().is_some());
        self.seen.send_if_modified(|seen| {
            seen.revision += u64::from(visible);
            let changed = (seen.live, seen.refused) != (live, refused);
            (seen.live, seen.refused) = (live, refused);
            visible | changed
        });
        let mut answered = false;
        while let Some((id, outcome)) = inner.replica.poll_answer() {
            answered = true;
            if let Err(rejected) = &outcome {
                tracing::info!(room = %self.room, code = %rejected.code(), %rejected, "a change was rolled back");
            }
            if let Some(answer) = inner.answers.remove(&id) {
                answer.resolve(outcome);
            }
        }
        if answered && std::mem::take(&mut inner.attachment.doubt) > 1 {
            inner.replica.set_window(inner.attachment.window);
        }
        if answered && inner.replica.pending() == 0 && self.is_abandoned() {
            self.signal.rooms_changed();
        }
    }

    /// A room reported an error, or sent a message that does not fit.
    fn failed(&self, now: Duration, inner: &mut Inner<S>, violation: Violation) {
        tracing::warn!(room = %self.room, %violation, "a room reported an error or sent a message that does not fit");
        inner.attachment.lost = 0;
        if Refusal::of(violation.code) == Refusal::Passes {
            inner.detach();
            let Attachment { failed, retry, .. } = &mut inner.attachment;
            if retry.is_none() {
                *failed = failed.saturating_add(1);
                let wait = self.backoff.wait(*failed, fastrand::f64()).unwrap_or(self.backoff.max);
                *retry = Some(now + wait);
            }
        }
        self.notify(inner);
        inner.has_error = true;
        self.errors.send_if_modified(|error| error.replace(violation) != *error);
    }
}

impl<S: SharedState> Inner<S> {
    /// Stops sending until the room is joined again.
    fn detach(&mut self) {
        self.broadcasts.detach();
        self.replica.disconnected();
    }
}

impl<S: SharedState> AnyReplica for SharedReplica<S> {
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn state_name(&self) -> &'static str {
        S::NAME
    }

    fn turn(&self, now: Duration, connection: &mut Connection) -> Result<Option<Duration>, End> {
        let Some(welcome) = &connection.welcome else { return Ok(None) };
        let mut inner = self.lock();
        let Inner { replica, broadcasts, attachment, .. } = &mut *inner;
        if attachment.connection != connection.number {
            let Attachment { lost, doubt, .. } = *attachment;
            let failed = lost.max(doubt).saturating_sub(1);
            let wait = attachment.is_suspect().then(|| self.backoff.wait(failed, fastrand::f64())).flatten();
            let (connection, window, retry) =
                (connection.number, welcome.window, wait.map(|wait| now + wait));
            *attachment = Attachment { connection, window, failed: 0, retry, lost, doubt };
            replica.set_limits(welcome.limits);
            broadcasts.set_limits(welcome.limits);
            if retry.is_none() {
                replica.connected(attachment.window());
            }
            self.notify(&mut inner);
        } else if attachment.retry.is_some_and(|retry| retry <= now)
            && !(attachment.is_suspect() && connection.suspect.is_some())
        {
            attachment.retry = None;
            if attachment.is_suspect() {
                connection.suspect = Some(self.room.clone());
            }
            replica.connected(attachment.window());
            self.notify(&mut inner);
        }
        if inner.replica.deadline().is_some_and(|deadline| deadline <= now) {
            inner.replica.tick(now);
            self.notify(&mut inner);
        }
        let Inner { replica, broadcasts, attachment, .. } = &mut *inner;
        connection.send(|| replica.poll_frame().or_else(|| broadcasts.outgoing.pop_front()))?;
        let is_open = replica.is_joining() || attachment.doubt > 1 && replica.has_unanswered();
        let is_suspect = connection.suspect.as_deref().is_some_and(|suspect| *suspect == *self.room);
        let is_next = is_suspect && !is_open;
        if is_next {
            connection.suspect = None;
        }
        // While another suspect is joined, that one's turn comes first.
        let waits = attachment.is_suspect() && connection.suspect.is_some();
        let retry = attachment.retry.filter(|_| !waits);
        Ok(replica.deadline().into_iter().chain(retry).chain(is_next.then_some(now)).min())
    }

    fn receive(&self, now: Duration, message: RoomMessage<'_>) {
        let mut inner = self.lock();
        let verdict = match message {
            RoomMessage::Broadcast { from, at, value } => {
                inner.broadcasts.deliver(&from, at, value);
                Ok(())
            }
            RoomMessage::BroadcastRejected(violation) => Err(violation),
            RoomMessage::Info(details) => {
                self.details.send_if_modified(|known| {
                    let changed = known.as_ref() != Some(&details);
                    *known = Some(details);
                    changed
                });
                Ok(())
            }
            message => inner.replica.receive(message),
        };
        if let Err(violation) = verdict {
            return self.failed(now, &mut inner, violation);
        }
        self.notify(&mut inner);
        if inner.replica.is_live() {
            (inner.attachment.failed, inner.attachment.retry, inner.attachment.lost) = (0, None, 0);
            if std::mem::take(&mut inner.has_error) {
                self.errors.send_replace(None);
            }
        }
    }

    fn retry_join(&self, window: usize) {
        let mut inner = self.lock();
        if !inner.replica.is_live() {
            inner.replica.connected(window);
            self.notify(&mut inner);
        }
    }

    fn is_one_too_many(&self) -> bool {
        self.errors.borrow().as_ref().is_some_and(|error| error.code == Code::TooManyRooms)
    }

    fn set_password(&self, password: &Secret) {
        self.lock().replica.set_password(Some(password.clone()));
    }

    fn detach(&self, blamed: bool) {
        let mut inner = self.lock();
        if inner.replica.is_joining() {
            inner.attachment.lost = inner.attachment.lost.saturating_add(1);
        }
        let is_doubted = blamed && inner.replica.has_unanswered();
        inner.detach();
        if is_doubted {
            inner.attachment.doubt += 1;
            if inner.attachment.doubt > MAX_DOUBT {
                inner.attachment.doubt = 0;
                let message = "the server has ended the connection each time that this change was sent";
                inner.replica.give_up(Reject::new(Code::Refused, message));
            }
        }
        self.notify(&mut inner);
    }

    fn pending(&self) -> usize {
        self.lock().replica.pending()
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

    fn is_abandoned(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0
    }
}
