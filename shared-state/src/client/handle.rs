//! The handles of a client and of a room.

use std::sync::Arc;

use crate::client::block::block_on;
use crate::client::builder::Settings;
use crate::client::core::{Core, Guard};
use crate::client::room::{Member, Shared};
use crate::client::{
    ClientBuilder, Feed, Handle, Missed, RawMessage, Reason, State, Status, Unsent, feed, lock,
};
use crate::protocol::{Limits, Secret, check_room_name, split_address};
use crate::replica::Replica;
use crate::state::SharedState;

/// A connection to a server that lasts: it is made again for ever when it breaks. Cheap to clone; every clone is the
/// same client.
#[derive(Clone)]
pub struct Client {
    guard: Arc<Guard>,
}

impl Client {
    /// Configures a client of the server at this URL, `ws://…` or `wss://…`.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url.into())
    }

    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { guard: Arc::new(Guard(core)) }
    }

    fn core(&self) -> &Arc<Core> {
        &self.guard.0
    }

    /// The room of this name. It is joined when its state is asked for.
    #[must_use]
    pub fn room(&self, name: impl Into<Arc<str>>) -> Room {
        Room { guard: self.guard.clone(), name: name.into() }
    }

    /// How the connection is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.core().status.borrow().clone()
    }

    /// How the connection is now, and each time that changes. If it is read too slowly it skips to the latest. Ends
    /// after [`Status::Disconnected`]; does not keep the client alive.
    pub fn statuses(&self) -> Feed<Status> {
        let last = |status: &Status| matches!(status, Status::Disconnected { .. });
        feed::latest(self.core().status.subscribe(), |status| Some(status.clone()), last)
    }

    /// The client's public name: what others see as the author of its changes. `None` before the server has said it.
    #[must_use]
    pub fn id(&self) -> Option<Arc<str>> {
        lock(&self.core().public).clone()
    }

    /// The messages of this type as they come from the server, known to the library or not, from now on. Those that
    /// are not taken in time are dropped, oldest first, 256 are kept; then `Err` says how many. Ends with the client.
    ///
    /// Most changes and acknowledgements come in [brief](ClientBuilder::brief) frames, which have no type.
    pub fn on(&self, kind: &str) -> Feed<Result<RawMessage, Missed>> {
        let messages = self.core().listeners.listen(kind);
        feed::broadcast(messages, self.guard.clone(), Ok, |count| Err(Missed(count)))
    }

    /// Ends the client: takes no more writes, sends on what is kept back by debounce or throttle, waits until
    /// everything is answered, as long as [`linger`](ClientBuilder::linger) says, leaves the rooms and closes the
    /// connection. Says what could not be delivered; its receipts resolve to
    /// [`Code::Closed`](crate::protocol::Code::Closed).
    ///
    /// Every handle of the client is of use for reading only from then on. Closing begins when the future is first
    /// polled, and goes on if it is then dropped; each call of several gets the same answer.
    pub async fn close(&self) -> Unsent {
        let mut unsent = self.core().unsent.subscribe();
        self.core().close();
        // Fails only if the sender is gone, which this handle holds.
        let end = unsent.wait_for(Option::is_some).await;
        end.ok().and_then(|unsent| unsent.clone()).unwrap_or_default()
    }

    /// [`close`](Self::close) for plain threads: blocks until the client has ended. Never call it in async code.
    #[must_use = "says what could not be delivered"]
    pub fn close_blocking(&self) -> Unsent {
        block_on(self.close())
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// Why a room has no state of the type that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// This client has the room with another type.
    #[error("room `{room}` is a `{held}` for this client, and cannot be a `{asked}` as well")]
    OtherType {
        /// The room.
        room: Arc<str>,
        /// The type it has.
        held: &'static str,
        /// The type that was asked for.
        asked: &'static str,
    },
    /// No room can have this name.
    #[error("no room can be called {name:?}: a name has 1 to 128 bytes and no control characters")]
    Name {
        /// The name.
        name: Arc<str>,
    },
    /// The client has ended.
    #[error("room `{room}` cannot be opened: {reason}")]
    Ended {
        /// The room.
        room: Arc<str>,
        /// Why it has.
        reason: Reason,
    },
}

/// A room of a client, by its name.
#[derive(Clone)]
pub struct Room {
    pub(super) guard: Arc<Guard>,
    pub(super) name: Arc<str>,
}

impl Room {
    /// The room's name.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Joins the room with this password from now on, its state, channels and presence alike: of this client, not of this
    /// handle. What was refused because it had [the wrong one](crate::protocol::Code::WrongPassword) is asked for
    /// [again](Self::ask_again).
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use shared_state::{SharedState, client::Client};
    /// # #[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
    /// # struct Document { title: String }
    /// # fn open(client: &Client) {
    /// let document = client.room("private-1").password("open sesame").state(Document::default());
    /// # }
    /// ```
    #[must_use = "the room is joined when its state, a channel or its presence is asked for"]
    pub fn password(self, password: impl Into<Box<str>>) -> Self {
        let (room, password) = (split_address(&self.name).0, Secret::from(password));
        let held = {
            let mut rooms = lock(&self.guard.0.rooms);
            let mut held = false;
            for (_, member) in rooms.members.iter().filter(|(address, _)| split_address(address).0 == room) {
                member.set_password(&password);
                held = true;
            }
            if let Some(attendee) = rooms.attendees.get(room) {
                attendee.set_password(&password);
                held = true;
            }
            rooms.passwords.insert(room.into(), password);
            held
        };
        if held {
            self.ask_again();
        }
        self
    }

    /// Asks the server again for what this client holds of the room and was not let into: because it had the wrong
    /// password, because the room was [full](crate::protocol::Code::RoomFull) or
    /// [closed](crate::protocol::Code::RoomClosed), or because it was forbidden. It does not ask again by itself before
    /// there is a new connection. Nothing happens if there is nothing of the kind.
    pub fn ask_again(&self) {
        let core = &self.guard.0;
        lock(&core.rooms).again.insert(split_address(&self.name).0.into());
        core.signal.wake.notify_one();
    }

    /// The room's state, live: it shows `initial` until the room's state comes. A client has one replica of a room;
    /// asked again, this gives another handle of it, and `initial` is not looked at.
    ///
    /// If there can be no such state, see [`StateError`], the error is logged and the handle is a closed one: it
    /// shows `initial`, and refuses every write with [`WriteError::Closed`](crate::WriteError::Closed). Use
    /// [`try_state`](Self::try_state) where that can happen, above all where two parts of a program may disagree on a
    /// room's type.
    pub fn state<S: SharedState>(&self, initial: S) -> Handle<S> {
        // Kept for a handle that is closed from the beginning.
        let copy = initial.clone();
        self.try_state(initial).unwrap_or_else(|error| {
            tracing::error!(%error, "a state that nobody shares");
            let shared = self.shared(copy);
            let reason = match error {
                StateError::Ended { reason, .. } => reason,
                _ => Reason::Closed,
            };
            shared.end(&reason);
            State::new(shared, self.guard.clone()).into()
        })
    }

    /// [`state`](Self::state), for those who want to know.
    ///
    /// # Errors
    /// The client has the room with another type, the name is not one a room can have, or the client has ended.
    pub fn try_state<S: SharedState>(&self, initial: S) -> Result<Handle<S>, StateError> {
        let name = &self.name;
        let (room, channel) = split_address(name);
        let mut parts = std::iter::once(room).chain(channel);
        if !parts.all(|part| check_room_name(part, Limits::default().room_name)) {
            return Err(StateError::Name { name: name.clone() });
        }
        let core = &self.guard.0;
        let mut rooms = lock(&core.rooms);
        if rooms.ended || core.is_closing() {
            drop(rooms);
            let reason = match &*core.status.borrow() {
                Status::Disconnected { reason } => reason.clone(),
                _ => Reason::Closed,
            };
            return Err(StateError::Ended { room: name.clone(), reason });
        }
        let shared = match rooms.members.get(name) {
            Some(member) => match member.clone().into_any().downcast::<Shared<S>>() {
                Ok(shared) => shared,
                Err(_) => {
                    let held = member.state_name();
                    return Err(StateError::OtherType { room: name.clone(), held, asked: S::NAME });
                }
            },
            None => {
                let shared = self.shared(initial);
                rooms.passwords.get(room).inspect(|password| shared.set_password(password));
                rooms.members.insert(name.clone(), shared.clone());
                rooms.generation += 1;
                shared
            }
        };
        // Under the lock: the task leaves a room only if it finds none.
        let state = State::new(shared, self.guard.clone());
        drop(rooms);
        core.signal.wake.notify_one();
        Ok(state.into())
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.guard.0.settings
    }

    /// What has this address, a channel's say.
    pub(super) fn of(&self, address: String) -> Self {
        Self { guard: self.guard.clone(), name: address.into() }
    }

    fn shared<S: SharedState>(&self, initial: S) -> Arc<Shared<S>> {
        let core = &self.guard.0;
        let mut config = core.settings.replica;
        if config.writer == 0
            && let Ok(random) = getrandom::u64()
        {
            // Of those that JavaScript can count to, one that is not the server's.
            config.writer = (random >> 11).max(1 << 20);
        }
        config.info = split_address(&self.name).1.is_none();
        let replica = Replica::new(self.name.clone(), initial, config);
        Arc::new(Shared::new(replica, core.signal.clone(), core.settings.events))
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Room").field(&self.name).finish()
    }
}
