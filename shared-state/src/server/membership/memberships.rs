//! The rooms that a connection was let into.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::core::Code;
use crate::proto::{Secret, Violation};
use crate::server::fanout::queue::Queue;
use crate::server::membership::{Changed, Membership, Requirement, RoomAccessTable};
use crate::server::rate_limit::TokenBucket;

/// How many wrong passwords a connection may say at once, and how long until it may say one more.
const WRONG: (u32, Duration) = (5, Duration::from_secs(2));

/// Where a connection is a membership, as long as it holds that.
#[derive(Default)]
pub(crate) struct Memberships {
    members: BTreeMap<Arc<str>, Weak<Membership>>,
    /// What is left of the wrong passwords; `None`: all of it.
    wrong: Option<Box<TokenBucket>>,
}

impl Memberships {
    /// The connection's stay in a room, if it is in.
    pub(crate) fn membership(&self, room: &str) -> Option<Arc<Membership>> {
        self.members.get(room)?.upgrade()
    }

    /// Lets the connection in, if it is not in yet: over this `connection`, as this user.
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
            let house = accesses.open(room).await?;
            let generation = match house.door(password)? {
                Requirement::Open(generation) => generation,
                Requirement::Locked(hash, generation) => {
                    let bucket =
                        self.wrong.get_or_insert_with(|| Box::new(TokenBucket::new(WRONG.0, WRONG.1)));
                    if !bucket.take(Instant::now()) {
                        let message = "too many wrong passwords; try again in a few seconds";
                        return Err(Violation::new(Code::TooOften, message));
                    }
                    if !house.unlocks(hash, generation, password.unwrap_or_default()).await {
                        return Err(Violation::new(Code::WrongPassword, "this is not the room's password"));
                    }
                    bucket.give_back();
                    generation
                }
            };
            let entered = match house.enter(generation, who.clone(), queue.clone()) {
                Ok(entered) => Arc::new(entered?),
                Err(Changed) => continue,
            };
            self.members.retain(|_, membership| membership.strong_count() > 0);
            self.members.insert(room.into(), Arc::downgrade(&entered));
            return Ok(entered);
        }
    }
}
