//! The rooms that one connection is in.
//!
//! A connection enters a room once, for its state, its channels and its presence together. Each of them holds the
//! [`Membership`]; when the last one drops it, the connection has left.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::core::Code;
use crate::proto::{Secret, Violation};
use crate::server::fanout::queue::Queue;
use crate::server::membership::{Changed, Membership, Requirement, RoomAccessTable};
use crate::server::rate_limit::TokenBucket;

/// How many wrong passwords a connection may try at once, and the time until it may try one more.
const WRONG_PASSWORDS: (u32, Duration) = (5, Duration::from_secs(2));

/// A connection's memberships. Weak, because the sessions keep them alive.
#[derive(Default)]
pub(crate) struct Memberships {
    members: BTreeMap<Arc<str>, Weak<Membership>>,
    /// The bucket that limits wrong passwords; `None` until the first password is checked.
    wrong_passwords: Option<Box<TokenBucket>>,
}

impl Memberships {
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
                Requirement::Locked(hash, generation) => {
                    let bucket = self.wrong_passwords.get_or_insert_with(|| {
                        Box::new(TokenBucket::new(WRONG_PASSWORDS.0, WRONG_PASSWORDS.1))
                    });
                    if !bucket.take(Instant::now()) {
                        let message = "too many wrong passwords; try again in a few seconds";
                        return Err(Violation::new(Code::TooOften, message));
                    }
                    if !access.verify_password(hash, generation, password.unwrap_or_default()).await {
                        return Err(Violation::new(Code::WrongPassword, "this is not the room's password"));
                    }
                    bucket.give_back();
                    generation
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
