//! The rooms that one connection is in.
//!
//! A connection enters a room once, for its state, its channels and its presence together. Each of them holds the
//! [`Membership`]; when the last one drops it, the connection has left.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

use crate::core::Code;
use crate::proto::{Secret, Violation};
use crate::server::fanout::queue::Queue;
use crate::server::membership::{Changed, Membership, Requirement, RoomAccessTable};

/// A connection's memberships. Weak, because the sessions keep them alive.
#[derive(Default)]
pub(crate) struct Memberships {
    members: BTreeMap<Arc<str>, Weak<Membership>>,
    /// The client's address, if it is known.
    address: Option<IpAddr>,
}

impl Memberships {
    /// The memberships of a connection from this address.
    pub(crate) const fn of(address: Option<IpAddr>) -> Self {
        Self { members: BTreeMap::new(), address }
    }

    /// The connection's membership in a room, if it is in.
    pub(crate) fn membership(&self, room: &str) -> Option<Arc<Membership>> {
        self.members.get(room)?.upgrade()
    }

    /// Enters a room, unless the connection is in already. `who` is the connection's number and its user.
    ///
    /// # Errors
    /// The room's settings are unavailable, the room is closed or full, or the password is missing, wrong or tried
    /// too often.
    pub(crate) async fn enter(
        &mut self,
        accesses: &RoomAccessTable,
        room: &str,
        who: (u64, Arc<str>),
        password: Option<&Secret>,
        queue: &Arc<Queue>,
    ) -> Result<Arc<Membership>, Violation> {
        if let Some(membership) = self.membership(room) {
            return Ok(membership);
        }
        let password = password.map(Secret::reveal);
        loop {
            let access = accesses.open(room).await?;
            let generation = match access.check_password(password)? {
                Requirement::Open(generation) => generation,
                // A guess counts before it is checked, so that guesses at the same time count, and those of clients
                // that do not wait for the answer.
                _ if !access.take_guess(self.address) => {
                    let message = "too many wrong passwords; try again in a few seconds";
                    return Err(Violation::new(Code::TooOften, message));
                }
                Requirement::Locked(hash, generation)
                    if access.verify_password(hash.clone(), password.unwrap_or_default()).await =>
                {
                    access.give_back_guess(self.address);
                    generation
                }
                Requirement::Wrong | Requirement::Locked(..) => {
                    return Err(Violation::new(Code::WrongPassword, "this is not the room's password"));
                }
            };
            let entered = match access.enter(generation, who.clone(), queue.clone()) {
                Ok(entered) => Arc::new(entered?),
                Err(Changed) => continue,
            };
            self.members.retain(|_, membership| membership.strong_count() > 0);
            self.members.insert(room.into(), Arc::downgrade(&entered));
            return Ok(entered);
        }
    }
}
