//! The state of a room, as an app holds it.

use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};

use crate::client::task::shared::Guard;
use crate::client::task::shared_replica::SharedReplica;
use crate::client::{Events, Receipt, Subscription, lock, subscription};
use crate::core::{Backend, Field, FieldId, Invalid, SharedState, Watch, WritePermissions};
use crate::core::{MergePolicy, transfer};
use crate::core::{Rejected, WriteError};
use crate::merge::{Counter, Number};
use crate::proto::{RoomDetails, Violation};
use crate::replica::{Replica, RoomPermissions};

/// The state of one room, the same for everyone in it. Cheap to clone; every clone is the same state.
///
/// Reads and writes hold a lock while they run, never wait for the network, and work without a connection.
/// Closures that an app passes in ([`read`](Self::read), [`update`](Self::update), a
/// [transaction](Self::transact)) run under that lock: they must not use a handle of the same state, and
/// should be quick.
pub struct State<S: SharedState> {
    pub(super) shared: Arc<SharedReplica<S>>,
    guard: Arc<Guard>,
}

impl<S: SharedState> State<S> {
    pub(super) fn new(shared: Arc<SharedReplica<S>>, guard: Arc<Guard>) -> Self {
        shared.hold();
        Self { shared, guard }
    }

    /// The client's public id.
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

    /// Returns a copy of a field.
    #[must_use]
    pub fn get<T: Clone, P: MergePolicy<T>>(&self, field: Field<S, T, P>) -> T {
        self.read(|state| field.get(state).clone())
    }

    /// Returns a copy of the whole state. Costs a clone of the state, which [`read`](Self::read) does not.
    #[must_use]
    pub fn state(&self) -> S {
        self.read(S::clone)
    }

    /// Calls `look` with the state, without copying it.
    ///
    /// # Panics
    /// If `look` uses a handle of the same state.
    pub fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(self.shared.lock().replica.state())
    }

    /// Sets a field. The new value shows at once.
    ///
    /// # Errors
    /// The value violates a rule, the field is read-only, [this client may not write it](Self::can_set), the
    /// value has no JSON form, the change exceeds a limit that the server has told (its length, its depth, the length of a
    /// path, its updates, its work), the queue is full, the room does not accept this client, or the client was closed.
    /// A write inside an item, an entry or an optional struct also fails if that does not exist, and an insertion if
    /// another item has the same key. Nothing was changed, and nothing will be sent.
    pub fn set<T, P: MergePolicy<T>>(&self, field: Field<S, T, P>, value: T) -> Result<Receipt, WriteError> {
        self.write(field.set(value))
    }

    /// Adds `by` to a counter; concurrent additions of others count as well. The sum shows at once.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn add<T: Number>(&self, field: Field<S, T, Counter>, by: T) -> Result<Receipt, WriteError> {
        self.write(field.op(crate::merge::CounterOp::Add(by)))
    }

    /// Subtracts `by` from a counter; concurrent subtractions of others count as well. The difference shows at
    /// once.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn sub<T: Number>(&self, field: Field<S, T, Counter>, by: T) -> Result<Receipt, WriteError> {
        self.write(field.op(crate::merge::CounterOp::Sub(by)))
    }

    /// Sets the fields that `patch` contains, as one change.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn merge(&self, patch: S::Patch) -> Result<Receipt, WriteError> {
        self.write_all(S::patch_updates(patch))
    }

    /// Calls `change` with a copy of the state and writes the differences, as one change. An item that it takes from a list
    /// and puts into another one with items of the same type is moved there. Costs a clone and a comparison of the state.
    ///
    /// # Panics
    /// If `change` uses a handle of the same state: it changes what it is given.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn update(&self, change: impl FnOnce(&mut S)) -> Result<Receipt, WriteError> {
        self.shared.write(|state| Ok((transfer::changes(state, change).1, None)))
    }

    /// Writes one update.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn write(&self, update: S::Update) -> Result<Receipt, WriteError> {
        self.shared.write(|_| Ok((vec![update], None)))
    }

    /// Writes several updates as one change: everyone sees all of them or none.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn write_all(&self, updates: Vec<S::Update>) -> Result<Receipt, WriteError> {
        self.shared.write(|_| Ok((updates, None)))
    }

    /// Undoes this user's last change, or the changes that belong together with it, by a new change. What
    /// others did since stays. Returns `None` if there is nothing to undo.
    ///
    /// Changes that follow each other within a [pause](crate::client::ClientBuilder::undo), or that were made
    /// in one [`group`](Self::group), are undone together. A change that others have overwritten since, or
    /// that this client may no longer write, is skipped. Works without a connection.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn undo(&self) -> Result<Option<Receipt>, WriteError> {
        self.shared.undo_redo(Replica::undo)
    }

    /// Redoes what was undone last, by a new change. Returns `None` if nothing was undone, or something was
    /// written since.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn redo(&self) -> Result<Option<Receipt>, WriteError> {
        self.shared.undo_redo(Replica::redo)
    }

    /// Whether there is anything to undo. A change that others have overwritten counts until undoing it is
    /// tried.
    #[must_use]
    pub fn can_undo(&self) -> bool {
        self.shared.lock().replica.can_undo()
    }

    /// Whether there is anything to redo. A change that others have overwritten counts until redoing it is
    /// tried.
    #[must_use]
    pub fn can_redo(&self) -> bool {
        self.shared.lock().replica.can_redo()
    }

    /// Everything that is written while `body` runs is undone together. `body` may use the handle. Writes of
    /// other threads during that time belong to the group too.
    pub fn group<R>(&self, body: impl FnOnce() -> R) -> R {
        let _end = self.shared.group();
        body()
    }

    /// Whether this client may set a field as a whole, as far as the server has said. Without a connection
    /// the last answer holds. A write that is known to be denied [fails at once](WriteError::Forbidden); the
    /// server checks all others.
    #[must_use]
    pub fn can_set<T, P: MergePolicy<T>>(&self, field: Field<S, T, P>) -> bool {
        self.shared.rights.borrow().can_set(field)
    }

    /// Whether the server sends a field to this client. If it does not, the field has its initial value.
    #[must_use]
    pub fn can_read<T, P: MergePolicy<T>>(&self, field: Field<S, T, P>) -> bool {
        self.shared.rights.borrow().can_read(field)
    }

    /// What this client may do, as far as the server has said.
    #[must_use]
    pub fn permissions(&self) -> RoomPermissions {
        self.shared.rights.borrow().clone()
    }

    /// The current permissions, and then each change of them, for an interface that disables what is denied.
    /// A stream that is read too slowly skips to the latest. Does not keep the client alive, and ends with
    /// the room.
    pub fn watch_permissions(&self) -> Subscription<RoomPermissions> {
        subscription::latest(self.shared.rights.subscribe(), |rights| Some(rights.clone()), |_| false)
    }

    /// The version of the confirmed state; 0 before the room's state arrived.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared.lock().replica.version()
    }

    /// The room's epoch, the random id of its history; `None` before the room's state arrived.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.shared.lock().replica.epoch()
    }

    /// How many changes of this client wait for their answer, sent or not.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.lock().replica.pending()
    }

    /// Whether the room's state has arrived over the current connection, so that changes are sent and
    /// received.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.shared.lock().replica.is_live()
    }

    /// Waits until the state [is live](Self::is_live): from then on, reads return what the room has. Returns
    /// `false` if the client has ended, if there is no such room, if this client may not join it, was kicked or
    /// banned, if the room was closed, or if its struct is incompatible with `S`; [`error`](Self::error) says
    /// which. What was pending is refused then, with the same code. While the room is full or needs another
    /// password, it waits for that to [change](crate::client::Room::retry_join), and
    /// [`errors`](Self::errors) reports it meanwhile. Cancel safe.
    pub async fn live(&self) -> bool {
        let mut seen = self.shared.seen.subscribe();
        // Fails only if the sender is dropped, and this handle holds it.
        seen.wait_for(|seen| seen.live || seen.refused || seen.ended).await.is_ok_and(|seen| seen.live)
    }

    /// A number that rises with every visible change. An interface that draws at its own pace compares it
    /// with the number it has drawn.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.shared.seen.borrow().revision
    }

    /// Waits until the [`revision`](Self::revision) differs from `revision`, and returns it. Returns the
    /// current one if the client has ended. Cancel safe.
    pub async fn changed(&self, revision: u64) -> u64 {
        let mut seen = self.shared.seen.subscribe();
        let changed = seen.wait_for(|seen| seen.revision != revision || seen.ended).await;
        // Fails only if the sender is dropped, and this handle holds it.
        changed.map_or(revision, |seen| seen.revision)
    }

    /// Sends what debounce or throttle delays, at once. The returned future resolves when everything that is
    /// pending now is answered; it need not be awaited for the sending, and is cancel safe.
    ///
    /// # Errors
    /// The first refusal among these changes, in the order in which they were written. All of them are
    /// answered.
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

    /// The current value of a field, and then its value after each change. A stream that is read too slowly
    /// skips to the latest. Ends with the client.
    pub fn watch<T, P>(&self, field: Field<S, T, P>) -> Subscription<T>
    where
        T: Clone + Send + 'static,
        P: MergePolicy<T>,
    {
        Subscription::new(self.values(field.id(), move |state| field.get(state).clone()))
    }

    /// The results of `look`, now and after each change of the field.
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
            // Marked before the value is read, so that a later change is not missed.
            changes.mark_unchanged();
            Some((state.read(&mut look), (state, changes, look, false)))
        })
    }

    /// Every visible change from now on, whole and in order: this client's own, those of others, and
    /// rollbacks. If the stream is read too slowly the oldest are dropped, and
    /// [`Origin::Lagged`](crate::replica::Origin::Lagged) reports how many; read the state then. Ends with
    /// the client.
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

    /// The room's details: its metadata, when its history began, and whether it has a password. `None` before
    /// the state [is live](Self::is_live).
    #[must_use]
    pub fn details(&self) -> Option<RoomDetails> {
        self.shared.details.borrow().clone()
    }

    /// The current details, if known, and then each change of them. A stream that is read too slowly skips to
    /// the latest. Does not keep the client alive, and ends with the room.
    pub fn watch_details(&self) -> Subscription<RoomDetails> {
        subscription::latest(self.shared.details.subscribe(), Option::clone, |_| false)
    }

    /// The room's current error, for example that the server does not let this client in, or that it sends a
    /// state that is not an `S`.
    #[must_use]
    pub fn error(&self) -> Option<Violation> {
        self.shared.errors.borrow().clone()
    }

    /// The room's current error, if any, and then each further one. A stream that is read too slowly skips to
    /// the latest. Does not keep the client alive, and ends with the room.
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

    fn try_write_with(
        &self,
        decide: impl FnOnce(&S) -> Result<Vec<S::Update>, Invalid>,
    ) -> Result<Receipt, WriteError> {
        self.shared.write(|state| Ok((decide(state)?, None)))
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
