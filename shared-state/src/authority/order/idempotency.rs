//! The answers that each client was given, so that a repeated change is answered again and not applied again.
//!
//! The table has two bounds. For each client, it stores the last `window` answers: a client has at most that many
//! unanswered changes. For each room, it stores `limit` clients, and more only while they have sessions. Beyond the
//! limit, the absent client whose last accepted change is oldest is forgotten, and the version of that change is stored
//! as `forgotten`. If an unknown client repeats a change that it first sent at a version below `forgotten`, the change
//! may have been applied before the client was forgotten: it is refused as uncertain.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::core::{Code, Reject};
use crate::proto::{ClientId, Outcome, Outcomes};

/// The answers of a room by client.
#[derive(Debug)]
pub(in crate::authority) struct IdempotencyTable {
    entries: HashMap<ClientId, Answered>,
    /// The number of sessions that each client has in the room.
    present: HashMap<ClientId, usize>,
    /// The absent clients as (version of the last accepted change, client), in the order in which they are forgotten.
    by_age: BTreeSet<(u64, ClientId)>,
    limit: usize,
    window: usize,
    forgotten: u64,
}

#[derive(Debug, Default)]
struct Answered {
    /// The value of `forgotten` when the client became known. A change first sent before that version is uncertain.
    since: u64,
    /// The largest sequence number that was decided.
    last: u64,
    /// The version of the last accepted change.
    version: u64,
    /// The last answers, by sequence number.
    outcomes: VecDeque<(u64, Outcome)>,
}

/// What is known about a sequence number.
#[derive(Debug)]
pub(super) enum Recall {
    /// The change was not decided yet.
    New,
    /// The change was decided before.
    Before(Outcome),
    /// The change may have been decided before the client was forgotten.
    Uncertain,
}

impl IdempotencyTable {
    pub(super) fn new(limit: usize, window: usize) -> Self {
        Self {
            entries: HashMap::new(),
            present: HashMap::new(),
            by_age: BTreeSet::new(),
            limit: limit.max(1),
            window: window.max(1),
            forgotten: 0,
        }
    }

    /// A session of this client begins. The client is not forgotten until its last session ends.
    pub(super) fn enter(&mut self, client: &ClientId) {
        *self.present.entry(client.clone()).or_default() += 1;
        if let Some(entry) = self.entries.get(client) {
            self.by_age.remove(&(entry.version, client.clone()));
        }
    }

    /// A session of this client ends.
    pub(super) fn exit(&mut self, client: &ClientId) {
        if let Some(sessions) = self.present.get_mut(client) {
            *sessions -= 1;
            if *sessions > 0 {
                return;
            }
        }
        self.present.remove(client);
        if let Some(entry) = self.entries.get(client) {
            self.by_age.insert((entry.version, client.clone()));
        }
        self.forget();
    }

    fn forget(&mut self) {
        while self.entries.len() > self.limit
            && let Some((version, oldest)) = self.by_age.pop_first()
        {
            self.forgotten = self.forgotten.max(version);
            self.entries.remove(&oldest);
        }
    }

    /// Looks up change `seq` of `client`, which was first sent at version `base`. `again`: the client repeats it.
    pub(super) fn look_up(&self, client: &ClientId, seq: u64, base: u64, again: bool) -> Recall {
        let entry = self.entries.get(client);
        let since = entry.map_or(self.forgotten, |entry| entry.since);
        let Some(entry) = entry.filter(|entry| seq <= entry.last) else {
            return if again && since > base { Recall::Uncertain } else { Recall::New };
        };
        let at = entry.outcomes.partition_point(|(known, _)| *known < seq);
        match entry.outcomes.get(at) {
            Some((known, outcome)) if *known == seq => Recall::Before(outcome.clone()),
            // Older than the stored answers. A client that respects the window never sends this.
            _ if at == 0 && entry.outcomes.len() >= self.window => Recall::Before(Outcome::Rejected(
                Reject::new(Code::Uncertain, "the change is older than the answers that the server stores"),
            )),
            _ if entry.since > base => Recall::Uncertain,
            // It was decided and not accepted: the log and the snapshot have every accepted change.
            _ => Recall::Before(Outcome::Rejected(Reject::new(
                Code::Refused,
                "the change was refused earlier; the reason is no longer known",
            ))),
        }
    }

    /// Whether a version is a change of this client whose answer is stored.
    pub(super) fn has_made(&self, client: &ClientId, version: u64) -> bool {
        let made = |outcome: &Outcome| matches!(outcome, Outcome::Accepted(accepted) if *accepted == version);
        self.entries.get(client).is_some_and(|entry| entry.outcomes.iter().any(|(_, outcome)| made(outcome)))
    }

    /// Stores the answer to a new change.
    pub(super) fn note(&mut self, client: &ClientId, seq: u64, outcome: Outcome) {
        let since = self.forgotten;
        let entry =
            self.entries.entry(client.clone()).or_insert_with(|| Answered { since, ..Answered::default() });
        entry.last = entry.last.max(seq);
        let before = entry.version;
        if let Outcome::Accepted(version) = outcome {
            entry.version = version;
        }
        let after = entry.version;
        entry.outcomes.push_back((seq, outcome));
        if entry.outcomes.len() > self.window {
            entry.outcomes.pop_front();
        }
        if !self.present.contains_key(client) {
            self.by_age.remove(&(before, client.clone()));
            self.by_age.insert((after, client.clone()));
            self.forget();
        }
    }

    /// The answers after sequence number `acked` that are sent with a state of `version`: in order, up to the first
    /// change that was accepted after `version`.
    pub(in crate::authority) fn answers(&self, client: &ClientId, acked: u64, version: u64) -> Outcomes {
        let Some(entry) = self.entries.get(client) else { return Outcomes::default() };
        let start = entry.outcomes.partition_point(|(seq, _)| *seq <= acked);
        let answers: Vec<_> = entry
            .outcomes
            .iter()
            .skip(start)
            .take_while(|(_, outcome)| !matches!(outcome, Outcome::Accepted(later) if *later > version))
            .cloned()
            .collect();
        let complete = start + answers.len() == entry.outcomes.len();
        let last = match answers.last() {
            _ if complete => entry.last,
            Some((seq, _)) => *seq,
            // The first of the answers is for a change that the state does not include.
            None => acked,
        };
        Outcomes { last, since: entry.since, answers }
    }

    /// Every client with its `since`, its last sequence number and its accepted changes as (sequence number, version),
    /// for a snapshot.
    pub(super) fn accepted(&self) -> impl Iterator<Item = (&ClientId, u64, u64, Vec<(u64, u64)>)> {
        self.entries.iter().map(|(client, entry)| {
            let accepted = entry.outcomes.iter().filter_map(|(seq, outcome)| match outcome {
                Outcome::Accepted(version) => Some((*seq, *version)),
                Outcome::Rejected(_) => None,
            });
            (client, entry.since, entry.last, accepted.collect())
        })
    }

    /// The version below which the repeated changes of an unknown client are uncertain.
    pub(super) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Restores `forgotten` from a snapshot.
    pub(super) fn restore_forgotten(&mut self, version: u64) {
        self.forgotten = self.forgotten.max(version);
    }

    /// Restores a client from a snapshot, in one call: a client that was forgotten between two calls would get a later
    /// `since` than it had.
    pub(super) fn restore(&mut self, client: ClientId, since: u64, last: u64, accepted: &[(u64, u64)]) {
        let window = &accepted[accepted.len().saturating_sub(self.window)..];
        let outcomes = window.iter().map(|(seq, version)| (*seq, Outcome::Accepted(*version))).collect();
        let version = window.last().map_or(0, |(_, version)| *version);
        self.by_age.insert((version, client.clone()));
        self.entries.insert(client, Answered { since, last, version, outcomes });
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(table: &IdempotencyTable, client: &ClientId, seq: u64, base: u64) -> Option<u64> {
        match table.look_up(client, seq, base, true) {
            Recall::Before(Outcome::Accepted(version)) => Some(version),
            _ => None,
        }
    }

    #[test]
    fn a_forgotten_clients_old_change_is_uncertain_and_its_new_one_is_not() {
        let mut table = IdempotencyTable::new(2, 4);
        let [a, b, c] = ["a", "b", "c"].map(ClientId::from);
        table.note(&a, 1, Outcome::Accepted(1));
        table.note(&b, 1, Outcome::Accepted(2));
        assert_eq!(accepted(&table, &a, 1, 0), Some(1));
        table.note(&c, 1, Outcome::Accepted(3));
        assert!(matches!(table.look_up(&a, 1, 0, true), Recall::Uncertain));
        assert!(matches!(table.look_up(&a, 2, 1, true), Recall::New));
        assert!(matches!(table.look_up(&a, 2, 0, false), Recall::New));
    }

    #[test]
    fn a_client_in_the_room_is_not_forgotten() {
        let mut table = IdempotencyTable::new(1, 4);
        let [a, b] = ["a", "b"].map(ClientId::from);
        table.enter(&a);
        table.note(&a, 1, Outcome::Accepted(1));
        table.note(&b, 1, Outcome::Accepted(2));
        assert_eq!(accepted(&table, &a, 1, 0), Some(1));
        table.exit(&a);
        table.note(&b, 2, Outcome::Accepted(3));
        assert_eq!(table.entries.len(), 1);
    }

    #[test]
    fn answers_stop_at_what_the_state_does_not_have() {
        let mut table = IdempotencyTable::new(2, 4);
        let a = ClientId::from("a");
        table.note(&a, 1, Outcome::Accepted(5));
        table.note(&a, 2, Outcome::Rejected(Reject::new(Code::Invalid, "")));
        table.note(&a, 3, Outcome::Accepted(7));
        assert_eq!(table.answers(&a, 0, 6).last, 2);
        assert_eq!(table.answers(&a, 0, 6).answers.len(), 2);
        assert_eq!(table.answers(&a, 1, 7).last, 3);
        assert_eq!(table.answers(&a, 0, 4), Outcomes::default());
    }

    #[test]
    fn the_window_bounds_what_is_kept() {
        let mut table = IdempotencyTable::new(2, 4);
        let a = ClientId::from("a");
        for seq in 1..=10 {
            table.note(&a, seq, Outcome::Accepted(seq));
        }
        assert_eq!(accepted(&table, &a, 7, 0), Some(7));
        assert!(matches!(
            table.look_up(&a, 6, 0, true),
            Recall::Before(Outcome::Rejected(Reject { code: Code::Uncertain, .. }))
        ));
    }
}
