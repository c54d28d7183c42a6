//! Which version last changed which part of a state. The server makes deltas from it, and finds out what
//! changed since a transaction read it.

mod edits;
pub(crate) mod entries;

pub use edits::EditLog;
pub use entries::{EntryVersion, EntryVersions};

use serde::{Deserialize, Serialize};

use crate::core::{FieldInfo, FieldPath, FieldPathBuf, Key, PolicyInfo};

/// The versions that last changed a value and, where the policy addresses parts of it, those parts.
///
/// It is a tree that mirrors the paths of updates: a plain field is one node, a nested struct has a node for
/// each inner field, a list or a map one for each entry. A node is made when its part is first changed on its
/// own. The tree never grows beyond the number of fields and the limits of [`EntryVersions`] and [`EditLog`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    changed: u64,
    whole: u64,
    fields: Vec<Versions>,
    entries: Option<Box<EntryVersions>>,
    edits: Option<Box<EditLog>>,
}

/// One step on the path to the part of a value that an update changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Segment {
    /// The field of a struct, by its index.
    Field(usize),
    /// An entry, and whether it exists.
    Entry(Key),
    /// The place of an entry.
    Place,
    /// The value of an entry.
    Value,
}

impl Versions {
    /// The versions of a value that was never changed.
    pub const NONE: &'static Self =
        &Self { changed: 0, whole: 0, fields: Vec::new(), entries: None, edits: None };

    /// The version that last changed the value or a part of it; 0 if none did.
    #[must_use]
    pub const fn changed(&self) -> u64 {
        self.changed
    }

    /// The version that last replaced the value as a whole; 0 if none did.
    #[must_use]
    pub const fn whole(&self) -> u64 {
        self.whole
    }

    /// Records that the value was replaced as a whole. The versions of its parts are no longer needed.
    pub fn set_whole(&mut self, version: u64) {
        *self = Self { changed: version, whole: version, ..Self::default() };
    }

    /// The versions of the field at `index`, for the caller to record a change in. The value itself counts as
    /// changed at `version`.
    pub fn part_mut(&mut self, index: usize, version: u64) -> &mut Self {
        self.changed = version;
        if self.fields.len() <= index {
            self.fields.resize_with(index + 1, Self::default);
        }
        &mut self.fields[index]
    }

    /// The versions of the field at `index`, if that field was ever changed on its own.
    #[must_use]
    pub fn part(&self, index: usize) -> Option<&Self> {
        self.fields.get(index)
    }

    /// The versions of the entries, for the caller to record a change in. The value itself counts as changed
    /// at `version`.
    pub fn entries_mut(&mut self, version: u64) -> &mut EntryVersions {
        self.changed = version;
        self.entries.get_or_insert_default()
    }

    /// The versions of the entries, if an entry was ever changed on its own.
    #[must_use]
    pub fn entries(&self) -> Option<&EntryVersions> {
        self.entries.as_deref()
    }

    /// The versions of an entry, if that entry was ever changed on its own.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Self> {
        self.entries()?.get(key).map(EntryVersion::versions)
    }

    /// The log of edits, for the caller to append to. The value itself counts as changed at `version`.
    pub fn edits_mut(&mut self, version: u64) -> &mut EditLog {
        self.changed = version;
        self.edits.get_or_insert_default()
    }

    /// The log of edits, if there was an edit since the value was last replaced.
    #[must_use]
    pub fn edits(&self) -> Option<&EditLog> {
        self.edits.as_deref()
    }

    /// The version that last changed the value at `path` or a value around it. `fields` are the fields of the
    /// struct that these versions belong to. `None` if there is no such field.
    pub(crate) fn changed_at(&self, fields: &[FieldInfo], mut path: FieldPath<'_>) -> Option<u64> {
        let Some(segment) = path.next_segment() else { return Some(self.changed) };
        let known = |info: &FieldInfo| info.name == segment || info.aliases.contains(&&*segment);
        let index = fields.iter().position(known)?;
        let inside = match self.part(index) {
            Some(part) => part.changed_inside(fields[index].about, path)?,
            None => 0,
        };
        Some(inside.max(self.whole))
    }

    /// The part of the value that is recorded here, if exactly one update was recorded. Empty if that set the
    /// whole value, or was recorded nowhere.
    pub(crate) fn only_part(&self) -> Vec<Segment> {
        let (mut at, mut part) = (self, Vec::new());
        while at.whole == 0 {
            if let Some((index, field)) = at.fields.iter().enumerate().find(|(_, field)| field.changed > 0) {
                part.push(Segment::Field(index));
                at = field;
            } else if let Some(entries) = &at.entries {
                let Some(inside) = entries.only_part(&mut part) else { break };
                at = inside;
            } else {
                break;
            }
        }
        part
    }

    /// The path of a part, of which the place and the value of an entry are the entry.
    pub(crate) fn path_of(mut fields: &'static [FieldInfo], part: &[Segment]) -> FieldPathBuf {
        let mut path = FieldPathBuf::new();
        let mut about: Option<&PolicyInfo> = None;
        for segment in part {
            match segment {
                Segment::Field(index) => {
                    fields = about.and_then(|about| about.fields).map_or(fields, |inner| inner());
                    let Some(info) = fields.get(*index) else { break };
                    path.push(info.name);
                    about = info.about;
                }
                Segment::Entry(key) => {
                    path.push(key.as_str());
                    about = about.and_then(|about| about.entries);
                }
                Segment::Place | Segment::Value => {}
            }
        }
        path
    }

    fn changed_inside(&self, about: Option<&PolicyInfo>, path: FieldPath<'_>) -> Option<u64> {
        let parts = about.map(|about| (about.fields, about.entries));
        if let Some((Some(fields), _)) = parts {
            return self.changed_at(fields(), path);
        }
        let mut rest = path;
        let (Some((_, Some(entries))), Some(key)) = (parts, rest.next_segment()) else {
            return Some(self.changed);
        };
        let inside = match self.entries() {
            None => 0,
            Some(known) => match known.get(&key) {
                Some(entry) => entry.versions().changed_inside(Some(entries), rest)?.max(entry.placed()),
                None => known.removed_at(&key),
            },
        };
        Some(inside.max(self.whole))
    }

    /// The stored form. `fields` are the fields of the struct that these versions belong to.
    pub(crate) fn stored(&self, fields: &'static [FieldInfo]) -> StoredVersions {
        let changed = fields.iter().zip(&self.fields).filter(|(_, part)| part.changed > 0);
        let named = changed.map(|(info, part)| {
            let inner = info.parts.map_or(&[][..], |parts| parts());
            (info.name.to_owned(), part.stored(inner))
        });
        StoredVersions {
            w: self.whole,
            f: named.collect(),
            e: self.entries.as_ref().map(|entries| Box::new(entries.stored(fields))),
            d: self.edits.as_ref().map(|edits| edits.stored()),
        }
    }

    /// The inverse of [`stored`](Self::stored). Fields that no longer exist are left out.
    pub(crate) fn restored(stored: StoredVersions, fields: &'static [FieldInfo]) -> Self {
        let mut versions = Self { changed: stored.w, whole: stored.w, ..Self::default() };
        for (name, part) in stored.f {
            let known = |info: &FieldInfo| info.name == name || info.aliases.contains(&&*name);
            let Some(index) = fields.iter().position(known) else { continue };
            let inner = fields[index].parts.map_or(&[][..], |parts| parts());
            let part = Self::restored(part, inner);
            let changed = versions.changed.max(part.changed);
            *versions.part_mut(index, changed) = part;
        }
        if let Some(entries) = stored.e {
            let entries = EntryVersions::restored(*entries, fields);
            versions.changed = versions.changed.max(entries.changed());
            versions.entries = Some(Box::new(entries));
        }
        if let Some(edits) = stored.d {
            let edits = EditLog::restored(edits);
            versions.changed = versions.changed.max(edits.changed());
            versions.edits = Some(Box::new(edits));
        }
        versions
    }
}

/// The stored form of [`Versions`], with field names instead of indices.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoredVersions {
    #[serde(default, skip_serializing_if = "is_zero")]
    w: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    f: Vec<(String, StoredVersions)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<Box<entries::StoredEntryVersions>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<edits::StoredEditLog>,
}

pub(crate) fn is_zero(version: &u64) -> bool {
    *version == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: &[FieldInfo] = &[FieldInfo::new("x", "lww"), FieldInfo::new("y", "lww")];
    const NESTED: PolicyInfo = PolicyInfo::new("nested").fields(|| INNER);
    const MAP: PolicyInfo = PolicyInfo::new("map").entries(&NESTED);
    const FIELDS: &[FieldInfo] = &[
        FieldInfo::new("a", "nested").about(&NESTED),
        FieldInfo::new("b", "lww"),
        FieldInfo::new("c", "map").about(&MAP),
    ];

    fn versions() -> Versions {
        let mut versions = Versions::default();
        versions.part_mut(1, 3).set_whole(3);
        versions.part_mut(0, 4).part_mut(1, 4).set_whole(4);
        versions.part_mut(0, 9).set_whole(9);
        versions.part_mut(0, 11).part_mut(0, 11).set_whole(11);
        let entries = versions.part_mut(2, 12).entries_mut(12);
        entries.inserted("k/1", 12);
        entries.edited("k/2", 13).part_mut(1, 13).set_whole(13);
        entries.removed("k/3", 14, None);
        versions.part_mut(2, 14).entries_mut(14);
        versions
    }

    #[test]
    fn the_only_part_is_found() {
        let part = |record: &dyn Fn(&mut Versions)| {
            let mut versions = Versions::default();
            record(&mut versions);
            versions.only_part()
        };
        let key = |key: &str| Segment::Entry(Key::from(key));
        assert_eq!(part(&|it| it.part_mut(1, 1).set_whole(1)), [Segment::Field(1)]);
        assert_eq!(
            part(&|it| it.part_mut(0, 1).part_mut(3, 1).set_whole(1)),
            [Segment::Field(0), Segment::Field(3)]
        );
        assert_eq!(part(&|it| it.entries_mut(1).inserted("k", 1)), [key("k")]);
        assert_eq!(part(&|it| it.entries_mut(1).removed("k", 1, Some("left"))), [key("k")]);
        assert_eq!(part(&|it| it.entries_mut(1).moved("k", 1)), [key("k"), Segment::Place]);
        assert_eq!(
            part(&|it| it.entries_mut(1).edited("k", 1).part_mut(2, 1).set_whole(1)),
            [key("k"), Segment::Value, Segment::Field(2)]
        );
    }

    #[test]
    fn versions_survive_being_stored() {
        let text = serde_json::to_string(&versions().stored(FIELDS)).expect("text");
        let restored = Versions::restored(serde_json::from_str(&text).expect("the same"), FIELDS);
        assert_eq!(restored, versions());
        assert_eq!(restored.changed(), 14);
    }

    #[test]
    fn a_path_was_changed_when_it_or_what_holds_it_was() {
        let versions = versions();
        let at = |path: &str| versions.changed_at(FIELDS, FieldPath::new(path));
        assert_eq!(at("a"), Some(11));
        assert_eq!(at("a/x"), Some(11));
        assert_eq!(at("a/y"), Some(9), "replaced with the whole of `a`");
        assert_eq!(at("b"), Some(3));
        assert_eq!(at("c"), Some(14));
        assert_eq!(at("c/k~11"), Some(12));
        assert_eq!(at("c/k~12/x"), Some(0));
        assert_eq!(at("c/k~12/y"), Some(13));
        assert_eq!(at("c/k~13"), Some(14));
        assert_eq!(at("c/k~14"), Some(0));
        assert_eq!(at("d"), None);
    }
}
