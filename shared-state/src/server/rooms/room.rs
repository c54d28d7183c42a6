//! A live room: the authority behind a lock, and the appends of its changes to the store.
//!
//! The store is called in the order of the versions, because changes are decided and appended under the same lock. While
//! the store has not answered all [appends](super::appends), one task awaits them in order; what a busy store does not
//! take is passed to it again. If the store fails, or code panics under the lock, the room is *reset*: it ends, its
//! sessions are sent an error, and the next session that joins opens a new room from the store. Called by the
//! connections and by the program's handles.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::authority::{Authority, LogEntry, Permissions, Relayed, RoomState, SessionId, Submitted};
use crate::core::{Code, Reject};
use crate::proto::Dialect;
use crate::proto::{ChangeRequest, ClientId, JoinRequest, Resume, Violation, server, split_address};
use crate::server::fanout::queue::{CloseReason, Outbox};
use crate::server::fanout::wakes::Wakes;
use crate::server::membership::RoomAccess;
use crate::server::rooms::appends::{Appends, Batch, Pending, Progress};
use crate::server::rooms::compaction::{Compaction, described};
use crate::server::rooms::in_flight::{InFlight, Permit};
use crate::server::rooms::participant::Participant;
use crate::store;
use crate::store::{RoomStore, Snapshot};

/// An append that takes at least this long is logged as a warning.
const SLOW: Duration = Duration::from_secs(1);

/// A change with more bytes than this may take milliseconds to decide.
const LONG: usize = 16 << 10;

/// The room has ended. The caller may open it again.
#[derive(Debug)]
pub(crate) struct Closed;

/// The right of a client's change to be decided: its turn, in a room whose hooks decide one change at a time, and its
/// permit. The turn ends when the change is decided, the permit when it is durable.
pub(crate) struct Admission {
    _turn: Option<OwnedSemaphorePermit>,
    permit: Permit,
}

/// Notifies the server's program of the durable version of its change. Dropped if the outcome is not known.
pub(crate) type Durable = oneshot::Sender<u64>;

/// Called when the room is reset, without its lock.
pub(crate) type OnReset = Box<dyn Fn(&Arc<Room>) + Send + Sync>;

/// A future by which the observer handles an event. The room spawns it on its runtime.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Observes the sessions of a room. Implemented by the runner of the program's hooks.
pub(crate) trait Observer: Send + Sync {
    /// The semaphore of turns, which lets one change at a time be made.
    fn turns(&self) -> &Arc<Semaphore>;
    /// A session has joined.
    fn joined(self: Arc<Self>, room: &Arc<Room>) -> Option<Work>;
    /// A session has left.
    fn left(self: Arc<Self>, room: Arc<Room>, participant: Box<Participant>) -> Work;
    /// The room has ended. Futures that wait for a turn must fail.
    fn closed(&self);
}

/// A live room.
pub(crate) struct Room {
    name: Arc<str>,
    /// The name of the state's Rust type.
    type_name: &'static str,
    /// Whether this is a channel, whose state depends on the time.
    is_channel: bool,
    store: Arc<dyn RoomStore>,
    on_reset: OnReset,
    runtime: Handle,
    in_flight: InFlight,
    durable: watch::Sender<u64>,
    observer: Option<Arc<dyn Observer>>,
    /// The access data and users of the room, or for a channel, of the room that it belongs to.
    access: Arc<RoomAccess>,
    /// When its history began, in milliseconds since 1970.
    created_at: Option<u64>,
    /// Whether the room has ended. Set under the lock, read without it.
    closed: AtomicBool,
    /// How many long changes are being decided, or wait for the lock.
    long: AtomicUsize,
    core: Mutex<Core>,
}

struct Core {
    authority: Authority<Outbox>,
    appends: Appends,
    /// The number of holds by handles of the server's program.
    holds: usize,
    /// When [`Room::close_if_idle`] first found the room unused; `None` if it was used since.
    idle_since: Option<Instant>,
    /// Why the room must be reset. Set by the closure passed to [`Room::with`], which then resets the room.
    broken: Option<String>,
}

impl Core {
    fn hold(&mut self) {
        self.holds += 1;
        self.idle_since = None;
    }
}

/// The time in milliseconds since 1970; 0 if the clock is set before.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Room {
    /// Makes a loaded room live. Must be called in a Tokio runtime, on which the room spawns its tasks.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub(crate) fn new(
        authority: Authority<Outbox>,
        type_name: &'static str,
        store: Arc<dyn RoomStore>,
        on_reset: OnReset,
        access: Arc<RoomAccess>,
        in_flight: InFlight,
    ) -> Self {
        Self {
            name: authority.room().clone(),
            type_name,
            is_channel: split_address(authority.room()).1.is_some(),
            store,
            on_reset,
            runtime: Handle::current(),
            in_flight,
            durable: watch::Sender::new(authority.durable()),
            observer: None,
            access,
            created_at: authority.created_at(),
            closed: AtomicBool::new(false),
            long: AtomicUsize::new(0),
            core: Mutex::new(Core {
                authority,
                appends: Appends::default(),
                holds: 0,
                idle_since: None,
                broken: None,
            }),
        }
    }

    /// The same room with an observer.
    pub(crate) fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The access data and users of the room.
    pub(crate) fn access(&self) -> &Arc<RoomAccess> {
        &self.access
    }

    /// When its history began, in milliseconds since 1970; `None` if the store does not know.
    pub(crate) fn created_at(&self) -> Option<u64> {
        self.created_at
    }

    /// Whether the room has an observer.
    pub(crate) fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// The room's epoch and head version.
    pub(crate) fn place(&self) -> Resume {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        Resume {
            epoch: core.authority.epoch(),
            version: core.authority.head(),
            acked: 0,
            schema: None,
            audience: None,
        }
    }

    /// The greatest number of changes in flight.
    pub(crate) fn limit(&self) -> usize {
        self.in_flight.limit()
    }

    /// A receiver of the durable version, which closes when the room is dropped.
    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.durable.subscribe()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Runs `act` on the open room. If `act` panics or sets `broken`, the room is reset. Called in the server's tasks:
    /// if the lock may be held for long, by a hook of an observer or by a long change, the thread's other tasks move to
    /// another thread while this one waits for the lock.
    fn with<R>(self: &Arc<Self>, act: impl FnOnce(&mut Core) -> R) -> Result<R, Closed> {
        // Dropped after the lock is released.
        let _wakes = Wakes::gather(&self.runtime);
        let guard = match self.core.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => Err(poisoned),
            Err(TryLockError::WouldBlock)
                if self.observer.is_some() || self.long.load(Ordering::Relaxed) > 0 =>
            {
                blocking(|| self.core.lock())
            }
            Err(TryLockError::WouldBlock) => self.core.lock(),
        };
        self.with_locked(guard.unwrap_or_else(PoisonError::into_inner), act)
    }

    /// As [`with`](Self::with), for the program's threads: waits for the lock without moving other tasks.
    fn with_here<R>(self: &Arc<Self>, act: impl FnOnce(&mut Core) -> R) -> Result<R, Closed> {
        let _wakes = Wakes::gather(&self.runtime);
        self.with_locked(self.core.lock().unwrap_or_else(PoisonError::into_inner), act)
    }

    fn with_locked<R>(
        self: &Arc<Self>,
        mut guard: MutexGuard<'_, Core>,
        act: impl FnOnce(&mut Core) -> R,
    ) -> Result<R, Closed> {
        if self.is_closed() {
            return Err(Closed);
        }
        let core = &mut *guard;
        if self.is_channel || core.authority.has_legacy() || core.authority.has_hidden() {
            core.authority.set_time(now());
        }
        let done = catch_unwind(AssertUnwindSafe(|| act(core)));
        let why = match &done {
            Ok(_) => core.broken.take(),
            Err(_) => Some("a panic while the room was changed".to_owned()),
        };
        if let Some(why) = why {
            tracing::error!(room = %self.name, reason = why, "room reset");
            let message = "the room cannot be read or written now; join again";
            let frame = server::room_error(&self.name, Code::Unavailable, message);
            let outboxes = self.end(core, Code::Unavailable, message);
            outboxes.into_iter().for_each(|outbox| outbox.lost_room(frame.clone()));
            drop(guard);
            (self.on_reset)(self);
            return Err(Closed);
        }
        done.map_err(|_| Closed)
    }

    /// Ends the room: from now on it accepts, acknowledges and stores nothing. Returns the outboxes of its sessions.
    fn end(&self, core: &mut Core, code: Code, message: &str) -> Vec<Outbox> {
        self.closed.store(true, Ordering::Release);
        self.in_flight.close();
        if let Some(observer) = &self.observer {
            observer.closed();
        }
        // This drops the senders of the pending changes, so that their receivers learn that the outcome is not known.
        core.appends.clear();
        core.authority.close(code, message)
    }

    /// A permit for a change of the server's program, if there is one now.
    pub(crate) fn permit_now(&self) -> Option<Permit> {
        self.in_flight.permit_now(0)
    }

    /// The admission of a client's change of `bytes`, if the room takes one now.
    pub(crate) fn admission_now(&self, bytes: usize) -> Option<Admission> {
        let turn = match &self.observer {
            None => None,
            Some(observer) => Some(observer.turns().clone().try_acquire_owned().ok()?),
        };
        Some(Admission { _turn: turn, permit: self.in_flight.permit_now(bytes)? })
    }

    /// Waits for the admission of a client's change of `bytes`, which slows down clients that write faster than the store.
    /// While a hook decides one change, the others wait here without blocking a thread.
    pub(crate) fn admission(
        &self,
        bytes: usize,
    ) -> impl Future<Output = Result<Admission, Closed>> + Send + 'static {
        let turns = self.observer.as_ref().map(|observer| observer.turns().clone());
        let permit = self.in_flight.permit(bytes);
        async move {
            let turn = match turns {
                None => None,
                Some(turns) => Some(turns.acquire_owned().await.map_err(|_| Closed)?),
            };
            Ok(Admission { _turn: turn, permit: permit.await? })
        }
    }

    /// The number of sessions in the room; 0 if it has ended.
    pub(crate) fn sessions(self: &Arc<Self>) -> usize {
        self.with_here(|core| core.authority.sessions()).unwrap_or(0)
    }

    /// Whether the room has no sessions. Called in the server's tasks.
    pub(crate) fn is_empty(self: &Arc<Self>) -> bool {
        self.with(|core| core.authority.sessions() == 0).unwrap_or(true)
    }

    /// Notifies the observer that a participant has left.
    pub(crate) fn left(self: &Arc<Self>, participant: Box<Participant>) {
        if let Some(observer) = &self.observer
            && !self.is_closed()
        {
            self.runtime.spawn(observer.clone().left(self.clone(), participant));
        }
    }

    pub(crate) fn join(
        self: &Arc<Self>,
        client: ClientId,
        dialect: Dialect,
        request: &JoinRequest,
        permissions: Option<Arc<dyn Permissions>>,
        outbox: Outbox,
    ) -> Result<Result<SessionId, Violation>, Closed> {
        let joined = self.with(|core| {
            core.idle_since = None;
            // The permissions may have changed while the room was opened.
            let permissions = permissions.map(|permissions| permissions.refreshed().unwrap_or(permissions));
            core.authority.join_with(client, dialect, request, permissions, outbox)
        });
        if let (Some(observer), Ok(Ok(_))) = (&self.observer, &joined)
            && let Some(work) = observer.clone().joined(self)
        {
            self.runtime.spawn(work);
        }
        joined
    }

    /// Refreshes the permissions of all sessions.
    pub(crate) fn refresh_permissions(self: &Arc<Self>) {
        // A room that has ended has no sessions.
        let _ = self.with(|core| core.authority.refresh_permissions());
    }

    /// Replaces a session's permissions.
    pub(crate) fn grant(self: &Arc<Self>, session: SessionId, permissions: Option<Arc<dyn Permissions>>) {
        // A room that has ended has notified its sessions.
        let _ = self.with(|core| core.authority.grant(session, permissions));
    }

    pub(crate) fn leave(self: &Arc<Self>, session: SessionId) {
        // A room that has ended has no sessions to leave.
        let _ = self.with(|core| core.authority.leave(session));
    }

    /// The session's queue is empty, so that the session can be sent what it missed.
    pub(crate) fn drained(self: &Arc<Self>, session: SessionId) {
        // A room that has ended has notified its sessions.
        let _ = self.with(|core| core.authority.drained(session));
    }

    /// Decides a client's change. Returns how long that took.
    pub(crate) fn submit(
        self: &Arc<Self>,
        session: SessionId,
        change: &ChangeRequest<'_>,
        admission: Admission,
    ) -> Result<Duration, Closed> {
        self.decide(change.updates.get().len(), admission, |authority| authority.submit(session, change))
    }

    /// Refuses a client's change of which only the number could be read.
    pub(crate) fn refuse(
        self: &Arc<Self>,
        session: SessionId,
        seq: u64,
        reject: Reject,
    ) -> Result<(), Closed> {
        self.with(|core| core.authority.refuse(session, seq, reject))
    }

    /// Decides a change of `bytes`. If that may take long, because the change is long or hooks are called, the thread's
    /// other tasks move to another thread meanwhile. Returns how long it took; zero if hooks may have been called.
    fn decide(
        self: &Arc<Self>,
        bytes: usize,
        admission: Admission,
        submit: impl FnOnce(&mut Authority<Outbox>) -> Submitted,
    ) -> Result<Duration, Closed> {
        /// Counts itself off, even if deciding panics.
        struct Long<'a>(&'a AtomicUsize);
        impl Drop for Long<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let decide = || {
            self.with(|core| {
                let begun = Instant::now();
                if let Submitted::Accepted(append) = submit(&mut core.authority) {
                    self.append(core, append, admission.permit, None);
                }
                if self.observer.is_some() { Duration::ZERO } else { begun.elapsed() }
            })
        };
        let long = (bytes > LONG).then(|| {
            self.long.fetch_add(1, Ordering::Relaxed);
            Long(&self.long)
        });
        if long.is_some() || self.observer.is_some() { blocking(decide) } else { decide() }
    }

    /// Decides a legacy client's change. Returns how long that took.
    pub(crate) fn submit_legacy(
        self: &Arc<Self>,
        session: SessionId,
        updates: &str,
        claim: Option<u64>,
        admission: Admission,
    ) -> Result<Duration, Closed> {
        self.decide(updates.len(), admission, |authority| authority.submit_legacy(session, updates, claim))
    }

    /// Sends a message to the other sessions in the channel. It is not stored.
    pub(crate) fn broadcast(self: &Arc<Self>, session: SessionId, value: &str) -> Result<Relayed, Closed> {
        self.with(|core| core.authority.broadcast(session, now(), value))
    }

    pub(crate) fn legacy_sync(self: &Arc<Self>, session: SessionId) -> Result<(), Closed> {
        self.with(|core| core.authority.legacy_sync(session))
    }

    /// Submits a change of the server's program. `updates` computes it from the state: a JSON array of updates, or
    /// `None` for no change.
    pub(crate) fn submit_server<E: From<Reject>>(
        self: &Arc<Self>,
        updates: impl FnOnce(&dyn RoomState) -> Result<Option<String>, E>,
        permit: Permit,
        durable: Durable,
    ) -> Result<Result<(), E>, Closed> {
        self.with_here(|core| {
            let Some(updates) = updates(core.authority.state())? else {
                return self.unchanged(core, durable);
            };
            let append = core.authority.submit_server(&updates)?;
            self.append(core, append, permit, Some(durable));
            Ok(())
        })
    }

    /// Notifies `durable` for a change without updates: once the head version is durable.
    fn unchanged<E>(&self, core: &mut Core, durable: Durable) -> Result<(), E> {
        let version = core.authority.head();
        let mut versions = self.versions();
        if core.authority.durable() == version {
            let _ = durable.send(version);
        } else {
            self.runtime.spawn(async move {
                if versions.wait_for(|durable| *durable >= version).await.is_ok() {
                    let _ = durable.send(version);
                }
            });
        }
        Ok(())
    }

    /// Reads the state and the head version. If `look` panics, the panic is passed on and the room is not reset.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&dyn RoomState, u64) -> R) -> R {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let looked = catch_unwind(AssertUnwindSafe(|| look(core.authority.state(), core.authority.head())));
        drop(core);
        looked.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Adds a hold of the server's program, which keeps the room in memory.
    pub(crate) fn hold(self: &Arc<Self>) -> Result<(), Closed> {
        self.with_here(Core::hold)
    }

    /// As [`hold`](Self::hold), for the server's tasks.
    pub(crate) fn hold_in_task(self: &Arc<Self>) -> Result<(), Closed> {
        self.with(Core::hold)
    }

    /// Removes a hold.
    pub(crate) fn release(self: &Arc<Self>) {
        // A room that has ended has no holds.
        let _ = self.with_here(|core| core.holds = core.holds.saturating_sub(1));
    }

    /// Appends an accepted change to the store. If the store answers at once, the change is committed at once.
    fn append(self: &Arc<Self>, core: &mut Core, append: LogEntry, permit: Permit, durable: Option<Durable>) {
        let LogEntry { version, entry } = append;
        let append = store::Append {
            room: self.name.clone(),
            epoch: core.authority.epoch(),
            expected: version - 1,
            entry,
        };
        let is_first = core.appends.is_empty();
        let progress = match core.appends.pass(&*self.store, append) {
            Progress::Answered(answer) if is_first => {
                match answer {
                    Ok(()) => self.are_durable(core, [(version, durable)]),
                    Err(error) => core.broken = Some(described(&error)),
                }
                return;
            }
            progress => progress,
        };
        let pending = Pending { version, progress, since: Instant::now(), durable, permit };
        if core.appends.push(pending) {
            self.runtime.spawn(self.clone().commit_pending());
        }
    }

    /// Awaits the pending appends in order. Appends that are complete at the same time are committed under one lock.
    async fn commit_pending(self: Arc<Self>) {
        let mut batch = Batch::default();
        loop {
            if batch.is_empty() {
                match self.with(|core| core.appends.take()) {
                    Ok(more) if !more.is_empty() => batch.add(more),
                    Ok(_) | Err(Closed) => return,
                }
            }
            if let Some(pause) = batch.pass(&*self.store) {
                tokio::time::sleep(pause).await;
                if self.is_closed() {
                    return;
                }
                continue;
            }
            let slow = |version, waited| {
                if waited >= SLOW {
                    tracing::warn!(room = %self.name, version, ?waited, "slow commit");
                }
            };
            let answered = batch.answered(slow).await;
            let committed = self.with(|core| {
                let durable = answered.durable.into_iter().map(|(version, durable, _)| (version, durable));
                self.are_durable(core, durable);
                if let Some(error) = answered.error {
                    core.broken = Some(described(&error));
                }
            });
            if committed.is_err() {
                return;
            }
        }
    }

    /// The store has these versions, the last one last.
    fn are_durable(
        self: &Arc<Self>,
        core: &mut Core,
        versions: impl IntoIterator<Item = (u64, Option<Durable>)>,
    ) {
        let (mut last, mut authors) = (None, Vec::new());
        for (version, durable) in versions {
            last = Some(version);
            authors.extend(durable.map(|durable| (version, durable)));
        }
        if let Some(last) = last {
            self.committed(core, last);
        }
        for (version, durable) in authors {
            // The receipt may have been dropped.
            let _ = durable.send(version);
        }
    }

    /// The store has every change up to `version`. Starts a snapshot if one is due.
    fn committed(&self, core: &mut Core, version: u64) {
        core.authority.committed(version);
        self.durable.send_replace(version);
        if core.authority.wants_snapshot()
            && let Some(compaction) = self.compact(core).now_or_waiting()
        {
            self.runtime.spawn(compaction);
        }
    }

    /// Passes a snapshot to the store, after the appends that it covers.
    fn compact(&self, core: &mut Core) -> Compaction {
        let (version, bytes) = core.authority.snapshot();
        let snapshot = Snapshot { version, bytes };
        Compaction::new(self.store.compact(self.name.clone(), core.authority.epoch(), snapshot))
    }

    /// Ends the room if it has been unused for `idle`. Returns its last snapshot to await; `None` if it goes on.
    pub(crate) fn close_if_idle(self: &Arc<Self>, idle: Duration) -> Option<Compaction> {
        let closed = self.with(|core| {
            let busy = core.authority.sessions() > 0
                // A temporary room is not stored, so it lasts while it has users, also without a session here.
                || self.access.is_temporary() && self.access.users() > 0
                || core.holds > 0
                || !core.appends.is_empty()
                || core.authority.durable() < core.authority.head();
            if busy {
                core.idle_since = None;
                return None;
            }
            let since = *core.idle_since.get_or_insert_with(Instant::now);
            (since.elapsed() >= idle)
                .then(|| self.shut(core, &CloseReason::new(Code::ShuttingDown, "nobody was here")))
        });
        closed.ok().flatten()
    }

    /// Waits until every change in flight is durable, then ends the room and sends its sessions the reason. Returns the
    /// last snapshot to await; `None` if the room had ended already.
    pub(crate) async fn drain(self: Arc<Self>, why: &CloseReason) -> Option<Compaction> {
        let _all = self.in_flight.all().await?;
        self.with(|core| self.shut(core, why)).ok()
    }

    /// Makes a last snapshot if there is a log, ends the room and sends its sessions the reason.
    fn shut(&self, core: &mut Core, why: &CloseReason) -> Compaction {
        let compaction = if core.authority.has_log() {
            self.compact(core)
        } else {
            Compaction::new(Box::pin(std::future::ready(Ok(()))))
        };
        let frame = server::room_error(&self.name, why.code, &why.message);
        let outboxes = self.end(core, why.code, &why.message);
        outboxes.into_iter().for_each(|outbox| outbox.lost_room(frame.clone()));
        tracing::debug!(room = %self.name, version = core.authority.head(), "room closed");
        compaction
    }
}

/// Runs `work`, which may block, on this thread. On a multi-thread runtime, the thread's other tasks move to another
/// thread meanwhile.
fn blocking<R>(work: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
