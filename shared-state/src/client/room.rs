//! A room of a client: opens its state, channels and presence.

use std::sync::Arc;

use crate::client::task::shared::Guard;
use crate::client::task::shared::Settings;
use crate::client::task::shared_replica::SharedReplica;
use crate::client::task::slots::AnyReplica;
use crate::client::{DisconnectReason, Handle, State, Status, lock};
use crate::core::SharedState;
use crate::proto::{Limits, Secret, check_room_name, split_address};
use crate::replica::Replica;

/// Why a room's state could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// This client has opened the room with another type.
    #[error("this client has room `{room}` open as a `{held}`, so it cannot be opened as a `{asked}`")]
    OtherType {
        /// The room's name.
        room: Arc<str>,
        /// The type with which it is open.
        held: &'static str,
        /// The requested type.
        asked: &'static str,
    },
    /// The name is not valid for a room or a channel.
    #[error("invalid room name {name:?}: expected 1 to 128 bytes without control characters")]
    Name {
        /// The requested name.
        name: Arc<str>,
    },
    /// The client has ended.
    #[error("room `{room}` cannot be opened: {reason}")]
    Ended {
        /// The room's name.
        room: Arc<str>,
        /// Why it has ended.
        reason: DisconnectReason,
    },
}

/// A room, by its name: where its state, channels and presence are opened. Cheap to clone.
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

    /// Sets the password with which this client joins the room: its state, channels and presence, through
    /// every handle. Whatever was refused because of a [wrong password](crate::core::Code::WrongPassword) is
    /// [joined again](Self::retry_join).
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
            for (_, replica) in rooms.replicas.iter().filter(|(address, _)| split_address(address).0 == room)
            {
                replica.set_password(&password);
                held = true;
            }
            if let Some(presence) = rooms.presences.get(room) {
                presence.set_password(&password);
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

    /// Tries again to join what this client has open in the room and was not let into: because of a wrong
    /// password, because the room was [full](crate::core::Code::RoomFull) or
    /// [closed](crate::core::Code::RoomClosed), or because it was forbidden. Otherwise the client tries again
    /// only over a new connection. Does nothing if everything is joined.
    pub fn retry_join(&self) {
        let core = &self.guard.0;
        lock(&core.rooms).to_rejoin.insert(split_address(&self.name).0.into());
        core.signal.rooms_changed();
    }

    /// Opens the room's state. It shows `initial` until the room's state arrives. A client has one replica of
    /// a room; further calls return handles of the same replica and ignore `initial`.
    ///
    /// If the state cannot be opened (see [`StateError`]), the error is logged and the returned handle is
    /// closed: it shows `initial`, and refuses every write with
    /// [`WriteError::Closed`](crate::WriteError::Closed). Use [`try_state`](Self::try_state) where that can
    /// happen, for example where two parts of a program may disagree about a room's type.
    pub fn state<S: SharedState>(&self, initial: S) -> Handle<S> {
        // For a handle that is closed from the start.
        let copy = initial.clone();
        self.try_state(initial).unwrap_or_else(|error| {
            tracing::error!(%error, "the state could not be opened, so its handle is closed");
            let shared = self.shared(copy);
            let reason = match error {
                StateError::Ended { reason, .. } => reason,
                _ => DisconnectReason::Closed,
            };
            shared.end(&reason);
            State::new(shared, self.guard.clone()).into()
        })
    }

    /// As [`state`](Self::state), with an error.
    ///
    /// # Errors
    /// The client has opened the room with another type, the name is not valid for a room, or the client has
    /// ended.
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
        let shared = match rooms.replicas.get(name) {
            Some(replica) => match replica.clone().into_any().downcast::<SharedReplica<S>>() {
                Ok(shared) => shared,
                Err(_) => {
                    let held = replica.state_name();
                    return Err(StateError::OtherType { room: name.clone(), held, asked: S::NAME });
                }
            },
            None => {
                let shared = self.shared(initial);
                rooms.passwords.get(room).inspect(|password| shared.set_password(password));
                rooms.replicas.insert(name.clone(), shared.clone());
                shared
            }
        };
        // The lock is still held, because the task leaves rooms that have no handle.
        let state = State::new(shared, self.guard.clone());
        drop(rooms);
        core.signal.rooms_changed();
        Ok(state.into())
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.guard.0.settings
    }

    /// The room or channel with this address.
    pub(super) fn at_address(&self, address: String) -> Self {
        Self { guard: self.guard.clone(), name: address.into() }
    }

    fn shared<S: SharedState>(&self, initial: S) -> Arc<SharedReplica<S>> {
        let core = &self.guard.0;
        let mut config = core.settings.replica;
        if config.writer == 0
            && let Ok(random) = getrandom::u64()
        {
            // Below 2^53, so that JavaScript can count to it, and above the ids that are reserved.
            config.writer = (random >> 11).max(1 << 20);
        }
        config.info = split_address(&self.name).1.is_none();
        let replica = Replica::new(self.name.clone(), initial, config);
        Arc::new(SharedReplica::new(replica, core.signal.clone(), &core.settings))
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Room").field(&self.name).finish()
    }
}
