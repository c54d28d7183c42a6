//! The simulated server: the real authority on a disk that takes its time and survives crashes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::authority::{
    Authority, LogEntry, OnChange, Outbox, Permissions, ProposedChange, RoomState, SessionId, Submitted,
    Typed, Verdict,
};
use crate::core::{Invalid, SharedState};
use crate::proto::Dialect;
use crate::proto::{ClientId, ClientMessage, Envelope, Frame, Limits};
use crate::testing::app::App;
use crate::testing::model::{Amended, Model};

/// One direction of a connection, seen by the authority as a bounded queue.
#[derive(Clone)]
pub(super) struct Tube(Rc<RefCell<Inner>>);

struct Inner {
    frames: VecDeque<Frame>,
    capacity: usize,
    refused: bool,
}

impl Tube {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Rc::new(RefCell::new(Inner { frames: VecDeque::new(), capacity, refused: false })))
    }

    pub(super) fn pop(&self) -> Option<Frame> {
        self.0.borrow_mut().frames.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().frames.is_empty()
    }

    /// Whether frames were refused and there is room again now.
    fn drained(&self) -> bool {
        let mut inner = self.0.borrow_mut();
        inner.frames.is_empty() && std::mem::take(&mut inner.refused)
    }
}

impl Outbox for Tube {
    fn push(&mut self, frame: &Frame) -> bool {
        let mut inner = self.0.borrow_mut();
        if inner.frames.len() >= inner.capacity {
            inner.refused = true;
            return false;
        }
        inner.frames.push_back(frame.clone());
        true
    }
}

/// What a crash leaves.
struct Disk {
    epoch: u64,
    snapshot: Option<(u64, Bytes)>,
    entries: Vec<(u64, Bytes)>,
}

pub(super) struct Server<S: SharedState> {
    initial: S,
    limits: Arc<Limits>,
    authority: Authority<Tube>,
    disk: Disk,
    appending: VecDeque<(LogEntry, Amended)>,
    pub(super) model: Model<S>,
    app: App<S>,
    /// What the app's rules made of the last change.
    amended: Arc<Mutex<Amended>>,
}

/// The state of a room with the app's rules, whose verdicts are noted.
fn with_rules<S: SharedState>(initial: S, app: &App<S>, amended: &Arc<Mutex<Amended>>) -> Box<Typed<S>> {
    let state = Typed::new(initial);
    let Some(on_change) = app.on_change.clone() else { return Box::new(state) };
    let amended = amended.clone();
    let noted = move |change: &ProposedChange<'_, S>| {
        let verdict = on_change(change)?;
        *amended.lock().unwrap_or_else(PoisonError::into_inner) = match &verdict {
            Verdict::Accept => Amended::Accepted,
            Verdict::Add(more) if more.is_empty() => Amended::Accepted,
            Verdict::Add(_) => Amended::Extended,
            Verdict::Replace(_) => Amended::Replaced,
        };
        Ok(verdict)
    };
    let noted: Arc<OnChange<S>> = Arc::new(noted);
    Box::new(state.with_on_change(noted))
}

impl<S: SharedState> Server<S> {
    pub(super) fn new(initial: S, limits: Limits, epoch: u64, app: App<S>) -> Self {
        let (limits, amended) = (Arc::new(limits), Arc::default());
        let state = with_rules(initial.clone(), &app, &amended);
        Self {
            authority: Authority::new("room".into(), epoch, state, limits.clone()),
            disk: Disk { epoch, snapshot: None, entries: Vec::new() },
            appending: VecDeque::new(),
            model: Model::new(initial.clone()),
            limits,
            app,
            amended,
            initial,
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.disk.epoch
    }

    /// A frame of `client`, who has these rights, over the connection whose session is `session`.
    pub(super) fn receive(
        &mut self,
        client: &str,
        rights: Option<Arc<dyn Permissions>>,
        session: &mut Option<SessionId>,
        tube: &Tube,
        frame: &Frame,
    ) -> Result<(), String> {
        let envelope = Envelope::read(frame.as_str()).map_err(|error| error.to_string())?;
        match ClientMessage::read(&envelope) {
            Ok(ClientMessage::Join(request)) => {
                if let Some(session) = session.take() {
                    self.authority.leave(session);
                }
                let client = ClientId::from(client);
                let joined = self.authority.join_with(client, Dialect::V1, &request, rights, tube.clone());
                *session = Some(joined.map_err(|violation| violation.to_string())?);
            }
            Ok(ClientMessage::Change(change)) => {
                let Some(session) = *session else { return Ok(()) };
                *self.amended.lock().unwrap_or_else(PoisonError::into_inner) = Amended::Accepted;
                if let Submitted::Accepted(append) = self.authority.submit(session, &change) {
                    let amended = *self.amended.lock().unwrap_or_else(PoisonError::into_inner);
                    self.appending.push_back((append, amended));
                }
            }
            Ok(_) | Err(_) => {}
        }
        Ok(())
    }

    /// The connection of this session is gone.
    pub(super) fn leave(&mut self, session: SessionId) {
        self.authority.leave(session);
    }

    /// The rights of a session change.
    pub(super) fn grant(&mut self, session: SessionId, rights: Option<Arc<dyn Permissions>>) {
        self.authority.grant(session, rights);
    }

    /// The reader of this session's queue has taken a frame.
    pub(super) fn taken(&mut self, session: Option<SessionId>, tube: &Tube) {
        if let Some(session) = session
            && tube.drained()
        {
            self.authority.drained(session);
        }
    }

    /// The state at the head.
    pub(super) fn state(&self) -> S {
        let state = self.authority.state().as_any().downcast_ref::<Typed<S>>();
        state.map_or_else(|| self.initial.clone(), |state| state.get().clone())
    }

    /// The server's own program writes.
    pub(super) fn write(&mut self, update: &S::Update) {
        let Ok(encoded) = crate::core::encode_update::<S>(update) else { return };
        if let Ok(append) = self.authority.submit_server(&format!("[{}]", encoded.as_str())) {
            self.appending.push_back((append, Amended::Accepted));
        }
    }

    pub(super) fn is_appending(&self) -> bool {
        !self.appending.is_empty()
    }

    /// The disk finishes the next append.
    pub(super) fn finish_append(&mut self) -> Result<(), String> {
        if let Some(version) = self.make_durable()? {
            self.authority.committed(version);
        }
        Ok(())
    }

    fn make_durable(&mut self) -> Result<Option<u64>, String> {
        let Some((LogEntry { version, entry }, amended)) = self.appending.pop_front() else {
            return Ok(None);
        };
        self.model.append(&entry, amended)?;
        if self.model.version() != version {
            return Err(format!("G1: version {version} is the log's entry {}", self.model.version()));
        }
        self.check_state(version)?;
        self.disk.entries.push((version, entry));
        Ok(Some(version))
    }

    /// G8: what the store has is valid, and no client wrote what only the server may. And the app's invariants hold.
    fn check_state(&self, version: u64) -> Result<(), String> {
        let state = self.model.state()?;
        self.check_rules(&state).map_err(|invalid| format!("G8: version {version} is invalid: {invalid}"))?;
        let logged = &self.model.log[self.model.log.len() - 1];
        let is_clients = logged.client.is_some() && logged.amended == Amended::Accepted;
        for update in logged.updates.iter().filter(|_| is_clients) {
            let wire = update.to_string();
            let decoded = serde_json::from_str(&wire)
                .map_err(|error| error.to_string())
                .and_then(|wire| crate::core::decode_update::<S>(&wire).map_err(|error| error.to_string()))?;
            if S::read_only(&decoded) {
                return Err(format!("G8: a client wrote a read-only field in version {version}: {update}"));
            }
        }
        self.app.check(&state, version)
    }

    /// Checks the rules of a state. If that which the room began with breaks them, as an empty form does, what nobody has
    /// changed may stay as it was.
    fn check_rules(&self, state: &S) -> Result<(), Invalid> {
        if self.initial.validate().is_ok() {
            return state.validate();
        }
        S::diff(&self.initial, state).iter().try_for_each(|changed| state.check(changed))?;
        if S::HAS_RULE { state.check_rule() } else { Ok(()) }
    }

    /// The state that the room begins with reads back from its JSON, and the app's invariants hold of it.
    pub(super) fn check_initial(&self) -> Result<(), String> {
        let read = Typed::new(self.initial.clone()).check_initial();
        read.map_err(|reject| format!("the initial state does not read back: {reject}"))?;
        self.app.check(&self.initial, 0)
    }

    /// Stores a snapshot and drops the entries it covers, if the disk has everything it holds.
    pub(super) fn compact(&mut self) {
        if self.appending.is_empty() {
            let (version, bytes) = self.authority.snapshot();
            self.disk.snapshot = Some((version, bytes));
            self.disk.entries.retain(|(entry, _)| *entry > version);
        }
    }

    /// The process dies; of what was on its way to the disk, `arrived` entries had arrived. Then it starts
    /// again.
    pub(super) fn crash(&mut self, arrived: usize) -> Result<(), String> {
        for _ in 0..arrived.min(self.appending.len()) {
            self.make_durable()?;
        }
        self.appending.clear();
        self.authority = Authority::load(
            "room".into(),
            self.disk.epoch,
            with_rules(self.initial.clone(), &self.app, &self.amended),
            self.limits.clone(),
            self.disk.snapshot.as_ref().map(|(version, bytes)| (*version, &bytes[..])),
            self.disk.entries.iter().map(|(version, bytes)| (*version, &bytes[..])),
        )
        .map_err(|error| error.to_string())?;
        if self.authority.head() != self.model.version() {
            let (found, expected) = (self.authority.head(), self.model.version());
            return Err(format!("G2: the room came back at version {found}, not {expected}"));
        }
        Ok(())
    }

    /// The disk is lost and replaced: the room begins a new history.
    pub(super) fn lose_disk(&mut self, epoch: u64) {
        *self = Self::new(self.initial.clone(), (*self.limits).clone(), epoch, self.app.clone());
    }
}
