//! A room and its clients in memory: one real authority, real replicas, no sockets, no tasks, no clock.
//!
//! Owns the frames between them, which arrive when [`Pair::sync`] says so. Loses, delays and reorders nothing: that is
//! the simulation's part. Called by the guide's examples and by an application's own tests.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::authority::{Authority, Permissions, SessionId, Submitted, Typed};
use crate::core::{
    Backend, Field, MergePolicy, Rejected, ServerBackend, SharedState, WriteError, encode_update,
};
use crate::proto::{ClientId, ClientMessage, Dialect, Envelope, Frame, Limits, ServerMessage};
use crate::replica::{Replica, ReplicaConfig, WriteId};
use crate::testing::server::Tube;

/// A room with two clients, or more, in memory.
///
/// Each client is a real replica and the room is a real authority, so validation, merging, roles, undo and rollback are
/// those of a program over sockets. Nothing travels until [`sync`](Self::sync): a write shows at once to the client that
/// made it, and to the others after the next `sync`.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use shared_state::{SharedState, testing::Pair};
///
/// #[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
/// struct Document {
///     title: String,
///     #[shared(counter)]
///     views: i64,
/// }
///
/// let mut pair = Pair::new(Document::default());
/// let (ann, ben) = (pair.client(0), pair.client(1));
///
/// let receipt = ann.set_title("Plans")?;
/// ann.add_views(1)?;
/// ben.add_views(1)?;
/// assert_eq!((ann.title(), ben.title()), ("Plans".into(), "".into())); // nothing has travelled yet
///
/// pair.sync();
/// assert_eq!((ben.title(), ben.views()), ("Plans".into(), 2));
/// assert_eq!(receipt.answer(), Some(Ok(1))); // the version that the change made
/// # Ok::<(), shared_state::WriteError>(())
/// ```
pub struct Pair<S: SharedState> {
    room: Rc<RefCell<Room<S>>>,
    clients: Vec<PairClient<S>>,
}

struct Room<S: SharedState> {
    authority: Authority<Tube>,
    initial: S,
}

/// One client of a [`Pair`]; its handle, from [`Pair::client`], dereferences to it. Clones are the same client.
pub struct PairClient<S: SharedState>(Rc<RefCell<Client<S>>>);

struct Client<S: SharedState> {
    name: ClientId,
    replica: Replica<S>,
    /// Frames on their way to the client.
    down: Tube,
    session: Option<SessionId>,
    rights: Option<Arc<dyn Permissions>>,
    connected: bool,
    answers: BTreeMap<WriteId, Result<u64, Rejected>>,
}

/// The server's own program in a [`Pair`]; its handle, from [`Pair::server`], dereferences to it.
pub struct PairServer<S: SharedState>(Rc<RefCell<Room<S>>>);

/// What a client's write returns.
pub struct PairReceipt<S: SharedState> {
    client: PairClient<S>,
    id: WriteId,
}

/// The roles that a test gives a client; it may write at every path.
struct TestRoles(Vec<String>);

impl Permissions for TestRoles {
    fn write(&self, _path: &str) -> Result<(), String> {
        Ok(())
    }

    fn has(&self, role: &str) -> bool {
        self.0.iter().any(|own| own == role)
    }
}

impl<S: SharedState> Pair<S> {
    /// A room that begins as `initial`, with two clients that have joined it.
    #[must_use]
    pub fn new(initial: S) -> Self {
        Self::with_clients(initial, 2)
    }

    /// The same with as many clients as `count` says. Their public ids are `client-0`, `client-1` and so on.
    #[must_use]
    pub fn with_clients(initial: S, count: usize) -> Self {
        let state = Box::new(Typed::new(initial.clone()));
        let authority = Authority::new("room".into(), 1, state, Arc::new(Limits::default()));
        let clients = (0..count).map(|index| PairClient::new(index, initial.clone())).collect();
        let mut pair = Self { room: Rc::new(RefCell::new(Room { authority, initial })), clients };
        pair.sync();
        pair
    }

    /// The handle of a client. It has the same accessors as the handle that `client.room("..").state(..)` gives a program.
    ///
    /// # Panics
    /// If there is no client of this index.
    #[must_use]
    pub fn client(&self, index: usize) -> S::Handle<PairClient<S>> {
        assert!(
            index < self.clients.len(),
            "the pair has {} clients, and none of index {index}",
            self.clients.len()
        );
        S::Handle::from(self.clients[index].clone())
    }

    /// The handle of the server's own program, which may write read-only fields.
    #[must_use]
    pub fn server(&self) -> S::Handle<PairServer<S>> {
        S::Handle::from(PairServer(self.room.clone()))
    }

    /// Gives a client these roles and no others; a client has none at first. The client is told by the next
    /// [`sync`](Self::sync).
    ///
    /// # Panics
    /// If there is no client of this index.
    pub fn set_roles(&mut self, index: usize, roles: &[&str]) {
        assert!(
            index < self.clients.len(),
            "the pair has {} clients, and none of index {index}",
            self.clients.len()
        );
        let rights: Arc<dyn Permissions> =
            Arc::new(TestRoles(roles.iter().map(|role| (*role).to_owned()).collect()));
        let mut client = self.clients[index].0.borrow_mut();
        client.rights = Some(rights.clone());
        if let Some(session) = client.session {
            self.room.borrow_mut().authority.grant(session, Some(rights));
        }
    }

    /// Delivers everything that is on its way, in both directions, until nothing is. What a field's debounce or throttle
    /// keeps back is sent first. Clients that are [disconnected](PairClient::disconnect) send and receive nothing.
    ///
    /// # Panics
    /// If a client or the room cannot read what the other sent: a defect of a hand-written `Serialize`, `Deserialize` or
    /// merge policy, or of this crate.
    pub fn sync(&mut self) {
        for client in &self.clients {
            client.0.borrow_mut().replica.flush(Duration::ZERO);
        }
        while self.clients.iter().fold(false, |moved, client| self.exchange(client) | moved) {}
    }

    /// Delivers what a client has to say, and then what it is sent; says whether there was anything.
    fn exchange(&self, client: &PairClient<S>) -> bool {
        let room = &mut *self.room.borrow_mut();
        let client = &mut *client.0.borrow_mut();
        if !client.connected {
            return client.session.take().is_some_and(|session| room.authority.leave(session).is_some());
        }
        let mut moved = false;
        while let Some(frame) = client.replica.poll_frame() {
            moved = true;
            room.take(client, &frame);
        }
        while let Some(frame) = client.down.pop() {
            moved = true;
            client.take(&frame);
        }
        moved
    }
}

impl<S: SharedState> Room<S> {
    /// A frame of a client arrives; what it changes is durable at once.
    fn take(&mut self, client: &mut Client<S>, frame: &Frame) {
        let envelope = Envelope::read(frame.as_str()).unwrap_or_else(|error| panic!("{error}: {frame:?}"));
        match ClientMessage::read(&envelope) {
            Ok(ClientMessage::Join(request)) => {
                if let Some(before) = client.session.take() {
                    self.authority.leave(before);
                }
                let (name, rights, down) = (client.name.clone(), client.rights.clone(), client.down.clone());
                let joined = self.authority.join_with(name, Dialect::V1, &request, rights, down);
                client.session = Some(joined.unwrap_or_else(|violation| panic!("{violation}")));
            }
            Ok(ClientMessage::Change(change)) => {
                if let Some(session) = client.session
                    && let Submitted::Accepted(entry) = self.authority.submit(session, &change)
                {
                    self.authority.committed(entry.version);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn state(&self) -> &S {
        let state = self.authority.state().as_any().downcast_ref::<Typed<S>>();
        state.map_or(&self.initial, Typed::get)
    }
}

impl<S: SharedState> Client<S> {
    /// A frame of the room arrives.
    fn take(&mut self, frame: &Frame) {
        match ServerMessage::of(frame) {
            Ok(ServerMessage::Room(_, message) | ServerMessage::Numbered(_, message)) => {
                let taken = self.replica.receive(message);
                taken.unwrap_or_else(|violation| panic!("{violation}: {frame:?}"));
            }
            other => panic!("{other:?}"),
        }
        self.note_answers();
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
    fn new(index: usize, initial: S) -> Self {
        let config = ReplicaConfig {
            // Without a clock, each write is undone on its own.
            undo_pause: Duration::ZERO,
            writer: 1_000 + index as u64,
            ..ReplicaConfig::default()
        };
        let mut replica = Replica::new(Arc::from("room"), initial, config);
        replica.connected(WINDOW);
        Self(Rc::new(RefCell::new(Client {
            name: format!("client-{index}").into(),
            replica,
            down: Tube::new(usize::MAX),
            session: None,
            rights: None,
            connected: true,
            answers: BTreeMap::new(),
        })))
    }

    fn receipt(&self, id: WriteId) -> PairReceipt<S> {
        // An empty change is answered as it is written.
        self.0.borrow_mut().note_answers();
        PairReceipt { client: self.clone(), id }
    }

    /// A copy of the state that this client shows.
    #[must_use]
    pub fn state(&self) -> S {
        self.0.borrow().replica.state().clone()
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
        self.write_with(|state| {
            let mut changed = state.clone();
            change(&mut changed);
            S::diff(state, &changed)
        })
    }

    /// Takes back this client's last change; `None` if there is none.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn undo(&self) -> Result<Option<PairReceipt<S>>, WriteError> {
        let id = self.0.borrow_mut().replica.undo(Duration::ZERO)?;
        Ok(id.map(|id| self.receipt(id)))
    }

    /// Makes what this client undid last again; `None` if nothing was undone, or something was written since.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn redo(&self) -> Result<Option<PairReceipt<S>>, WriteError> {
        let id = self.0.borrow_mut().replica.redo(Duration::ZERO)?;
        Ok(id.map(|id| self.receipt(id)))
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
        let client = &mut *self.0.borrow_mut();
        client.connected = false;
        client.replica.disconnected();
        client.down = Tube::new(usize::MAX);
    }

    /// The client has a connection again: the next [`Pair::sync`] sends what it wrote meanwhile, and brings what it
    /// missed.
    pub fn connect(&self) {
        let client = &mut *self.0.borrow_mut();
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
        let id = self.0.borrow_mut().replica.write(Duration::ZERO, updates)?;
        Ok(self.receipt(id))
    }
}

impl<S: SharedState> Backend<S> for PairServer<S> {
    /// The version that the change made.
    type Receipt = u64;
    type Error = WriteError;

    fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(self.0.borrow().state())
    }

    fn write_with(&self, decide: impl FnOnce(&S) -> Vec<S::Update>) -> Result<u64, WriteError> {
        let updates = self.read(decide);
        let authority = &mut self.0.borrow_mut().authority;
        if updates.is_empty() {
            return Ok(authority.head());
        }
        let encoded = updates.iter().map(encode_update::<S>).collect::<Result<Vec<_>, _>>();
        let encoded = encoded.map_err(WriteError::Unsendable)?;
        let texts: Vec<_> = encoded.iter().map(|update| update.as_str()).collect();
        let entry = authority.submit_server(&format!("[{}]", texts.join(",")))?;
        authority.committed(entry.version);
        Ok(entry.version)
    }
}

impl<S: SharedState> ServerBackend<S> for PairServer<S> {}

impl<S: SharedState> Clone for PairClient<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: SharedState> Clone for PairServer<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: SharedState> fmt::Debug for Pair<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("type", &S::NAME).field("clients", &self.clients).finish_non_exhaustive()
    }
}

impl<S: SharedState> fmt::Debug for PairClient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairClient").field("name", &self.0.borrow().name).finish_non_exhaustive()
    }
}

impl<S: SharedState> fmt::Debug for PairServer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairServer").field("type", &S::NAME).finish_non_exhaustive()
    }
}

impl<S: SharedState> fmt::Debug for PairReceipt<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairReceipt").field("answer", &self.answer()).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "derive"))]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::core::Code;

    #[derive(shared_state_derive::SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
    #[shared(crate = crate)]
    struct Document {
        title: String,
        #[shared(counter)]
        views: i64,
        #[shared(read_only)]
        stamp: u64,
        #[shared(read = "editor")]
        notes: String,
    }

    #[test]
    fn nothing_travels_before_sync_and_everything_by_it() {
        let mut pair = Pair::with_clients(Document::default(), 3);
        let receipt = pair.client(0).set_title("Plans").expect("taken");
        pair.client(1).add_views(2).expect("taken");
        assert_eq!((pair.client(1).title(), receipt.answer()), (String::new(), None));
        pair.sync();
        assert_eq!(receipt.answer(), Some(Ok(1)));
        let expected = Document { title: "Plans".into(), views: 2, ..Document::default() };
        assert!((0..3).all(|index| pair.client(index).state() == expected));
        assert_eq!(pair.server().read(Document::clone), expected);
    }

    #[test]
    fn g2_what_is_written_without_a_connection_arrives_when_it_is_back() {
        let mut pair = Pair::new(Document::default());
        let (ann, ben) = (pair.client(0), pair.client(1));
        ann.disconnect();
        ann.add_views(1).expect("taken");
        ben.add_views(1).expect("taken");
        pair.sync();
        assert_eq!((ann.views(), ann.pending(), ben.views()), (1, 1, 1));
        ann.connect();
        ann.connect();
        pair.sync();
        assert_eq!((ann.views(), ann.pending(), ben.views(), ben.version()), (2, 0, 2, 2));
    }

    #[test]
    fn the_server_writes_what_clients_may_not() {
        let mut pair = Pair::new(Document::default());
        assert_eq!(pair.server().set_stamp(7), Ok(1));
        assert_eq!(pair.server().set_stamp(7), Ok(2));
        assert!(matches!(
            pair.client(0).set(Document::STAMP, 8).map(drop),
            Err(WriteError::ReadOnly { field: "stamp" })
        ));
        pair.sync();
        assert_eq!(pair.client(0).stamp(), 7);
    }

    #[test]
    fn g12_roles_decide_who_reads() {
        let mut pair = Pair::new(Document::default());
        pair.set_roles(0, &["editor"]);
        pair.sync();
        let receipt = pair.client(0).set_notes("draft").expect("an editor's");
        pair.sync();
        assert_eq!(receipt.answer(), Some(Ok(1)));
        assert_eq!((pair.client(0).notes(), pair.client(1).notes()), ("draft".into(), String::new()));
        assert!(!pair.client(1).can_set(Document::NOTES));
        pair.set_roles(0, &[]);
        let refused = pair.client(0).set_notes("more").expect("not told yet");
        pair.sync();
        let refused = refused.answer().expect("answered").expect_err("no editor any more");
        assert_eq!(refused.code(), Code::Forbidden);
        assert_eq!(pair.client(0).notes(), "");
    }

    #[test]
    fn undo_takes_back_the_clients_own_last_write() {
        let mut pair = Pair::new(Document::default());
        let (ann, ben) = (pair.client(0), pair.client(1));
        ann.add_views(1).expect("taken");
        ben.add_views(5).expect("taken");
        pair.sync();
        assert!(ann.undo().expect("taken").is_some());
        pair.sync();
        assert_eq!((ann.views(), ben.views()), (5, 5));
        assert!(ann.redo().expect("taken").is_some());
        assert!(ann.redo().expect("taken").is_none());
        pair.sync();
        assert_eq!(ben.views(), 6);
    }
}
