//! Which client owns which Yjs client id.
//!
//! An id belongs to the client that first used it, and an edit of another client under it is refused. So nobody can write
//! into what another has typed, or use up the ids of another. At most 16,384 ids are known in a room, and at most 256 of
//! one client; beyond that, the id that was first used longest ago is forgotten.

use std::collections::{HashMap, VecDeque};

use crate::authority::state::room_state::Writer;
use crate::core::{Code, Reject};
use crate::proto::ClientId;

const MAX_WRITERS: usize = 16_384;
const MAX_OF_ONE: usize = 256;

/// Below it, numbers are the server's own.
const FIRST_WRITER: u64 = 16;

#[derive(Clone, Debug, Default)]
pub(super) struct TextClientIds {
    owners: HashMap<u64, ClientId>,
    order: VecDeque<u64>,
    counts: HashMap<ClientId, usize>,
}

impl TextClientIds {
    /// Checks that whoever writes may do so under these numbers.
    pub(super) fn check(&self, claims: &[u64], by: Writer<'_>) -> Result<(), Reject> {
        let Writer::Client(author) = by else { return Ok(()) };
        for claim in claims {
            if *claim < FIRST_WRITER {
                let message =
                    format!("the client ids below {FIRST_WRITER} are the server's: draw another at random");
                return Err(Reject::new(Code::Invalid, message));
            }
            if self.owners.get(claim).is_some_and(|owner| **owner != *author.name()) {
                let message = format!("the client id {claim} is another client's: draw another at random");
                return Err(Reject::new(Code::Invalid, message));
            }
        }
        Ok(())
    }

    /// Notes that a client used these numbers.
    pub(super) fn bind(&mut self, claims: &[u64], client: &str) {
        for claim in claims.iter().filter(|claim| **claim >= FIRST_WRITER) {
            if self.owners.contains_key(claim) {
                continue;
            }
            let client = ClientId::from(client);
            let count = self.counts.entry(client.clone()).or_default();
            *count += 1;
            let first_of_client = (*count > MAX_OF_ONE)
                .then(|| self.order.iter().position(|known| self.owners.get(known) == Some(&client)))
                .flatten();
            self.owners.insert(*claim, client);
            self.order.push_back(*claim);
            if let Some(at) = first_of_client {
                self.forget(at);
            }
            if self.order.len() > MAX_WRITERS {
                self.forget(0);
            }
        }
    }

    fn forget(&mut self, at: usize) {
        let Some(owner) = self.order.remove(at).and_then(|claim| self.owners.remove(&claim)) else { return };
        if let Some(count) = self.counts.get_mut(&owner) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&owner);
            }
        }
    }

    pub(super) fn stored(&self) -> Vec<(u64, String)> {
        let owner = |claim: &u64| Some((*claim, self.owners.get(claim)?.to_string()));
        self.order.iter().filter_map(owner).collect()
    }

    pub(super) fn restored(stored: Vec<(u64, String)>) -> Self {
        let mut writers = Self::default();
        for (claim, client) in stored {
            writers.bind(&[claim], &client);
        }
        writers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::source::{ChangeSource, SessionId};

    #[test]
    fn a_number_stays_with_the_client_that_first_used_it_within_the_bounds() {
        let mut writers = TextClientIds::default();
        let author = |name: &str| ChangeSource::Legacy { session: SessionId::default(), client: name.into() };
        let may = |writers: &TextClientIds, claim, name: &str| {
            writers.check(&[claim], Writer::Client(&author(name))).is_ok()
        };
        writers.bind(&[100, 101], "alice");
        assert!(may(&writers, 100, "alice") && !may(&writers, 100, "bob") && may(&writers, 102, "bob"));
        assert!(!may(&writers, 1, "alice"), "the server's");
        let claims: Vec<u64> = (1_000..1_000 + MAX_OF_ONE as u64).collect();
        writers.bind(&claims, "alice");
        assert!(may(&writers, 100, "bob") && may(&writers, 101, "bob") && !may(&writers, 1_000, "bob"));
        for client in 0..MAX_WRITERS as u64 {
            writers.bind(&[10_000 + client], &client.to_string());
        }
        assert!(may(&writers, 1_000, "bob"));
        assert_eq!(writers.order.len(), MAX_WRITERS);
        assert_eq!(TextClientIds::restored(writers.stored()).owners, writers.owners);
        assert_eq!(writers.counts.values().sum::<usize>(), MAX_WRITERS);
    }
}
