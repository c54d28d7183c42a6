//! How many wrong passwords an address may give for a room.
//!
//! The budget belongs to the address and the room, so that connecting again gives no new one. A bounded table in
//! memory. Called when somebody gives a password that is not known to be right.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::server::rate_limit::TokenBucket;

/// How many wrong passwords an address may give for a room at once, and the time until it may give one more.
const WRONG_PASSWORDS: (u32, Duration) = (5, Duration::from_secs(2));

/// The most budgets. At the limit, those that are whole again are forgotten, and otherwise the one that is nearest to it.
const MAX_BUDGETS: usize = 10_000;

/// Where guesses come from: an IPv4 address, or the network of an IPv6 address, all of whose 2^64 addresses one
/// customer has; `None`: clients whose address is not known, together.
type Source = Option<IpAddr>;

fn source(address: Source) -> Source {
    let IpAddr::V6(address) = address?.to_canonical() else {
        return address.map(|address| address.to_canonical());
    };
    let network = u128::from(address) >> 64 << 64;
    Some(IpAddr::V6(network.into()))
}

/// The budgets of a server.
#[derive(Debug, Default)]
pub(crate) struct GuessBudgets {
    budgets: Mutex<HashMap<(Source, Arc<str>), TokenBucket>>,
}

impl GuessBudgets {
    /// Takes a guess from a budget; `false` if there is none left.
    pub(crate) fn take(&self, address: Source, room: &Arc<str>, now: Instant) -> bool {
        let key = (source(address), room.clone());
        // A panic under the lock cannot leave the table half changed, so a poisoned lock is still usable.
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        if budgets.len() >= MAX_BUDGETS && !budgets.contains_key(&key) {
            budgets.retain(|_, budget| !budget.is_full(now));
            if budgets.len() >= MAX_BUDGETS {
                let fullest =
                    budgets.iter().max_by_key(|(_, budget)| budget.tokens()).map(|(key, _)| key.clone());
                fullest.and_then(|fullest| budgets.remove(&fullest));
            }
        }
        let (capacity, interval) = WRONG_PASSWORDS;
        budgets.entry(key).or_insert_with(|| TokenBucket::new(capacity, interval)).take(now)
    }

    /// Returns a guess whose password was right.
    pub(crate) fn give_back(&self, address: Source, room: &Arc<str>) {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = budgets.get_mut(&(source(address), room.clone())) {
            budget.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_of_an_address_and_a_room() {
        let (budgets, now) = (GuessBudgets::default(), Instant::now());
        let rooms: [Arc<str>; 2] = ["cave".into(), "grotto".into()];
        let [here, mapped, near, far, v4] =
            ["127.0.0.1", "::ffff:127.0.0.1", "2001:db8::1", "2001:db8::ffff:2", "127.0.0.2"]
                .map(|address| Some(address.parse::<IpAddr>().unwrap()));
        for (one, same) in [(here, mapped), (near, far), (None, None)] {
            for _ in 0..5 {
                assert!(budgets.take(one, &rooms[0], now));
            }
            assert!(!budgets.take(one, &rooms[0], now) && !budgets.take(same, &rooms[0], now));
            assert!(budgets.take(one, &rooms[1], now));
        }
        assert!(budgets.take(v4, &rooms[0], now));
        budgets.give_back(here, &rooms[0]);
        assert!(budgets.take(mapped, &rooms[0], now) && !budgets.take(here, &rooms[0], now));
        assert!(budgets.take(here, &rooms[0], now + Duration::from_secs(3)));
    }

    #[test]
    fn g9_there_are_so_many_and_an_empty_one_stays() {
        let (budgets, now) = (GuessBudgets::default(), Instant::now());
        let room: Arc<str> = "cave".into();
        let address = |number: usize| Some(IpAddr::V4(u32::try_from(number).unwrap_or_default().into()));
        while budgets.take(address(0), &room, now) {}
        for number in 1..2 * MAX_BUDGETS {
            assert!(budgets.take(address(number), &room, now));
        }
        assert!(budgets.budgets.lock().unwrap().len() <= MAX_BUDGETS);
        assert!(!budgets.take(address(0), &room, now), "the one that has guessed most");
    }
}
