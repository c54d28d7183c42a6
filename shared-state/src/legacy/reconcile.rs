//! Infers from the versions of a legacy client's writes which of the changes sent to it it has accepted, and what must be
//! sent to it again.
//!
//! A legacy client counts its own writes and accepts an update only if that has a version greater than its own. So it
//! ignores some of what is on its way to it (it has counted further meanwhile), and some of it hides a later write of the
//! client from the client itself. It reports neither, but its writes have its versions. Let `p` and then `w` be the
//! versions of two writes in a row over one connection:
//!
//! - `w` is `p + 1`: the client has accepted nothing between. It has ignored or will ignore what it was sent with a version
//!   up to `w`.
//! - `w` is more: the client has accepted something between, and so everything with a version below `w`. It has ignored or
//!   will ignore an update with `w` itself, if there is one.
//! - The client accepts an update with a version above `w` later, unless it counts past it: if that update sets a field
//!   that the write sets too, the write will be hidden from its own author.
//!
//! What was ignored or is hidden is *outdated*: it is sent again as the room has it then, with a version that the client
//! accepts, and that frame is followed as every other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::proto::legacy::MAX_VERSION;

/// How far above a client that counts by itself the next version is chosen: so many of its writes may be on their way.
const LEAD: u64 = 1024;

/// The most fields that are followed one by one; beyond, they are followed as if a whole state was sent.
const MAX_FIELDS: usize = 1024;

/// The versions that legacy clients are sent: the time in microseconds, never the same twice.
///
/// They are not the room's, because a client accepts nothing with a version below its own, and nobody knows how far it has
/// counted over how many connections and restarts of the server. It counts slower than the time passes.
#[derive(Debug, Default)]
pub(crate) struct LegacyClock {
    now: u64,
    last: u64,
}

impl LegacyClock {
    /// It is `now`, in milliseconds since 1970.
    pub(crate) fn set_time(&mut self, now: u64) {
        self.now = self.now.max(now.saturating_mul(1000)).min(MAX_VERSION / 2);
    }

    /// The next version.
    pub(crate) fn tick(&mut self) -> u64 {
        self.last = self.now.max(self.last + 1).min(MAX_VERSION);
        self.last
    }

    /// The next version for somebody whose own version is not known.
    fn leap(&mut self) -> u64 {
        self.last = (self.now.max(self.last) + LEAD).min(MAX_VERSION);
        self.last
    }
}

/// What a client must be sent again.
#[derive(Debug, Default)]
pub(crate) struct Outdated {
    pub(crate) fields: BTreeSet<Arc<str>>,
    /// Everything.
    pub(crate) whole: bool,
}

impl Outdated {
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && !self.whole
    }
}

/// What is known of one legacy client.
#[derive(Debug, Default)]
pub(crate) struct Reconcile {
    /// The version of its last write.
    counted: u64,
    /// The version of what it was sent last.
    sent: u64,
    /// Fields that it was sent and has not been seen to have accepted or ignored, each with the last version it was sent
    /// with.
    open: BTreeMap<Arc<str>, u64>,
    /// The same for whole states: the first and the last version.
    whole: Option<(u64, u64)>,
    /// Fields it has written itself in changes on their way to the store, with the room's version.
    own: BTreeMap<Arc<str>, u64>,
    outdated: Outdated,
}

impl Reconcile {
    /// Its client writes `fields`, and says that it has version `claim` now.
    ///
    /// A claim that is none, or too high for anything to be above it, says nothing.
    pub(crate) fn wrote<'f>(
        &mut self,
        claim: Option<u64>,
        fields: impl Iterator<Item = &'f Arc<str>> + Clone,
    ) {
        let Some(version) = claim.filter(|claim| *claim <= MAX_VERSION - LEAD) else { return };
        let took = version > self.counted + 1;
        let outdated = &mut self.outdated;
        self.open.retain(|field, sent| {
            // What it writes itself is newer than what it ignored.
            let ignored = *sent == version || *sent < version && !took;
            if ignored && !fields.clone().any(|own| own == field) {
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

    /// Its write of these fields is on its way to the store, as this version of the room.
    pub(crate) fn accepted<'f>(&mut self, version: u64, fields: impl Iterator<Item = &'f Arc<str>>) {
        for field in fields {
            self.own.insert(field.clone(), version);
        }
    }

    /// It shows something of this field that the room does not have.
    pub(crate) fn mark_outdated(&mut self, field: Arc<str>) {
        self.outdated.fields.insert(field);
    }

    /// It shows something that no field of the room replaces.
    pub(crate) fn mark_all_outdated(&mut self) {
        self.outdated.whole = true;
    }

    /// Takes what is outdated, to be sent.
    pub(crate) fn take_outdated(&mut self) -> Outdated {
        std::mem::take(&mut self.outdated)
    }

    pub(crate) fn is_outdated(&self) -> bool {
        !self.outdated.is_empty()
    }

    /// The store has everything up to this version of the room.
    pub(crate) fn durable(&mut self, version: u64) {
        self.own.retain(|_, own| *own > version);
    }

    /// The version with which it is sent what others are sent with `shared`.
    pub(crate) fn next(&self, shared: u64) -> u64 {
        let next = shared.max(self.sent + 1);
        match self.counted + LEAD {
            // Ahead of the time: nothing is known of how many more it has counted.
            ahead if self.counted >= next => ahead.min(MAX_VERSION),
            _ => next.min(MAX_VERSION),
        }
    }

    /// The version of what it is sent on its own: again, if it is `outdated`, or as an answer.
    pub(crate) fn leap(&self, clock: &mut LegacyClock) -> u64 {
        self.next(clock.leap()).max((self.counted + LEAD).min(MAX_VERSION))
    }

    /// It is sent these fields with version `sent`, as they are in the room's version `version`.
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

    /// It is sent everything with version `sent`, as it is in the room's version `version`.
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
