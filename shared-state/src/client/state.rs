//! The live state of a room, as an app holds it.

use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};

use crate::client::task::core::Guard;
use crate::client::task::shared_replica::SharedReplica;
use crate::client::task::slots::AnyReplica as _;
use crate::client::{Events, Receipt, Subscription, lock, subscription};
use crate::core::MergePolicy;
use crate::core::{Backend, Field, FieldId, SharedState, Watch, WritePermissions};
use crate::core::{Rejected, WriteError};
use crate::merge::{Counter, Number};
use crate::proto::{RoomDetails, Violation};
use crate::replica::{Replica, RoomPermissions};

/// The state of one room, the same for everyone in it. Cheap to clone; every clone shows the same state.
///
/// Reads and writes take a lock for as long as they take, never wait for the network, and work without a connection.
/// What an app gives to be run on the state ([`read`](Self::read), [`update`](Self::update), a transaction) runs
/// under that lock: it must not use a handle of the same state, and should be brief.
pub struct State<S: SharedState> {
    pub(super) shared: Arc<SharedReplica<S>>,
    guard: Arc<Guard>,
}

impl<S: SharedState> State<S> {
    pub(super) fn new(shared: Arc<SharedReplica<S>>, guard: Arc<Guard>) -> Self {
        shared.hold();
        Self { shared, guard }
    }

    /// The client's public name.
    pub(super) fn client_id(&self) -> Option<Arc<str>> {
        lock(&self.guard.0.public).clone()
    }

    pub(super) fn reruns(&self) -> u32 {
        self.guard.0.settings.reruns
    }

    /// The room's name.
    #[must_use]
    pub fn room(&self) -> &Arc<str> {
        self.shared.room()
    }

    /// A copy of a field.
    #[must_use]
    pub fn get<T: Clone, P: MergePolicy<T>>(&self, field: Field<S, T, P>) -> T {
        self.read(|state| field.get(state).clone())
    }

    /// A copy of the whole state. Costs the state; [`read`](Self::read) does not.
    #[must_use]
    pub fn state(&self) -> S {
        self.read(S::clone)
    }

    /// Looks at the state without copying it. `look` must not use a handle of the same state.
    pub fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(self.shared.lock().replica.state())
    }

    /// Sets a field. It shows at once.
    ///
    /// # Errors
    /// A rule does not hold, only the server may write there, [this client may not](Self::can_set), the value has
    /// no JSON form, the queue is full or the client was closed; nothing was changed, nothing will be sent.
    pub fn set<T, P: MergePolicy<T>>(&self, field: Field<S, T, P>, value: T) -> Result<Receipt, WriteError> {
        self.write(field.set(value))
    }

    /// Adds to a counter, whatever others add meanwhile. It shows at once.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn add<T: Number>(&self, field: Field<S, T, Counter>, by: T) -> Result<Receipt, WriteError> {
        self.write(field.op(crate::merge::CounterOp::Add(by)))
    }

    /// Sets the fields that `patch` has, as one change.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn merge(&self, patch: S::Patch) -> Result<Receipt, WriteError> {
        self.write_all(S::patch_updates(patch))
    }

    /// Changes a copy of the state and writes what is different, as one change. `change` must not use a handle of the
    /// same state. Costs the state.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn update(&self, change: impl FnOnce(&mut S)) -> Result<Receipt, WriteError> {
        self.shared.write(|state| {
            let mut changed = state.clone();
            change(&mut changed);
            Ok((S::diff(state, &changed), None))
        })
    }

    /// Writes one update.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn write(&self, update: S::Update) -> Result<Receipt, WriteError> {
        self.write_all(vec![update])
    }

    /// Writes several updates as one change: all of them or nothing, for everybody.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn write_all(&self, updates: Vec<S::Update>) -> Result<Receipt, WriteError> {
        self.shared.write(|_| Ok((updates, None)))
    }

    /// Takes back this user's last change, or the changes that were made together with it, as a new change: what
    /// others did since stays. `None` if there is nothing to take back.
    ///
    /// Changes made within a [pause](crate::client::ClientBuilder::undo) of each other, or in one
    /// [`group`](Self::group), are taken back together. A change that others have overwritten since, or that this
    /// client may no longer write, is skipped. Works without a connection.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn undo(&self) -> Result<Option<Receipt>, WriteError> {
        self.shared.undo_redo(Replica::undo)
    }

    /// Makes what was undone last again, as a new change. `None` if nothing was undone, or something was written
    /// since.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn redo(&self) -> Result<Option<Receipt>, WriteError> {
        self.shared.undo_redo(Replica::redo)
    }

    /// Whether there is anything to undo.
    #[must_use]
    pub fn can_undo(&self) -> bool {
        self.shared.lock().replica.can_undo()
    }

    /// Whether there is anything to redo.
    #[must_use]
    pub fn can_redo(&self) -> bool {
        self.shared.lock().replica.can_redo()
    }

    /// What is written while `body` runs is undone together. `body` may use the handle; what other threads write
    /// meanwhile belongs to the group as well.
    pub fn group<R>(&self, body: impl FnOnce() -> R) -> R {
        let _end = self.shared.group();
        body()
    }

    /// Whether this client may set a field as a whole, as far as the server has said; also without a connection, as it
    /// was then. A write that is known not to be allowed is [refused at once](WriteError::Forbidden); all others are
    /// decided by the server.
    #[must_use]
    pub fn can_set<T, P: MergePolicy<T>>(&self, field: Field<S, T, P>) -> bool {
        self.shared.rights.borrow().can_set(field)
    }

    /// Whether the server sends a field to this client; if not, it shows its initial value.
    #[must_use]
    pub fn can_read<T, P: MergePolicy<T>>(&self, field: Field<S, T, P>) -> bool {
        self.shared.rights.borrow().can_read(field)
    }

    /// What this client may do, as far as the server has said.
    #[must_use]
    pub fn rights(&self) -> RoomPermissions {
        self.shared.rights.borrow().clone()
    }

    /// What this client may do now, and each time that it is something else: for an interface that shows what is
    /// not allowed. If it is read too slowly it skips to the latest. Does not keep the client alive, and ends with
    /// the room.
    pub fn watch_permissions(&self) -> Subscription<RoomPermissions> {
        subscription::latest(self.shared.rights.subscribe(), |rights| Some(rights.clone()), |_| false)
    }

    /// The version of the room's state that this client has confirmed; 0 before the room's state came.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared.lock().replica.version()
    }

    /// The random id of the room's history; `None` before the room's state came.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.shared.lock().replica.epoch()
    }

    /// How many changes of this client wait for their answer, sent or not.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.lock().replica.pending()
    }

    /// Whether changes go both ways: the room's state has come over the present connection.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.shared.lock().replica.is_live()
    }

    /// Waits until the state [is live](Self::is_live): what is read then is, for the first time, what the room has.
    /// `false` if the client has ended, the room's struct is another that this one does not fit, or the room was closed or
    /// this client put out of it: [`error`](Self::error) says which. Where the room is full or asks for another password,
    /// it waits until [that](crate::client::Room::retry_join) has changed; [`errors`](Self::errors) says so meanwhile.
    /// Cancellation safe.
    pub async fn live(&self) -> bool {
        let mut seen = self.shared.seen.subscribe();
        // Fails only if the sender is gone, which this handle holds.
        seen.wait_for(|seen| seen.live || seen.refused || seen.ended).await.is_ok_and(|seen| seen.live)
    }

    /// A number that rises with every visible change: an interface that draws at its own pace compares it with the
    /// one it has drawn.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.shared.seen.borrow().revision
    }

    /// Waits until the [`revision`](Self::revision) is another than `revision`, and gives it; gives the present one
    /// if the client has ended. Cancellation safe.
    pub async fn changed(&self, revision: u64) -> u64 {
        let mut seen = self.shared.seen.subscribe();
        let changed = seen.wait_for(|seen| seen.revision != revision || seen.ended).await;
        // Fails only if the sender is gone, which this handle holds.
        changed.map_or(revision, |seen| seen.revision)
    }

    /// Sends on, now, what is kept back by debounce or throttle. The future is done when everything that is pending
    /// now is answered; it may be dropped, and need not be awaited for the sending.
    ///
    /// # Errors
    /// The first of these changes that was refused, in the order in which they were written. All are answered.
    pub fn flush(&self) -> impl Future<Output = Result<(), Rejected>> + Send + use<S> {
        let receipts = self.shared.flush();
        async move {
            let mut verdict = Ok(());
            for receipt in receipts {
                verdict = verdict.and(receipt.await.map(drop));
            }
            verdict
        }
    }

    /// A field's value as it is now, and then each time that it changes. If it is read too slowly it skips to the
    /// latest value. Ends with the client.
    pub fn watch<T, P>(&self, field: Field<S, T, P>) -> Subscription<T>
    where
        T: Clone + Send + 'static,
        P: MergePolicy<T>,
    {
        Subscription::new(self.values(field.id(), move |state| field.get(state).clone()))
    }

    /// What `look` makes of the state, now and after each change to the field.
    fn values<T: Send + 'static>(
        &self,
        field: FieldId,
        look: impl FnMut(&S) -> T + Send + 'static,
    ) -> impl Stream<Item = T> + Send + 'static {
        let from = (self.clone(), self.shared.watch(field), look, true);
        stream::unfold(from, |(state, mut changes, mut look, first)| async move {
            if !first {
                changes.changed().await.ok()?;
            }
            // Before the value is read: a change after that is not missed.
            changes.mark_unchanged();
            Some((state.read(&mut look), (state, changes, look, false)))
        })
    }

    /// Every visible change from now on, whole and in order: this client's own, those of others, and what was rolled
    /// back. If it is read too slowly the oldest are dropped, and [`Origin::Lagged`](crate::replica::Origin::Lagged)
    /// says how many: read the state then. Ends with the client.
    pub fn events(&self) -> Events<S> {
        subscription::broadcast(self.shared.events(), self.clone(), std::convert::identity, |count| {
            crate::replica::Event {
                origin: crate::replica::Origin::Lagged(count),
                version: None,
                from: None,
                updates: Vec::new(),
            }
        })
    }

    /// What the server says of the room beside its state: its metadata, when its history began, whether it has a
    /// password. There when the state [is live](Self::is_live); `None` before.
    #[must_use]
    pub fn details(&self) -> Option<RoomDetails> {
        self.shared.details.borrow().clone()
    }

    /// What the server says of the room, now and then each time that it is something else. If it is read too slowly it
    /// skips to the latest. Does not keep the client alive, and ends with the room.
    pub fn watch_details(&self) -> Subscription<RoomDetails> {
        subscription::latest(self.shared.details.subscribe(), Option::clone, |_| false)
    }

    /// What is wrong with the room, if something is: the server does not let this client in, or what it sends does
    /// not fit this state's type.
    #[must_use]
    pub fn error(&self) -> Option<Violation> {
        self.shared.errors.borrow().clone()
    }

    /// What is wrong with the room now, if something is, and what goes wrong then. If it is read too slowly it skips
    /// to the latest. Does not keep the client alive, and ends with the room.
    pub fn errors(&self) -> Subscription<Violation> {
        subscription::latest(self.shared.errors.subscribe(), Option::clone, |_| false)
    }
}

impl<S: SharedState> Backend<S> for State<S> {
    type Receipt = Receipt;
    type Error = WriteError;

    fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        Self::read(self, look)
    }

    fn write_with(&self, decide: impl FnOnce(&S) -> Vec<S::Update>) -> Result<Receipt, WriteError> {
        self.shared.write(|state| Ok((decide(state), None)))
    }
}

impl<S: SharedState> WritePermissions<S> for State<S> {
    fn can_write(&self, path: &str) -> bool {
        self.shared.rights.borrow().can_write(path)
    }
}

impl<S: SharedState> Watch<S> for State<S> {
    type Stream<T: Send + 'static> = Subscription<T>;

    fn watch<T: Send + 'static>(
        &self,
        field: FieldId,
        look: impl FnMut(&S) -> Option<T> + Send + 'static,
    ) -> Subscription<T> {
        Subscription::new(self.values(field, look).filter_map(std::future::ready))
    }
}

impl<S: SharedState> Clone for State<S> {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone(), self.guard.clone())
    }
}

impl<S: SharedState> Drop for State<S> {
    fn drop(&mut self) {
        self.shared.release();
    }
}

impl<S: SharedState> std::fmt::Debug for State<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("room", self.room())
            .field("type", &S::NAME)
            .field("revision", &self.revision())
            .finish_non_exhaustive()
    }
}
