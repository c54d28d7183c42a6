//! One client of a pair: its replica, what is on its way to it, and its answers.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::authority::{Permissions, SessionId};
use crate::core::{
    Backend, Field, MergePolicy, Rejected, SharedState, WriteError, WritePermissions, transfer,
};
use crate::proto::{ClientId, Frame, ServerMessage};
use crate::replica::{Event, Replica, ReplicaConfig, Transaction, WriteId};
use crate::testing::server::Tube;

/// One client of a [`Pair`](super::Pair); its handle, from [`Pair::client`](super::Pair::client), dereferences to it. Clones are the same client.
pub struct PairClient<S: SharedState>(pub(super) Rc<RefCell<Client<S>>>);

pub(super) struct Client<S: SharedState> {
    pub(super) name: ClientId,
    pub(super) replica: Replica<S>,
    /// Frames on their way to the client.
    pub(super) down: Tube,
    pub(super) session: Option<SessionId>,
    pub(super) rights: Option<Arc<dyn Permissions>>,
    pub(super) connected: bool,
    /// How many connections it has lost.
    pub(super) lost: u64,
    answers: BTreeMap<WriteId, Result<u64, Rejected>>,
    /// The time when the test last moved it.
    pub(super) now: Duration,
}

/// What a client's write returns.
pub struct PairReceipt<S: SharedState> {
    client: PairClient<S>,
    id: WriteId,
}

impl<S: SharedState> Client<S> {
    /// A frame of the room arrives.
    pub(super) fn take(&mut self, frame: &Frame) {
        match ServerMessage::of(frame) {
            Ok(ServerMessage::Room(_, message) | ServerMessage::Numbered(_, message)) => {
                let taken = self.replica.receive(message);
                taken.unwrap_or_else(|violation| panic!("{violation}: {frame:?}"));
            }
            other => panic!("{other:?}"),
        }
        self.note_answers();
    }

    fn with_time<R>(&mut self, work: impl FnOnce(&mut Replica<S>, Duration) -> R) -> R {
        work(&mut self.replica, self.now)
    }

    fn note_answers(&mut self) {
        while let Some((id, answer)) = self.replica.poll_answer() {
            self.answers.insert(id, answer);
        }
    }
}

/// How many of its changes a client may have unanswered.
const WINDOW: usize = 64;

impl<S: SharedState> PairClient<S> {
    pub(super) fn new(index: usize, room: Arc<str>, name: ClientId, initial: S, now: Duration) -> Self {
        let config = ReplicaConfig {
            // Without a clock, each write is undone on its own.
            undo_pause: Duration::ZERO,
            writer: 1_000 + index as u64,
            ..ReplicaConfig::default()
        };
        let mut replica = Replica::new(room, initial, config);
        replica.connected(WINDOW);
        Self(Rc::new(RefCell::new(Client {
            name,
            replica,
            down: Tube::new(usize::MAX),
            session: None,
            rights: None,
            connected: true,
            lost: 0,
            answers: BTreeMap::new(),
            now,
        })))
    }

    fn exclusive(&self) -> RefMut<'_, Client<S>> {
        self.0
            .try_borrow_mut()
            .expect("a closure that was given the pair's value uses what it is given, and no handle")
    }

    fn receipt(&self, id: WriteId) -> PairReceipt<S> {
        // An empty change is answered as it is written.
        self.exclusive().note_answers();
        PairReceipt { client: self.clone(), id }
    }

    /// The user's id, by which rules know the author of the client's changes.
    #[must_use]
    pub fn user(&self) -> String {
        (*self.0.borrow().name).to_owned()
    }

    /// A copy of the state that this client shows.
    #[must_use]
    pub fn state(&self) -> S {
        self.0.borrow().replica.state().clone()
    }

    /// Calls `look` with the state that this client shows, without copying it. `look` must not use a handle of the pair.
    pub fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(self.0.borrow().replica.state())
    }

    /// A copy of a field.
    #[must_use]
    pub fn get<T: Clone, P: MergePolicy<T>>(&self, field: Field<S, T, P>) -> T {
        self.read(|state| field.get(state).clone())
    }

    /// Sets a field.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn set<T, P: MergePolicy<T>>(
        &self,
        field: Field<S, T, P>,
        value: T,
    ) -> Result<PairReceipt<S>, WriteError> {
        self.write(field.set(value))
    }

    /// Sets the fields that the patch has, as one change.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn merge(&self, patch: S::Patch) -> Result<PairReceipt<S>, WriteError> {
        self.write_with(|_| S::patch_updates(patch))
    }

    /// Changes a copy of the state and writes what is different, as one change.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn update(&self, change: impl FnOnce(&mut S)) -> Result<PairReceipt<S>, WriteError> {
        self.write_with(|state| transfer::changes(state, change).1)
    }

    /// Runs `work` on a draft of the state and writes what it wrote, which is accepted only if nothing that it read has
    /// been changed by others when the change reaches the room. Otherwise the answer is
    /// [`Code::Conflict`](crate::core::Code::Conflict), and the test may try again; a client over sockets does so by
    /// itself.
    ///
    /// # Errors
    /// As [`Backend::write`], or the error of `work`.
    pub fn transact<E: From<WriteError>>(
        &self,
        work: impl FnOnce(&mut Transaction<S>) -> Result<(), E>,
    ) -> Result<PairReceipt<S>, E> {
        let mut transaction = Transaction::new(self.0.borrow().replica.state());
        work(&mut transaction)?;
        let (updates, reads) = transaction.into_parts();
        let id =
            self.exclusive().with_time(|replica, now| replica.write_if_unchanged(now, updates, reads))?;
        Ok(self.receipt(id))
    }

    /// Takes back this client's last change; `None` if there is none.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn undo(&self) -> Result<Option<PairReceipt<S>>, WriteError> {
        let id = self.exclusive().with_time(Replica::undo)?;
        Ok(id.map(|id| self.receipt(id)))
    }

    /// Makes what this client undid last again; `None` if nothing was undone, or something was written since.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn redo(&self) -> Result<Option<PairReceipt<S>>, WriteError> {
        let id = self.exclusive().with_time(Replica::redo)?;
        Ok(id.map(|id| self.receipt(id)))
    }

    /// Whether there is anything to undo. A change that others have overwritten counts until undoing it is tried.
    #[must_use]
    pub fn can_undo(&self) -> bool {
        self.0.borrow().replica.can_undo()
    }

    /// Whether there is anything to redo. A change that others have overwritten counts until redoing it is tried.
    #[must_use]
    pub fn can_redo(&self) -> bool {
        self.0.borrow().replica.can_redo()
    }

    /// Everything that is written while `body` runs is undone together. `body` may use the handle.
    pub fn group<R>(&self, body: impl FnOnce() -> R) -> R {
        self.exclusive().replica.begin_group();
        let result = body();
        self.exclusive().replica.end_group();
        result
    }

    /// Sends what debounce or throttle delays: the next [`Pair::sync`](super::Pair::sync) delivers it, without time
    /// passing.
    pub fn flush(&self) {
        self.exclusive().with_time(Replica::flush);
    }

    /// The changes that this client has shown since the last call, whole and in order: its own, those of others, and
    /// rollbacks.
    #[must_use]
    pub fn events(&self) -> Vec<Event<S>> {
        let client = &mut *self.exclusive();
        std::iter::from_fn(|| client.replica.poll_event()).collect()
    }

    /// Whether this client may set a field, as far as the room has said.
    #[must_use]
    pub fn can_set<T, P: MergePolicy<T>>(&self, field: Field<S, T, P>) -> bool {
        self.0.borrow().replica.permissions().can_set(field)
    }

    /// The version that this client has confirmed.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.borrow().replica.version()
    }

    /// How many changes of this client are not answered.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.0.borrow().replica.pending()
    }

    /// The client loses its connection, and with it what is on its way in both directions. It goes on writing without
    /// one.
    pub fn disconnect(&self) {
        let client = &mut *self.exclusive();
        client.connected = false;
        client.lost += 1;
        client.replica.disconnected();
        client.down = Tube::new(usize::MAX);
    }

    /// The client has a connection again: the next [`Pair::sync`](super::Pair::sync) sends what it wrote meanwhile, and brings what it
    /// missed.
    pub fn connect(&self) {
        let client = &mut *self.exclusive();
        if !std::mem::replace(&mut client.connected, true) {
            client.replica.connected(WINDOW);
        }
    }
}

impl<S: SharedState> PairReceipt<S> {
    /// The version that the change made, or why it was refused; `None` until it is answered.
    #[must_use]
    pub fn answer(&self) -> Option<Result<u64, Rejected>> {
        self.client.0.borrow().answers.get(&self.id).cloned()
    }
}

impl<S: SharedState> Backend<S> for PairClient<S> {
    type Receipt = PairReceipt<S>;
    type Error = WriteError;

    fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(self.0.borrow().replica.state())
    }

    fn write_with(&self, decide: impl FnOnce(&S) -> Vec<S::Update>) -> Result<PairReceipt<S>, WriteError> {
        let updates = self.read(decide);
        let id = self.exclusive().with_time(|replica, now| replica.write(now, updates))?;
        Ok(self.receipt(id))
    }
}

impl<S: SharedState> WritePermissions<S> for PairClient<S> {
    fn can_write(&self, path: &str) -> bool {
        self.0.borrow().replica.permissions().can_write(path)
    }
}

impl<S: SharedState> Clone for PairClient<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: SharedState> fmt::Debug for PairClient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairClient").field("name", &self.0.borrow().name).finish_non_exhaustive()
    }
}

impl<S: SharedState> fmt::Debug for PairReceipt<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairReceipt").field("answer", &self.answer()).finish_non_exhaustive()
    }
}
