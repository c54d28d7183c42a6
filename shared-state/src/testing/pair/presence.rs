//! The presence of a pair's room: the real roster, and a client's view of it for each that is present.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::presence::{
    Peer, PresenceClient, PresenceError, PresenceEvent, PresenceOptions, PresenceOutbox, PresenceSessionId,
    Roster, RosterConfig,
};
use crate::proto::presence::PresenceRequest;
use crate::proto::{ClientId, ClientMessage, Dialect, Envelope, Frame, Limits, ServerMessage};
use crate::testing::pair::{Beside, Connection};

/// Frames on their way to a client.
#[derive(Clone, Default)]
struct Lane(Rc<RefCell<VecDeque<Arc<[Frame]>>>>);

impl PresenceOutbox for Lane {
    fn push(&mut self, frames: &Arc<[Frame]>) -> bool {
        self.0.borrow_mut().push_back(frames.clone());
        true
    }
}

struct Attendee<U, D> {
    name: ClientId,
    client: Rc<RefCell<PresenceClient<U, D>>>,
    lane: Lane,
    session: Option<PresenceSessionId>,
    /// As in [`Connection`], when everything was delivered last.
    connected: bool,
    lost: u64,
}

pub(super) struct Presence<U, D> {
    roster: Roster<Lane>,
    attendees: BTreeMap<usize, Attendee<U, D>>,
    /// How many connections there were.
    connections: u64,
    /// The time when the test last moved it.
    now: Rc<Cell<Duration>>,
}

impl<U, D> Presence<U, D>
where
    U: Serialize + DeserializeOwned + Send + Sync + 'static,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        let config = RosterConfig { interval: Duration::ZERO, ..RosterConfig::from(&Limits::default()) };
        Self {
            roster: Roster::new("room".into(), config),
            attendees: BTreeMap::new(),
            connections: 0,
            now: Rc::default(),
        }
    }

    pub(super) fn enter(
        &mut self,
        index: usize,
        name: ClientId,
        (user, data): (U, D),
        options: PresenceOptions,
        now: Duration,
    ) -> Result<PairPresence<U, D>, PresenceError> {
        assert!(!self.attendees.contains_key(&index), "client {index} is present already");
        let options = options.throttle(Duration::ZERO);
        let client = Rc::new(RefCell::new(PresenceClient::new(now, "room".into(), user, data, options)?));
        let (lane, session) = (Lane::default(), None);
        let attendee = Attendee { name, client: client.clone(), lane, session, connected: false, lost: 0 };
        self.attendees.insert(index, attendee);
        self.now.set(now);
        Ok(PairPresence { client, now: self.now.clone() })
    }
}

impl<U, D> Beside for Presence<U, D>
where
    U: Serialize + DeserializeOwned + Send + Sync + 'static,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn deliver(&mut self, connections: &[Connection], now: Duration) {
        self.now.set(now);
        let Self { roster, attendees, connections: count, now: _ } = self;
        for (index, attendee) in &mut *attendees {
            let Some(Connection { connected, lost }) = connections.get(*index) else { continue };
            if attendee.connected && attendee.lost < *lost {
                attendee.client.borrow_mut().disconnected();
                attendee.session.take().map(|session| roster.leave(session));
                (attendee.connected, attendee.lane) = (false, Lane::default());
            }
            attendee.lost = *lost;
            if *connected && !attendee.connected {
                attendee.client.borrow_mut().connected(attendee.name.clone());
                attendee.connected = true;
                *count += 1;
            }
        }
        loop {
            let mut quiet = true;
            for attendee in attendees.values_mut() {
                quiet &= !attendee.speak(roster, *count, now);
            }
            roster.tick(now);
            for attendee in attendees.values_mut() {
                quiet &= !attendee.listen(now);
            }
            if quiet {
                return;
            }
        }
    }
}

impl<U, D> Attendee<U, D>
where
    U: Serialize + DeserializeOwned,
    D: Serialize + DeserializeOwned,
{
    /// Sends what the client shows; says whether there was anything.
    fn speak(&mut self, roster: &mut Roster<Lane>, connection: u64, now: Duration) -> bool {
        let mut client = self.client.borrow_mut();
        client.tick(now);
        let Some(frame) = client.poll_frame(now) else { return false };
        let envelope = Envelope::read(frame.as_str()).unwrap_or_else(|error| panic!("{error}: {frame:?}"));
        let set = match ClientMessage::read(&envelope) {
            Ok(ClientMessage::Presence(PresenceRequest::Set(set))) => set,
            other => panic!("{other:?}"),
        };
        let taken = match self.session {
            Some(session) => roster.set(now, session, &set),
            None => {
                let who = (self.name.clone(), connection);
                let entered = roster.enter(now, who, Dialect::V1, &set, self.lane.clone());
                entered.map(|session| self.session = Some(session))
            }
        };
        taken.unwrap_or_else(|violation| panic!("{violation}: {frame:?}"));
        true
    }

    /// Takes what the room has sent; says whether there was anything.
    fn listen(&mut self, now: Duration) -> bool {
        let mut heard = false;
        while let Some(frames) = { self.lane.0.borrow_mut().pop_front() } {
            heard = true;
            for frame in frames.iter() {
                match ServerMessage::of(frame) {
                    Ok(ServerMessage::Presence(_, news)) => {
                        let taken = self.client.borrow_mut().receive(now, news);
                        taken.unwrap_or_else(|violation| panic!("{violation}: {frame:?}"));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        heard
    }
}

/// A client's presence, from [`Pair::presence`](super::Pair::presence). Clones are the same presence.
pub struct PairPresence<U, D> {
    client: Rc<RefCell<PresenceClient<U, D>>>,
    now: Rc<Cell<Duration>>,
}

impl<U, D> PairPresence<U, D>
where
    U: Serialize + DeserializeOwned,
    D: Serialize + DeserializeOwned,
{
    /// Shows other data. Counts as input.
    ///
    /// # Errors
    /// The data has no JSON form, or is longer or deeper than the server accepts; nothing was changed.
    pub fn set(&self, data: D) -> Result<(), PresenceError> {
        self.client.borrow_mut().set(self.now.get(), data)
    }

    /// The others as this client sees them, in the order of their ids.
    #[must_use]
    pub fn others(&self) -> Vec<Peer<U, D>> {
        self.client.borrow().others().cloned().collect()
    }

    /// What has changed among the others since the last call.
    #[must_use]
    pub fn events(&self) -> Vec<PresenceEvent<U, D>> {
        std::iter::from_fn(|| self.client.borrow_mut().poll_event()).collect()
    }

    /// Hides this client from the others, or shows it.
    pub fn set_hidden(&self, hidden: bool) {
        self.client.borrow_mut().set_hidden(hidden);
    }

    /// Marks the user as away, whatever their input, or ends that.
    pub fn set_away(&self, away: bool) {
        self.client.borrow_mut().set_away(away);
    }
}

impl<U, D> Clone for PairPresence<U, D> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), now: self.now.clone() }
    }
}

impl<U, D> fmt::Debug for PairPresence<U, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairPresence").finish_non_exhaustive()
    }
}
