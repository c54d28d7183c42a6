//! A room of a client: what of it an app can take part in.

use std::sync::Arc;

use crate::client::task::core::Guard;
use crate::client::task::core::Settings;
use crate::client::task::shared_replica::SharedReplica;
use crate::client::task::slots::AnyReplica;
use crate::client::{DisconnectReason, Handle, State, Status, lock};
use crate::core::SharedState;
use crate::proto::{Limits, Secret, check_room_name, split_address};
use crate::replica::Replica;

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
        reason: DisconnectReason,
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
    /// handle. What was refused because it had [the wrong one](crate::core::Code::WrongPassword) is asked for
    /// [again](Self::retry_join).
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
            if let Some(attendee) = rooms.presences.get(room) {
                attendee.set_password(&password);
                held = true;
            }
            rooms.passwords.insert(room.into(), password);
            held
        };
        if held {
            self.retry_join();
        }
        self
    }

    /// Asks the server again for what this client holds of the room and was not let into: because it had the wrong
    /// password, because the room was [full](crate::core::Code::RoomFull) or
    /// [closed](crate::core::Code::RoomClosed), or because it was forbidden. It does not ask again by itself before
    /// there is a new connection. Nothing happens if there is nothing of the kind.
    pub fn retry_join(&self) {
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
                _ => DisconnectReason::Closed,
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
                _ => DisconnectReason::Closed,
            };
            return Err(StateError::Ended { room: name.clone(), reason });
        }
        let shared = match rooms.members.get(name) {
            Some(member) => match member.clone().into_any().downcast::<SharedReplica<S>>() {
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

    fn shared<S: SharedState>(&self, initial: S) -> Arc<SharedReplica<S>> {
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
        Arc::new(SharedReplica::new(replica, core.signal.clone(), core.settings.events))
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Room").field(&self.name).finish()
    }
}
