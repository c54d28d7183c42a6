//! A room and its clients in memory: one real authority, real replicas, no sockets, no tasks, no clock.
//!
//! Owns the frames between them, which arrive when [`Pair::sync`] or [`Pair::advance`] says so, and the time, which the
//! test moves. Loses, delays and reorders nothing: that is the simulation's part. Called by the guide's examples and by
//! an application's own tests.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authority::{
    Authority, OnChange, Permissions, ProposedChange, RoomState, Submitted, Typed, Verdict,
};
use crate::core::{Author, Backend, Code, Reject, ServerBackend, SharedState, WriteError, encode_update};
use crate::presence::{PresenceError, PresenceOptions};
use crate::proto::{ClientMessage, Dialect, Envelope, Frame, Limits};
use crate::testing::roles::Held;
use crate::testing::server::Tube;

mod channel;
mod client;
mod presence;

pub use channel::PairChannel;
pub use client::{PairClient, PairReceipt};
pub use presence::PairPresence;

use channel::Channel;
use client::Client;
use presence::Presence;

/// A room with two clients, or more, in memory.
///
/// Each client is a real replica and the room is a real authority, so validation, merging, roles, undo and rollback are
/// those of a program over sockets. Nothing travels until [`sync`](Self::sync): a write shows at once to the client that
/// made it, and to the others after the next `sync`. Time stands still until [`advance`](Self::advance), which sends
/// what a debounce or throttle has kept back for long enough.
///
/// The users are given by [`with_users`](Self::with_users), their roles by [`set_roles`](Self::set_roles), and the
/// server's rules by `hooks`, [`rules`](Self::rules) or [`on_change`](Self::on_change). A client is offline between
/// [`disconnect`](PairClient::disconnect) and [`connect`](PairClient::connect), and another one comes later by
/// [`join`](Self::join). A client is in the room's channels by [`channel`](Self::channel), and in its presence by
/// [`presence`](Self::presence).
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
    /// The room's channels and its presence, by their names.
    besides: BTreeMap<String, Box<dyn Beside>>,
}

/// What a room has besides its state.
trait Beside: Any {
    /// Delivers everything, with the clients' connections as they are.
    fn deliver(&mut self, connections: &[Connection], now: Duration);
}

/// A client's connection, as a channel or the presence must know it.
struct Connection {
    connected: bool,
    lost: u64,
}

struct Room<S: SharedState> {
    authority: Authority<Tube>,
    initial: S,
    /// The time since the test began.
    now: Duration,
}

/// The server's own program in a [`Pair`]; its handle, from [`Pair::server`], dereferences to it.
pub struct PairServer<S: SharedState>(Rc<RefCell<Room<S>>>);

impl<S: SharedState> Pair<S> {
    /// A room that begins as `initial`, with two clients that have joined it.
    #[must_use]
    pub fn new(initial: S) -> Self {
        Self::with_clients(initial, 2)
    }

    /// The same with as many clients as `count` says. Their public ids are `client-0`, `client-1` and so on.
    #[must_use]
    pub fn with_clients(initial: S, count: usize) -> Self {
        let names: Vec<String> = (0..count).map(|index| format!("client-{index}")).collect();
        Self::with_users(initial, &names)
    }

    /// The same with a client for each of these users, whose ids must differ. A rule knows the author of a change by
    /// the user's id, [`Author::user`](crate::Author::user).
    #[must_use]
    pub fn with_users(initial: S, users: &[impl AsRef<str>]) -> Self {
        let mut pair = Self::of("room", Box::new(Typed::new(initial.clone())), initial);
        for user in users {
            pair.join(user.as_ref());
        }
        pair
    }

    /// A room of this address without clients.
    ///
    /// # Panics
    /// If a value of the initial state does not read back from its JSON. A server would refuse to open the room.
    fn of(address: &str, mut state: Box<dyn RoomState>, initial: S) -> Self {
        if let Err(reject) = state.check_initial() {
            panic!("the initial state of `{}` does not read back: {reject}", S::NAME);
        }
        let room = Room { authority: new_room(address.into(), state), initial, now: Duration::ZERO };
        Self { room: Rc::new(RefCell::new(room)), clients: Vec::new(), besides: BTreeMap::new() }
    }

    /// Another client joins, with this user's id, which no other client may have, and is sent the state. Returns its
    /// index.
    pub fn join(&mut self, user: &str) -> usize {
        let index = self.add(user);
        while self.exchange(&self.clients[index]) {}
        index
    }

    /// Adds a client, which joins when something is delivered.
    fn add(&mut self, user: &str) -> usize {
        let client = {
            let room = self.room.borrow();
            let address = room.authority.room().clone();
            PairClient::new(self.clients.len(), address, user.into(), room.initial.clone(), room.now)
        };
        self.clients.push(client);
        self.clients.len() - 1
    }

    /// A client's side of the room's channel of this name. The channel keeps as many messages as a server's does by
    /// default. All clients of the pair are in it from the next [`sync`](Self::sync) on.
    ///
    /// # Panics
    /// If there is no client of this index, or the channel has messages of another type.
    pub fn channel<T>(&mut self, index: usize, name: &str) -> PairChannel<T>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        self.expect(index);
        let key = format!("channel {name}");
        let channel = self.besides.entry(key).or_insert_with(|| Box::new(Channel::<T>::new(name)));
        let channel: &mut dyn Any = &mut **channel;
        let channel = channel.downcast_mut::<Channel<T>>();
        let channel = channel.unwrap_or_else(|| panic!("the channel `{name}` has messages of another type"));
        let users = self.clients.iter().map(|client| client.0.borrow().name.clone());
        channel.side(index, users)
    }

    /// A client enters the room's presence as `user`, showing `data`: from now on the others see it after the next
    /// [`sync`](Self::sync), and it sees them. What it shows is not throttled.
    ///
    /// # Errors
    /// The user or the data has no JSON form.
    ///
    /// # Panics
    /// If there is no client of this index, if it is present already, or if others are with other types.
    pub fn presence<U, D>(
        &mut self,
        index: usize,
        user: U,
        data: D,
        options: PresenceOptions,
    ) -> Result<PairPresence<U, D>, PresenceError>
    where
        U: Serialize + DeserializeOwned + Send + Sync + 'static,
        D: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        self.expect(index);
        let presence =
            self.besides.entry("presence".to_owned()).or_insert_with(|| Box::new(Presence::<U, D>::new()));
        let presence: &mut dyn Any = &mut **presence;
        let presence =
            presence.downcast_mut::<Presence<U, D>>().expect("all are present with the same types");
        let client = self.clients[index].0.borrow();
        presence.enter(index, client.name.clone(), (user, data), options, client.now)
    }

    fn expect(&self, index: usize) {
        let count = self.clients.len();
        assert!(index < count, "the pair has {count} clients, and none of index {index}");
    }

    /// The same room with rules, which decide about each client's change as `RoomHooks::on_change` does on a server. An
    /// error refuses the change. Replaces earlier rules; call it before anything is written.
    ///
    /// # Panics
    /// If something was written already.
    #[must_use]
    pub fn on_change(
        self,
        on_change: impl Fn(&ProposedChange<'_, S>) -> Result<Verdict<S>, String> + Send + Sync + 'static,
    ) -> Self {
        {
            let room = &mut *self.room.borrow_mut();
            assert!(room.authority.head() == 0, "a pair is given its rules before anything is written");
            let decide = move |change: &ProposedChange<'_, S>| {
                on_change(change).map_err(|message| Reject::new(Code::Invalid, message))
            };
            let decide: Arc<OnChange<S>> = Arc::new(decide);
            let state = Typed::new(room.initial.clone()).with_on_change(decide);
            room.authority = new_room(room.authority.room().clone(), Box::new(state));
        }
        for client in &self.clients {
            // The sessions were those of the room without the rules.
            client.0.borrow_mut().session = None;
            client.disconnect();
            client.connect();
        }
        let mut pair = self;
        pair.deliver();
        pair
    }

    /// The same room with rules that accept a change or refuse it: a function of the state before the change, the state
    /// after it and its author. As [`on_change`](Self::on_change).
    ///
    /// # Panics
    /// As [`on_change`](Self::on_change).
    #[must_use]
    pub fn rules<E: fmt::Display>(
        self,
        rules: impl Fn(&S, &S, &Author) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        self.on_change(move |change| match rules(change.before, change.after, change.author) {
            Ok(()) => Ok(Verdict::Accept),
            Err(error) => Err(error.to_string()),
        })
    }

    /// The same room with the server's own hooks, of which `on_change` is called. The others are given a server's room,
    /// which a pair does not have: test them with a server. As [`on_change`](Self::on_change).
    ///
    /// # Panics
    /// As [`on_change`](Self::on_change).
    #[cfg(feature = "server")]
    #[must_use]
    pub fn hooks(self, hooks: impl crate::server::RoomHooks<S>) -> Self {
        self.on_change(move |change| hooks.on_change(change))
    }

    /// The handle of a client. It has the same accessors as the handle that `client.room("..").state(..)` gives a program.
    ///
    /// # Panics
    /// If there is no client of this index.
    #[must_use]
    pub fn client(&self, index: usize) -> S::Handle<PairClient<S>> {
        self.expect(index);
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
        self.expect(index);
        let rights: Arc<dyn Permissions> = Arc::new(Held(roles.iter().copied().collect()));
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
            let client = &mut *client.0.borrow_mut();
            client.replica.flush(client.now);
        }
        self.deliver();
    }

    /// Moves the time: sends the writes that a debounce or throttle has kept back for long enough by then, each at its
    /// own time, and delivers everything that is on its way.
    ///
    /// # Panics
    /// As [`sync`](Self::sync).
    pub fn advance(&mut self, by: Duration) {
        let end = self.room.borrow().now + by;
        while let Some(next) = self.next_deadline().filter(|next| *next <= end) {
            self.set_time(next);
        }
        self.set_time(end);
    }

    /// When the next write is due that a debounce or throttle keeps back.
    fn next_deadline(&self) -> Option<Duration> {
        self.clients.iter().filter_map(|client| client.0.borrow().replica.deadline()).min()
    }

    fn set_time(&mut self, now: Duration) {
        self.room.borrow_mut().now = now;
        for client in &self.clients {
            let client = &mut *client.0.borrow_mut();
            client.now = now;
            client.replica.tick(now);
        }
        self.deliver();
    }

    /// The time since the pair was made, which only [`advance`](Self::advance) moves.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.room.borrow().now
    }

    fn deliver(&mut self) {
        while self.clients.iter().fold(false, |moved, client| self.exchange(client) | moved) {}
        let of = |client: &PairClient<S>| {
            let client = client.0.borrow();
            Connection { connected: client.connected, lost: client.lost }
        };
        let connections: Vec<Connection> = self.clients.iter().map(of).collect();
        let now = self.now();
        self.besides.values_mut().for_each(|beside| beside.deliver(&connections, now));
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

fn new_room(address: Arc<str>, state: Box<dyn RoomState>) -> Authority<Tube> {
    Authority::new(address, 1, state, Arc::new(Limits::default()))
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

impl<S: SharedState> fmt::Debug for PairServer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairServer").field("type", &S::NAME).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "derive"))]
mod tests;
