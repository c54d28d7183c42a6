//! Which client owns which Yjs client id.
//!
//! An id belongs to the client that first used it, and an edit by another client under that id is refused. A client
//! thus cannot write into another client's text or use up its ids. A room stores at most 16,384 ids, and at most 256
//! of one client; beyond that, the id that was first used the longest time ago is forgotten.

use std::collections::{HashMap, VecDeque};

use crate::authority::state::room_state::Writer;
use crate::core::{Code, Reject};
use crate::proto::ClientId;

const MAX_IDS: usize = 16_384;
const MAX_IDS_PER_CLIENT: usize = 256;

/// The smallest id of a client. The ids below are the server's.
const FIRST_CLIENT_ID: u64 = 16;

/// The owners of the Yjs client ids in a room.
#[derive(Clone, Debug, Default)]
pub(super) struct TextClientIds {
    owners: HashMap<u64, ClientId>,
    /// The ids in the order of their first use.
    order: VecDeque<u64>,
    /// The number of ids of each client.
    counts: HashMap<ClientId, usize>,
}

impl TextClientIds {
    /// Checks that the writer may use these ids.
    pub(super) fn check(&self, claims: &[u64], by: Writer<'_>) -> Result<(), Reject> {
        let Writer::Client(author, ..) = by else { return Ok(()) };
        for claim in claims {
            if *claim < FIRST_CLIENT_ID {
                let message = format!(
                    "the client ids below {FIRST_CLIENT_ID} are the server's: draw another at random"
                );
                return Err(Reject::new(Code::Invalid, message));
            }
            if self.owners.get(claim).is_some_and(|owner| **owner != *author.name()) {
                let message = format!("the client id {claim} is another client's: draw another at random");
                return Err(Reject::new(Code::Invalid, message));
            }
        }
        Ok(())
    }

    /// Gives the ids that have no owner to a client.
    pub(super) fn bind(&mut self, claims: &[u64], client: &str) {
        for claim in claims.iter().filter(|claim| **claim >= FIRST_CLIENT_ID) {
            if self.owners.contains_key(claim) {
                continue;
            }
            let client = ClientId::from(client);
            let count = self.counts.entry(client.clone()).or_default();
            *count += 1;
            let first_of_client = (*count > MAX_IDS_PER_CLIENT)
                .then(|| self.order.iter().position(|known| self.owners.get(known) == Some(&client)))
                .flatten();
            self.owners.insert(*claim, client);
            self.order.push_back(*claim);
            if let Some(at) = first_of_client {
                self.forget(at);
            }
            if self.order.len() > MAX_IDS {
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
        let mut ids = Self::default();
        for (claim, client) in stored {
            ids.bind(&[claim], &client);
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::source::{ChangeSource, SessionId};
    use crate::authority::state::WriteCheck;

    #[test]
    fn a_number_stays_with_the_client_that_first_used_it_within_the_bounds() {
        let mut ids = TextClientIds::default();
        let author = |name: &str| ChangeSource::Legacy { session: SessionId::default(), client: name.into() };
        let may = |ids: &TextClientIds, claim, name: &str| {
            ids.check(&[claim], Writer::Client(&author(name), None, WriteCheck::NONE)).is_ok()
        };
        ids.bind(&[100, 101], "alice");
        assert!(may(&ids, 100, "alice") && !may(&ids, 100, "bob") && may(&ids, 102, "bob"));
        assert!(!may(&ids, 1, "alice"), "the server's");
        let claims: Vec<u64> = (1_000..1_000 + MAX_IDS_PER_CLIENT as u64).collect();
        ids.bind(&claims, "alice");
        assert!(may(&ids, 100, "bob") && may(&ids, 101, "bob") && !may(&ids, 1_000, "bob"));
        for client in 0..MAX_IDS as u64 {
            ids.bind(&[10_000 + client], &client.to_string());
        }
        assert!(may(&ids, 1_000, "bob"));
        assert_eq!(ids.order.len(), MAX_IDS);
        assert_eq!(TextClientIds::restored(ids.stored()).owners, ids.owners);
        assert_eq!(ids.counts.values().sum::<usize>(), MAX_IDS);
    }
}
