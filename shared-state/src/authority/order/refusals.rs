//! How many changes of a user may be refused by a rule that reads what the user may not read.
//!
//! Each answer of such a rule, also a bare yes or no, says something about the hidden values: by enough guesses, a user
//! would find out a reserve price. So a user has a budget of such refusals, and without one, none of the user's changes
//! is decided. A bounded table in memory. Called when a change is decided; the time comes from outside.

use std::collections::HashMap;
use std::sync::Arc;

/// The most refusals at once, and the milliseconds until there may be one more.
const REFUSALS: (u64, u64) = (10, 10_000);

/// The most users whose refusals are counted. At the limit, the one whose budget is whole again first is forgotten.
const MAX_USERS: usize = 4_096;

/// The budgets of a room's users.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// The time, in milliseconds, when each user's budget is whole again.
    whole_at: HashMap<Arc<str>, u64>,
    now: u64,
}

impl Refusals {
    /// Sets the time, in milliseconds. A time before the last one is ignored.
    pub(super) fn set_time(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// Whether one of the user's changes may be refused now.
    pub(super) fn may(&self, user: &str) -> bool {
        let (capacity, interval) = REFUSALS;
        let whole_at = self.whole_at.get(user).copied().unwrap_or(0);
        whole_at.saturating_sub(self.now) <= (capacity - 1) * interval
    }

    /// Counts a refusal.
    pub(super) fn note(&mut self, user: &str) {
        let now = self.now;
        if self.whole_at.len() >= MAX_USERS && !self.whole_at.contains_key(user) {
            self.whole_at.retain(|_, whole_at| *whole_at > now);
            if self.whole_at.len() >= MAX_USERS {
                let first = self.whole_at.iter().min_by_key(|(_, whole_at)| **whole_at);
                let first = first.map(|(user, _)| user.clone());
                first.and_then(|first| self.whole_at.remove(&first));
            }
        }
        let whole_at = self.whole_at.entry(user.into()).or_insert(now);
        *whole_at = (*whole_at).max(now) + REFUSALS.1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g9_g12_refusals_are_limited_by_user_and_time() {
        let mut refusals = Refusals::default();
        refusals.set_time(1_000_000);
        for _ in 0..REFUSALS.0 {
            assert!(refusals.may("eve"));
            refusals.note("eve");
        }
        assert!(!refusals.may("eve") && refusals.may("ann"));
        refusals.set_time(1_000_000 + REFUSALS.1);
        assert!(refusals.may("eve"));
        refusals.note("eve");
        assert!(!refusals.may("eve"));
        for user in 0..2 * MAX_USERS {
            refusals.note(&user.to_string());
        }
        assert!(refusals.whole_at.len() <= MAX_USERS && !refusals.may("eve"));
    }
}
