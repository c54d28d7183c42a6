//! Which version last changed which entry, the part of a [`Versions`] that lists, maps and sets have.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::core::FieldInfo;
use crate::core::Key;
use crate::core::Versions;
use crate::core::versions::{Segment, StoredVersions, is_zero};

/// The limit of entries whose last change is known. Beyond it the entry that was changed longest ago is
/// forgotten.
pub(crate) const MAX_CHANGED: usize = 16_384;

/// The limit of removed entries that are remembered. Beyond it the entry that was removed longest ago is
/// forgotten.
pub(crate) const MAX_REMOVED: usize = 4_096;

/// The versions that inserted, moved, changed and removed entries, as far back as the limits reach.
///
/// At most 16,384 changed and 4,096 removed entries are remembered. A client that is further behind is sent
/// the whole value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryVersions {
    changed: HashMap<Key, EntryVersion>,
    by_change: BTreeSet<(u64, Key)>,
    removed: HashMap<Key, Removed>,
    by_removal: BTreeSet<(u64, Key)>,
    /// Events up to this version may have been forgotten.
    horizon: u64,
}

/// The versions that inserted, moved and changed an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryVersion {
    inserted: u64,
    moved: u64,
    last: u64,
    versions: Versions,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Removed {
    version: u64,
    /// The entry to its left when it was removed.
    left: Option<Key>,
}

impl EntryVersion {
    /// The version that inserted the entry; 0 if the entry came with the whole value.
    #[must_use]
    pub const fn inserted(&self) -> u64 {
        self.inserted
    }

    /// The version that last moved the entry; 0 if none did.
    #[must_use]
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// The version that last gave the entry its place; 0 if the entry came with the whole value and was not
    /// moved since.
    #[must_use]
    pub fn placed(&self) -> u64 {
        self.inserted.max(self.moved)
    }

    /// The versions that changed the entry's value and its parts.
    #[must_use]
    pub const fn versions(&self) -> &Versions {
        &self.versions
    }
}

impl EntryVersions {
    /// Records that an entry was inserted.
    pub fn inserted(&mut self, key: &str, version: u64) {
        let entry = self.at(key, version);
        *entry = EntryVersion { inserted: version, moved: 0, last: version, versions: Versions::default() };
    }

    /// Records that an entry was moved.
    pub fn moved(&mut self, key: &str, version: u64) {
        self.at(key, version).moved = version;
    }

    /// Records that an entry was changed, and returns its versions so that the caller can record what changed
    /// inside it.
    pub fn edited(&mut self, key: &str, version: u64) -> &mut Versions {
        &mut self.at(key, version).versions
    }

    /// Records that an entry was removed. `left` is the entry to the left of it.
    pub fn removed(&mut self, key: &str, version: u64, left: Option<&str>) {
        if let Some((known, entry)) = self.changed.remove_entry(key) {
            self.by_change.remove(&(entry.last, known));
        }
        let key = Key::from(key);
        let removed = Removed { version, left: left.map(Key::from) };
        if let Some(earlier) = self.removed.insert(key.clone(), removed) {
            self.by_removal.remove(&(earlier.version, key.clone()));
        }
        self.by_removal.insert((version, key));
        if self.by_removal.len() > MAX_REMOVED
            && let Some((version, key)) = self.by_removal.pop_first()
        {
            self.removed.remove(&key);
            self.horizon = self.horizon.max(version);
        }
    }

    /// The record of an entry, which counts as changed at `version`. Forgets the oldest record beyond the limit.
    fn at(&mut self, key: &str, version: u64) -> &mut EntryVersion {
        let key = Key::from(key);
        let last = self.changed.get(&key).map_or(0, |entry| entry.last);
        if last != version {
            self.by_change.remove(&(last, key.clone()));
            self.by_change.insert((version, key.clone()));
            if self.by_change.len() > MAX_CHANGED
                && let Some((version, key)) = self.by_change.pop_first()
            {
                self.changed.remove(&key);
                self.horizon = self.horizon.max(version);
            }
        }
        let entry = self.changed.entry(key).or_default();
        entry.last = version;
        entry
    }

    /// Whether everything that happened after the version `since` is still known.
    #[must_use]
    pub const fn reach(&self, since: u64) -> bool {
        since >= self.horizon
    }

    /// The entries that were removed after the version `since`, oldest removal first. Some may have been
    /// inserted again.
    pub fn removed_since(&self, since: u64) -> impl Iterator<Item = &Key> {
        self.by_removal.range((since + 1, Key::from(""))..).map(|(_, key)| key)
    }

    /// The existing entries that were inserted, moved or changed after the version `since`, oldest change
    /// first.
    pub fn changed_since(&self, since: u64) -> impl Iterator<Item = (&Key, &EntryVersion)> {
        let keys = self.by_change.range((since + 1, Key::from(""))..).map(|(_, key)| key);
        keys.filter_map(|key| Some((key, self.changed.get(key)?)))
    }

    /// The record of an existing entry, if there is one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&EntryVersion> {
        self.changed.get(key)
    }

    /// The entry that was to the left of a removed one. `None` if this entry's removal is not remembered,
    /// `Some(None)` if nothing was to the left of it.
    #[must_use]
    pub fn left_of(&self, key: &str) -> Option<Option<&str>> {
        self.removed.get(key).map(|removed| removed.left.as_ref().map(Key::as_str))
    }

    /// The version that removed an entry for which there is no other record. If the removal is not
    /// remembered, the last version that may be forgotten.
    pub(crate) fn removed_at(&self, key: &str) -> u64 {
        self.removed.get(key).map_or(self.horizon, |removed| removed.version)
    }

    /// Appends the path to the part that is recorded here, if exactly one update was recorded. Returns the
    /// versions of what is inside that part, if the update was to the value of an entry.
    pub(super) fn only_part(&self, part: &mut Vec<Segment>) -> Option<&Versions> {
        if let Some((key, entry)) = self.changed.iter().next() {
            part.push(Segment::Entry(key.clone()));
            if entry.moved > 0 {
                part.push(Segment::Place);
            } else if entry.inserted == 0 {
                part.push(Segment::Value);
                return Some(&entry.versions);
            }
        } else if let Some(key) = self.removed.keys().next() {
            part.push(Segment::Entry(key.clone()));
        }
        None
    }

    /// The last version that is recorded here.
    pub(crate) fn changed(&self) -> u64 {
        let last = |set: &BTreeSet<(u64, Key)>| set.last().map_or(0, |(version, _)| *version);
        last(&self.by_change).max(last(&self.by_removal)).max(self.horizon)
    }

    pub(crate) fn stored(&self, fields: &'static [FieldInfo]) -> StoredEntryVersions {
        let changed = self.by_change.iter().filter_map(|(last, key)| {
            let entry = self.changed.get(key)?;
            Some(StoredEntry {
                k: key.as_str().to_owned(),
                v: *last,
                i: entry.inserted,
                m: entry.moved,
                t: entry.versions.stored(fields),
            })
        });
        let removed = self.by_removal.iter().filter_map(|(version, key)| {
            let left = self.removed.get(key)?.left.as_ref().map(|left| left.as_str().to_owned());
            Some((key.as_str().to_owned(), *version, left))
        });
        StoredEntryVersions { h: self.horizon, c: changed.collect(), r: removed.collect() }
    }

    pub(crate) fn restored(stored: StoredEntryVersions, fields: &'static [FieldInfo]) -> Self {
        let mut entries = Self { horizon: stored.h, ..Self::default() };
        for StoredEntry { k, v, i, m, t } in stored.c {
            let key = Key::from(&*k);
            let entry =
                EntryVersion { inserted: i, moved: m, last: v, versions: Versions::restored(t, fields) };
            entries.by_change.insert((v, key.clone()));
            entries.changed.insert(key, entry);
        }
        for (key, version, left) in stored.r {
            let key = Key::from(&*key);
            entries.by_removal.insert((version, key.clone()));
            entries.removed.insert(key, Removed { version, left: left.as_deref().map(Key::from) });
        }
        entries
    }
}

/// The stored form of [`EntryVersions`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredEntryVersions {
    #[serde(default, skip_serializing_if = "is_zero")]
    h: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    c: Vec<StoredEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    r: Vec<(String, u64, Option<String>)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredEntry {
    k: String,
    v: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    i: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    m: u64,
    #[serde(default)]
    t: StoredVersions,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_at_the_bounds_is_no_longer_in_reach() {
        let mut entries = EntryVersions::default();
        for version in 1..=MAX_REMOVED as u64 {
            entries.removed(&version.to_string(), version, None);
        }
        assert!(entries.reach(0));
        entries.removed("one more", 9_000, Some("left"));
        assert!(!entries.reach(0) && entries.reach(1));
        assert_eq!(entries.removed_since(4_095).count(), 2);
        assert_eq!(entries.left_of("one more"), Some(Some("left")));
        assert_eq!(entries.left_of("1"), None);

        for version in 10_000..10_000 + MAX_CHANGED as u64 {
            entries.edited(&version.to_string(), version).set_whole(version);
        }
        assert!(entries.reach(1));
        entries.inserted("another", 30_000);
        assert!(!entries.reach(9_999) && entries.reach(10_000));
        assert_eq!(entries.changed_since(26_383).count(), 1);
    }

    #[test]
    fn an_entry_that_comes_back_is_known_as_removed_and_as_inserted() {
        let mut entries = EntryVersions::default();
        entries.inserted("a", 1);
        entries.moved("a", 2);
        entries.removed("a", 3, None);
        assert_eq!(entries.changed_since(0).count(), 0);
        entries.inserted("a", 4);
        assert_eq!(entries.removed_since(2).map(Key::as_str).collect::<Vec<_>>(), ["a"]);
        let (_, entry) = entries.changed_since(3).next().expect("there again");
        assert_eq!((entry.inserted(), entry.moved(), entry.placed()), (4, 0, 4));
    }
}
