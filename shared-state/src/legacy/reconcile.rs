//! Infers from the versions of a legacy client's writes which of the changes sent to it it has accepted, and which
//! fields must be sent to it again.
//!
//! A legacy client increments its version with each of its writes, and accepts an update only if the update's version
//! is greater than its own. It therefore ignores an update that was in flight while its own version passed the
//! update's. An update that it does accept may overwrite a later write of the client in its own copy. The client
//! reports neither, but each of its writes has its version. Let `p` and `w` be the versions of two consecutive writes
//! over one connection:
//!
//! - If `w` is `p + 1`, the client accepted nothing between the writes. It has ignored or will ignore every update sent
//!   to it with a version up to `w`.
//! - If `w` is greater, the client accepted an update between the writes, and with it every update with a version below
//!   `w`. It has ignored or will ignore an update with version `w`, if there is one.
//! - The client accepts an update with a version above `w` later, unless its own version passes it first. If that
//!   update sets a field that the write sets too, it hides the write from its author.
//!
//! A field that was ignored or hidden is *outdated*. It is sent again with the room's current value and a version that
//! the client accepts, and that frame is tracked like every other.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::proto::legacy::MAX_VERSION;

/// How far above a client's last known version the next version is chosen, where the client's version may have grown:
/// this many of its writes may be in flight.
const LEAD: u64 = 1024;

/// The greatest number of fields that are tracked one by one. Beyond it, they are tracked like a full state.
const MAX_FIELDS: usize = 1024;

/// Makes the versions that legacy clients are sent: the time in microseconds, and greater than every version before.
///
/// The room's versions cannot be used: a client accepts nothing with a version below its own, and its version may have
/// grown over many connections and restarts of the server. It grows more slowly than the time in microseconds.
#[derive(Debug, Default)]
pub(crate) struct LegacyClock {
    now: u64,
    last: u64,
}

impl LegacyClock {
    /// Sets the time to `now`, in milliseconds since 1970.
    pub(crate) fn set_time(&mut self, now: u64) {
        self.now = self.now.max(now.saturating_mul(1000)).min(MAX_VERSION / 2);
    }

    /// The next version.
    pub(crate) fn tick(&mut self) -> u64 {
        self.last = self.now.max(self.last + 1).min(MAX_VERSION);
        self.last
    }

    /// The next version for a client whose own version is not known.
    fn leap(&mut self) -> u64 {
        self.last = (self.now.max(self.last) + LEAD).min(MAX_VERSION);
        self.last
    }
}

/// What a client must be sent again.
#[derive(Debug, Default)]
pub(crate) struct Outdated {
    pub(crate) fields: BTreeSet<Arc<str>>,
    /// Whether the full state must be sent.
    pub(crate) whole: bool,
}

impl Outdated {
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && !self.whole
    }
}

/// What is known about one legacy client.
#[derive(Debug, Default)]
pub(crate) struct Reconcile {
    /// The client's version in its last write.
    counted: u64,
    /// The version of the last frame sent to the client.
    sent: u64,
    /// The fields sent to the client of which it is not known whether it accepted or ignored them, each with the
    /// version that it was last sent with.
    open: BTreeMap<Arc<str>, u64>,
    /// The same for full states: the first and the last version.
    whole: Option<(u64, u64)>,
    /// The fields that the client wrote in changes that are not durable yet, each with the room's version.
    own: BTreeMap<Arc<str>, u64>,
    outdated: Outdated,
}

impl Reconcile {
    /// Notes that the client writes `fields`, and that its own version is `claim` now.
    ///
    /// Without a claim, or if it is so high that no version can be above it, nothing is inferred.
    pub(crate) fn wrote<'f>(
        &mut self,
        claim: Option<u64>,
        fields: impl Iterator<Item = &'f Arc<str>> + Clone,
    ) {
        let Some(version) = claim.filter(|claim| *claim <= MAX_VERSION - LEAD) else { return };
        let took = version > self.counted + 1;
        let own: HashSet<&Arc<str>> =
            if self.open.is_empty() { HashSet::new() } else { fields.clone().collect() };
        let outdated = &mut self.outdated;
        self.open.retain(|field, sent| {
            // A field that the client writes itself needs no older value.
            let ignored = *sent == version || *sent < version && !took;
            if ignored && !own.contains(field) {
                outdated.fields.insert(field.clone());
            }
            *sent > version
        });
        if let Some((first, last)) = self.whole {
            if first == version || first < version && (!took || last >= version) {
                outdated.whole = true;
            }
            self.whole = (last > version).then_some((first.max(version + 1), last));
        }
        let whole = self.whole.is_some();
        for field in fields {
            if whole || self.open.contains_key(field) {
                outdated.fields.insert(field.clone());
            }
        }
        self.counted = version;
    }

    /// Notes that the client's write of these fields was accepted as this version of the room, which is not durable
    /// yet.
    pub(crate) fn accepted<'f>(&mut self, version: u64, fields: impl Iterator<Item = &'f Arc<str>>) {
        for field in fields {
            self.own.insert(field.clone(), version);
        }
    }

    /// Notes that the client's value of this field differs from the room's.
    pub(crate) fn mark_outdated(&mut self, field: Arc<str>) {
        self.outdated.fields.insert(field);
    }

    /// Notes that only the full state can replace what the client has.
    pub(crate) fn mark_all_outdated(&mut self) {
        self.outdated.whole = true;
    }

    /// Takes what is outdated. The caller sends it.
    pub(crate) fn take_outdated(&mut self) -> Outdated {
        std::mem::take(&mut self.outdated)
    }

    pub(crate) fn is_outdated(&self) -> bool {
        !self.outdated.is_empty()
    }

    /// The store has every change up to this version of the room.
    pub(crate) fn durable(&mut self, version: u64) {
        self.own.retain(|_, own| *own > version);
    }

    /// The version for a frame that other legacy clients are sent with version `shared`.
    pub(crate) fn next(&self, shared: u64) -> u64 {
        let next = shared.max(self.sent + 1);
        match self.counted + LEAD {
            // The client is ahead of the clock, and may have more writes in flight.
            ahead if self.counted >= next => ahead.min(MAX_VERSION),
            _ => next.min(MAX_VERSION),
        }
    }

    /// The version for a frame that only this client is sent: its outdated fields, or a state that it asked for.
    pub(crate) fn leap(&self, clock: &mut LegacyClock) -> u64 {
        self.next(clock.leap()).max((self.counted + LEAD).min(MAX_VERSION))
    }

    /// Notes that the client is sent these fields with version `sent`. Their values are those of the room's version
    /// `version`.
    pub(crate) fn sent<'f>(&mut self, sent: u64, version: u64, fields: impl Iterator<Item = &'f Arc<str>>) {
        self.sent = sent;
        for field in fields {
            if self.own.get(field).is_some_and(|own| *own > version) {
                self.outdated.fields.insert(field.clone());
            }
            self.open.insert(field.clone(), sent);
        }
        if self.open.len() > MAX_FIELDS {
            let open = std::mem::take(&mut self.open);
            let first = open.into_values().min().unwrap_or(sent);
            self.whole = Some((self.whole.map_or(first, |(whole, _)| whole.min(first)), sent));
        }
    }

    /// Notes that the client is sent the full state with version `sent`. The state is that of the room's version
    /// `version`.
    pub(crate) fn sent_all(&mut self, sent: u64, version: u64) {
        self.sent = sent;
        self.open.clear();
        self.whole = Some((sent, sent));
        let hidden = self.own.iter().filter(|(_, own)| **own > version);
        self.outdated.fields.extend(hidden.map(|(field, _)| field.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(at: usize) -> Arc<str> {
        format!("field-{at}").into()
    }

    /// A client at version 5,000 that is then sent `count` fields, each with the next version.
    fn sent(count: usize) -> Reconcile {
        let mut reconcile = Reconcile::default();
        reconcile.wrote(Some(5000), [].iter());
        for (sent, at) in (5001..).zip(0..count) {
            reconcile.sent(sent, 1, [field(at)].iter());
            assert!(reconcile.open.len() <= MAX_FIELDS, "{}", reconcile.open.len());
        }
        reconcile
    }

    fn last(count: usize) -> u64 {
        5000 + count as u64
    }

    #[test]
    fn up_to_the_bound_each_field_is_followed() {
        let mut reconcile = sent(MAX_FIELDS);
        assert!(reconcile.whole.is_none() && reconcile.open.len() == MAX_FIELDS);
        // It counts by itself past the first three, and the fourth will hide what it writes.
        for version in 5001..=5003 {
            reconcile.wrote(Some(version), [field(3)].iter());
        }
        let outdated = reconcile.take_outdated();
        assert_eq!(outdated.fields.into_iter().collect::<Vec<_>>(), (0..4).map(field).collect::<Vec<_>>());
        assert!(!outdated.whole);
        // It accepts the rest.
        reconcile.wrote(Some(last(MAX_FIELDS) + 1), [field(3)].iter());
        assert!(!reconcile.is_outdated() && reconcile.open.is_empty());
    }

    #[test]
    fn g9_beyond_the_bound_fields_are_followed_as_one_state() {
        let count = MAX_FIELDS + 1;
        let flooded = || {
            let reconcile = sent(count);
            assert_eq!((reconcile.open.len(), reconcile.whole), (0, Some((5001, last(count)))));
            reconcile
        };
        // Whatever of it is ignored, all of it is outdated.
        for version in [5001, 5002, last(count)] {
            let mut reconcile = flooded();
            reconcile.wrote(Some(version), [field(0)].iter());
            assert!(reconcile.take_outdated().whole, "{version}");
        }
        // All of it is accepted.
        let mut reconcile = flooded();
        reconcile.wrote(Some(last(count) + 1), [field(0)].iter());
        assert!(!reconcile.is_outdated() && reconcile.whole.is_none());
        // It is above what the client has counted: it hides what the client writes, any field.
        let mut reconcile = Reconcile::default();
        reconcile.wrote(Some(4000), [].iter());
        (0..count).zip(5001..).for_each(|(at, sent)| reconcile.sent(sent, 1, [field(at)].iter()));
        reconcile.wrote(Some(4001), ["another".into()].iter());
        let outdated = reconcile.take_outdated();
        assert_eq!(
            (outdated.fields.into_iter().collect::<Vec<_>>(), outdated.whole),
            (vec!["another".into()], false)
        );
        assert_eq!(reconcile.whole, Some((5001, last(count))));
    }

    #[test]
    fn g9_what_follows_a_flood_is_followed_beside_it() {
        let count = MAX_FIELDS + 1;
        let mut reconcile = sent(count);
        reconcile.sent(last(count) + 1, 1, ["late".into()].iter());
        assert_eq!(reconcile.open.len(), 1);
        // A second flood is one with the first, which begins where that began.
        (0..count).zip(last(count) + 2..).for_each(|(at, sent)| reconcile.sent(sent, 1, [field(at)].iter()));
        assert!(reconcile.open.len() <= MAX_FIELDS);
        assert_eq!(reconcile.whole.map(|(first, _)| first), Some(5001));
        // What it is sent of everything ends all that.
        reconcile.sent_all(9000, 1);
        assert_eq!((reconcile.open.len(), reconcile.whole), (0, Some((9000, 9000))));
    }
}
