//! A room and its users without sockets or time: the real authority and real replicas, and frames that arrive
//! when the test says so.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use shared_state::Backend;
use shared_state::Rejected;
use shared_state::SharedState;
use shared_state::WriteError;
use shared_state::proto::authority::{Authority, Dialect, RoomState, SessionId, Submitted, Typed, Untyped};
use shared_state::proto::replica::{Event, Read, Replica, ReplicaConfig, Transaction, WriteId};
use shared_state::proto::{
    ClientId, ClientMessage, Code, Envelope, Frame, JoinRequest, Limits, Reject, ServerMessage,
};

use crate::Tube;

/// A room whose store completes everything at once.
pub struct World<S: SharedState> {
    authority: Authority<Tube>,
    limits: Arc<Limits>,
    initial: S,
    users: Vec<User<S>>,
    typed: bool,
    stored: usize,
    refuses: bool,
}

/// A user in the room. Clones are the same user.
pub struct User<S: SharedState>(Rc<RefCell<Inner<S>>>);

struct Inner<S: SharedState> {
    name: ClientId,
    replica: Replica<S>,
    down: Tube,
    session: Option<SessionId>,
    online: bool,
    received: usize,
    sent: usize,
}

impl<S: SharedState> Clone for User<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: SharedState> Backend<S> for User<S> {
    type Receipt = WriteId;
    type Error = WriteError;

    fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(self.0.borrow().replica.state())
    }

    fn write_with(&self, decide: impl FnOnce(&S) -> Vec<S::Update>) -> Result<WriteId, WriteError> {
        let updates = decide(self.0.borrow().replica.state());
        self.0.borrow_mut().replica.write(Duration::ZERO, updates)
    }
}

impl<S: SharedState> User<S> {
    /// The user's handle.
    #[must_use]
    pub fn handle(&self) -> S::Handle<Self> {
        S::Handle::from(self.clone())
    }

    /// The state that the user sees.
    #[must_use]
    pub fn state(&self) -> S {
        self.0.borrow().replica.state().clone()
    }

    /// Disconnects the user; frames in flight are lost.
    pub fn leave(&self) {
        let mut inner = self.0.borrow_mut();
        inner.online = false;
        inner.replica.disconnected();
        inner.down = Tube::default();
    }

    /// Disconnects the user while what they have written is on its way: it was sent and is lost.
    pub fn cut_off(&self) {
        while self.0.borrow_mut().replica.poll_frame().is_some() {}
        self.leave();
    }

    /// Connects the user again.
    pub fn come_back(&self) {
        let mut inner = self.0.borrow_mut();
        if !std::mem::replace(&mut inner.online, true) {
            inner.replica.connected(64);
        }
    }

    /// Runs `body` as a transaction.
    ///
    /// # Panics
    /// If the write fails.
    pub fn transact(&self, body: impl FnOnce(&mut Transaction<S>)) -> WriteId {
        let mut inner = self.0.borrow_mut();
        let mut transaction = Transaction::new(inner.replica.state());
        body(&mut transaction);
        let (updates, reads): (_, Vec<Read>) = transaction.into_parts();
        match inner.replica.write_if_unchanged(Duration::ZERO, updates, reads) {
            Ok(id) => id,
            Err(error) => panic!("{error}"),
        }
    }

    /// Undoes the user's last change; returns whether there was one.
    ///
    /// # Panics
    /// If the write fails.
    pub fn undo(&self) -> bool {
        self.again(Replica::undo)
    }

    /// Redoes the user's last undone change; returns whether there was one.
    ///
    /// # Panics
    /// If the write fails.
    pub fn redo(&self) -> bool {
        self.again(Replica::redo)
    }

    fn again(
        &self,
        step: impl FnOnce(&mut Replica<S>, Duration) -> Result<Option<WriteId>, WriteError>,
    ) -> bool {
        match step(&mut self.0.borrow_mut().replica, Duration::ZERO) {
            Ok(id) => id.is_some(),
            Err(error) => panic!("{error}"),
        }
    }

    /// Groups the writes of `body`, so that they are undone together.
    pub fn group(&self, body: impl FnOnce()) {
        self.0.borrow_mut().replica.begin_group();
        body();
        self.0.borrow_mut().replica.end_group();
    }

    /// Opens a group.
    pub fn begin_group(&self) {
        self.0.borrow_mut().replica.begin_group();
    }

    /// Closes the group.
    pub fn end_group(&self) {
        self.0.borrow_mut().replica.end_group();
    }

    /// Writes several updates as one change.
    ///
    /// # Panics
    /// If the write fails.
    pub fn write_all(&self, updates: Vec<S::Update>) -> WriteId {
        match self.write_with(|_| updates) {
            Ok(id) => id,
            Err(error) => panic!("{error}"),
        }
    }

    /// How many changes of the user wait for their answer.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.0.borrow().replica.pending()
    }

    /// Sends what debounce or throttle delays.
    pub fn flush(&self) {
        self.0.borrow_mut().replica.flush(Duration::ZERO);
    }

    /// The answers since the last call.
    #[must_use]
    pub fn answers(&self) -> Vec<(WriteId, Result<u64, Rejected>)> {
        let mut inner = self.0.borrow_mut();
        std::iter::from_fn(|| inner.replica.poll_answer()).collect()
    }

    /// The events since the last call.
    #[must_use]
    pub fn events(&self) -> Vec<Event<S>> {
        let mut inner = self.0.borrow_mut();
        std::iter::from_fn(|| inner.replica.poll_event()).collect()
    }

    /// The version that the user has confirmed.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.borrow().replica.version()
    }

    /// The bytes of the frames received and sent since the last call.
    #[must_use]
    pub fn traffic(&self) -> (usize, usize) {
        let mut inner = self.0.borrow_mut();
        (std::mem::take(&mut inner.received), std::mem::take(&mut inner.sent))
    }
}

impl<S: SharedState> World<S> {
    /// A room with the initial state `initial`.
    #[must_use]
    pub fn new(initial: S) -> Self {
        let limits = Arc::new(Limits::default());
        let state = Box::new(Typed::new(initial.clone()));
        let authority = Authority::new("room".into(), 7, state, limits.clone());
        Self { authority, limits, initial, users: Vec::new(), typed: true, stored: 0, refuses: false }
    }

    /// As [`new`](Self::new), for a room whose state the server has no type for.
    #[must_use]
    pub fn untyped(initial: S) -> Self {
        let limits = Arc::new(Limits::default());
        let authority = Authority::new("room".into(), 7, Box::new(Untyped::new()), limits.clone());
        Self { authority, limits, initial, users: Vec::new(), typed: false, stored: 0, refuses: false }
    }

    fn fresh(&self) -> Box<dyn RoomState> {
        match self.typed {
            true => Box::new(Typed::new(self.initial.clone())),
            false => Box::new(Untyped::new()),
        }
    }

    /// Adds a user to the room.
    pub fn join(&mut self) -> User<S> {
        let user = self.join_offline_as(self.initial.clone());
        user.come_back();
        self.settle();
        user
    }

    /// Adds a user who has no connection yet and shows `initial` until the room's state arrives.
    pub fn join_offline_as(&mut self, initial: S) -> User<S> {
        self.add(initial, |_| {})
    }

    /// Adds a user to the room whose replica `configure` sets up.
    pub fn join_with(&mut self, configure: impl FnOnce(&mut ReplicaConfig)) -> User<S> {
        let user = self.add(self.initial.clone(), configure);
        user.come_back();
        self.settle();
        user
    }

    fn add(&mut self, initial: S, configure: impl FnOnce(&mut ReplicaConfig)) -> User<S> {
        let name = format!("user-{}----------", self.users.len());
        // With a pause of zero, every write is undone separately.
        let mut config = ReplicaConfig::default();
        config.undo_pause = Duration::ZERO;
        config.writer = 1000 + self.users.len() as u64;
        configure(&mut config);
        let replica = Replica::new(Arc::from("room"), initial, config);
        let user = User(Rc::new(RefCell::new(Inner {
            name: ClientId::from(&*name),
            replica,
            down: Tube::default(),
            session: None,
            online: false,
            received: 0,
            sent: 0,
        })));
        self.users.push(user.clone());
        user
    }

    /// A connection that writes without a replica, as a client of somebody else's does. It is lost when the
    /// room is closed.
    ///
    /// # Panics
    /// If the room does not let it in.
    pub fn connect(&mut self, name: &str) -> SessionId {
        let joined = self.authority.join(name.into(), Dialect::V1, &JoinRequest::default(), Tube::default());
        joined.expect("nothing is declared")
    }

    /// Submits a change of such a connection; returns whether it was accepted. `updates` is a JSON array.
    ///
    /// # Panics
    /// If that is no change.
    pub fn submit(&mut self, session: SessionId, seq: u64, updates: &str) -> bool {
        let frame = format!(
            r#"{{"type":"state:change","room":"room","payload":{{"seq":{seq},"base":0,"updates":{updates}}}}}"#
        );
        let envelope = Envelope::read(&frame).map_err(|error| error.to_string());
        let envelope = envelope.unwrap_or_else(|error| panic!("{error}"));
        let Ok(ClientMessage::Change(change)) = ClientMessage::read(&envelope) else { panic!("{frame}") };
        let Submitted::Accepted(append) = self.authority.submit(session, &change) else { return false };
        self.stored += append.entry.len();
        self.authority.committed(append.version);
        true
    }

    /// Writes as the server's program.
    ///
    /// # Panics
    /// If the write is refused.
    pub fn write(&mut self, updates: &str) {
        match self.authority.submit_server(updates) {
            Ok(append) => self.authority.committed(append.version),
            Err(reject) => panic!("{reject}"),
        }
    }

    /// The server's state.
    #[must_use]
    pub fn state(&self) -> S {
        let state = self.authority.state().as_any().downcast_ref::<Typed<S>>();
        state.map_or_else(|| self.initial.clone(), |state| state.get().clone())
    }

    /// Closes the room and opens it again from a snapshot; returns the snapshot's size in bytes.
    ///
    /// # Panics
    /// If the room does not open.
    pub fn restart(&mut self) -> usize {
        for user in &self.users {
            user.leave();
            user.0.borrow_mut().session = None;
        }
        let (version, bytes) = self.authority.snapshot();
        let state = self.fresh();
        let opened =
            Authority::load("room".into(), 7, state, self.limits.clone(), Some((version, &bytes)), []);
        match opened {
            Ok(authority) => self.authority = authority,
            Err(error) => panic!("{error}"),
        }
        bytes.len()
    }

    /// The size of the log's entries so far, in bytes.
    #[must_use]
    pub const fn stored(&self) -> usize {
        self.stored
    }

    /// The size of a snapshot, in bytes.
    pub fn snapshot(&mut self) -> usize {
        self.authority.snapshot().1.len()
    }

    /// A user of the room, by the order in which they joined.
    #[must_use]
    pub fn user(&self, index: usize) -> User<S> {
        self.users[index].clone()
    }

    /// The room refuses the next change of a client.
    pub const fn refuse_next(&mut self) {
        self.refuses = true;
    }

    /// Delivers the frames of one user, and none to them.
    pub fn send(&mut self, user: &User<S>) {
        loop {
            let next = user.0.borrow_mut().replica.poll_frame();
            let Some(frame) = next else { break };
            self.take(user, &frame);
        }
    }

    /// Delivers frames until no user has anything to send.
    ///
    /// # Panics
    /// If a user receives a message that does not fit its replica.
    pub fn deliver(&mut self) {
        let users = self.users.clone();
        let mut moved = true;
        while moved {
            moved = false;
            for user in &users {
                moved |= self.exchange(user);
            }
        }
    }

    /// Delivers frames until no user has anything to send, and checks that all users see the same state.
    ///
    /// # Panics
    /// If a user receives a message that does not fit its replica, or users differ.
    pub fn settle(&mut self) {
        self.deliver();
        let mut online = self.users.iter().filter(|user| user.0.borrow().online);
        if self.typed {
            assert!(
                online.all(|user| S::diff(&user.state(), &self.state()).is_empty()),
                "somebody sees another state"
            );
        } else if let Some(first) = online.next() {
            assert!(
                online.all(|user| S::diff(&user.state(), &first.state()).is_empty()),
                "two see different states"
            );
        }
    }

    /// Delivers the frames of one user, and then the frames to this user; returns whether there were any. The
    /// user's reply is not delivered yet.
    ///
    /// # Panics
    /// If the user receives a message that does not fit its replica.
    pub fn exchange(&mut self, user: &User<S>) -> bool {
        let mut moved = false;
        if !user.0.borrow().online {
            let session = user.0.borrow_mut().session.take();
            return session.is_some_and(|session| self.authority.leave(session).is_none());
        }
        loop {
            let next = user.0.borrow_mut().replica.poll_frame();
            let Some(frame) = next else { break };
            moved = true;
            user.0.borrow_mut().sent += frame.len();
            self.take(user, &frame);
        }
        loop {
            let next = user.0.borrow().down.pop();
            let Some(frame) = next else { return moved };
            moved = true;
            let mut inner = user.0.borrow_mut();
            inner.received += frame.len();
            match ServerMessage::of(&frame) {
                Ok(ServerMessage::Room(_, message) | ServerMessage::Numbered(_, message)) => {
                    if let Err(violation) = inner.replica.receive(message) {
                        panic!("{violation}: {frame:?}");
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn take(&mut self, user: &User<S>, frame: &Frame) {
        let envelope = Envelope::read(frame.as_str()).map_err(|error| error.to_string());
        let envelope = envelope.unwrap_or_else(|error| panic!("{error}"));
        match ClientMessage::read(&envelope) {
            Ok(ClientMessage::Join(request)) => {
                let (name, down, old) = {
                    let mut inner = user.0.borrow_mut();
                    (inner.name.clone(), inner.down.clone(), inner.session.take())
                };
                if let Some(old) = old {
                    self.authority.leave(old);
                }
                let session = self.authority.join(name, Dialect::V1, &request, down);
                user.0.borrow_mut().session = Some(session.expect("nothing is declared"));
            }
            Ok(ClientMessage::Change(change)) => {
                let session = user.0.borrow().session;
                if let Some(session) = session.filter(|_| std::mem::take(&mut self.refuses)) {
                    let reject = Reject::new(Code::Invalid, "the test says so");
                    return self.authority.refuse(session, change.seq, reject);
                }
                if let Some(session) = session
                    && let Submitted::Accepted(append) = self.authority.submit(session, &change)
                {
                    self.stored += append.entry.len();
                    self.authority.committed(append.version);
                }
            }
            other => panic!("{other:?}"),
        }
    }
}
