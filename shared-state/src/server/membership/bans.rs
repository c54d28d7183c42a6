//! The bans of a server: which names may not enter which room, and until when.
//!
//! A bounded table in memory. It checks nothing by itself: [`Access`](crate::server::access::Access) asks it when
//! somebody wants to enter a room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::proto::ClientId;

/// The most records of a server. When it is full, a new record replaces the one that ends first.
const MAX_BANS: usize = 10_000;

/// The bans of a server, and the clock they are measured by.
#[derive(Clone, Debug)]
pub(crate) struct BanList {
    bans: Arc<Mutex<Bans>>,
    start: Instant,
}

impl Default for BanList {
    fn default() -> Self {
        Self { bans: Arc::default(), start: Instant::now() }
    }
}

impl BanList {
    /// A panic under the lock cannot leave the table half changed, so a poisoned lock is still usable.
    fn lock(&self) -> MutexGuard<'_, Bans> {
        self.bans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bans `who` under each of these names.
    pub(crate) fn ban(
        &self,
        room: &str,
        who: &str,
        names: &BTreeSet<ClientId>,
        time: Duration,
        reason: &str,
    ) {
        let mut bans = self.lock();
        names.iter().for_each(|name| bans.add(self.start.elapsed(), room, (who, name), time, reason));
    }

    /// Lifts the ban of `who`. Returns whether there was one.
    pub(crate) fn lift(&self, room: &str, who: &str) -> bool {
        self.lock().lift(self.start.elapsed(), room, who)
    }

    /// Why this name may not enter the room; `None` if it may.
    pub(crate) fn banned(&self, room: &str, who: &str) -> Option<Arc<str>> {
        self.lock().reason(self.start.elapsed(), room, who)
    }
}

/// The bans of all rooms. The caller gives the time, as the duration since some start.
#[derive(Debug, Default)]
pub(crate) struct Bans {
    /// By room, and by the client's public id or the user's id.
    bans: BTreeMap<(Arc<str>, Arc<str>), Ban>,
}

#[derive(Debug)]
struct Ban {
    until: Duration,
    reason: Arc<str>,
    /// The name that the program banned.
    who: Arc<str>,
}

impl Bans {
    /// Bans `who` under `name`, one of the names it has. Costs a walk through the table when it is full.
    pub(crate) fn add(
        &mut self,
        now: Duration,
        room: &str,
        (who, name): (&str, &str),
        time: Duration,
        reason: &str,
    ) {
        if self.bans.len() >= MAX_BANS {
            self.bans.retain(|_, ban| ban.until > now);
        }
        if self.bans.len() >= MAX_BANS {
            let first = self.bans.iter().min_by_key(|(_, ban)| ban.until).map(|(key, _)| key.clone());
            first.and_then(|first| self.bans.remove(&first));
        }
        let ban = Ban { until: now.saturating_add(time), reason: reason.into(), who: who.into() };
        self.bans.insert((room.into(), name.into()), ban);
    }

    /// Removes the bans of `who`, whether it was banned by that name or is one of the banned names. Returns whether
    /// there were any. Costs a walk through the table.
    pub(crate) fn lift(&mut self, now: Duration, room: &str, who: &str) -> bool {
        self.bans.retain(|_, ban| ban.until > now);
        let lasting = self.bans.len();
        self.bans.retain(|(of, name), ban| **of != *room || *ban.who != *who && **name != *who);
        self.bans.len() < lasting
    }

    /// Why this name may not enter the room; `None` if it may. Removes a ban that has ended.
    pub(crate) fn reason(&mut self, now: Duration, room: &str, who: &str) -> Option<Arc<str>> {
        if self.bans.is_empty() {
            return None;
        }
        let key = (room.into(), who.into());
        let ban = self.bans.get(&key)?;
        if ban.until > now {
            return Some(ban.reason.clone());
        }
        self.bans.remove(&key);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_ban_is_of_one_room_and_for_a_time() {
        let mut bans = Bans::default();
        bans.add(SECOND, "a", ("ann", "ann"), SECOND, "why");
        assert_eq!(bans.reason(SECOND, "a", "ann").as_deref(), Some("why"));
        assert_eq!(bans.reason(SECOND, "b", "ann"), None);
        assert_eq!(bans.reason(SECOND, "a", "bob"), None);
        assert_eq!(bans.reason(SECOND * 2, "a", "ann"), None);
        assert!(bans.bans.is_empty());
        for name in ["ann", "0123"] {
            bans.add(SECOND, "a", ("ann", name), Duration::MAX, "why");
        }
        bans.add(SECOND, "b", ("ann", "ann"), Duration::MAX, "why");
        assert!(bans.lift(SECOND, "a", "ann") && !bans.lift(SECOND, "a", "ann"));
        assert_eq!((bans.reason(SECOND, "a", "0123"), bans.bans.len()), (None, 1));
    }

    #[test]
    fn g9_there_are_so_many_and_the_first_to_end_goes() {
        let mut bans = Bans::default();
        for ban in 0..=u32::try_from(MAX_BANS).unwrap_or_default() {
            let name = ban.to_string();
            bans.add(Duration::ZERO, "a", (&name, &name), SECOND * (ban + 1), "why");
        }
        assert_eq!(bans.bans.len(), MAX_BANS);
        assert_eq!(bans.reason(Duration::ZERO, "a", "0"), None);
        assert!(bans.reason(Duration::ZERO, "a", "1").is_some());
    }
}
