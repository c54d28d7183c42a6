//! Places in a list, their form on the wire, and the choice of the items to move when a list is reordered.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::EntryVersions;
use crate::merge::{Key, KeyOf, Sequence};

/// A place in a list, independent of positions, which concurrent operations change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before all other items.
    Front,
    /// Right after the item with this key.
    After(Key),
    /// After all other items.
    End,
}

impl Place {
    /// The place of the item that is now at a position.
    pub(crate) fn of<C: Sequence, F: KeyOf<C::Item>>(list: &C, position: usize) -> Self {
        let before = position.checked_sub(1).and_then(|before| list.item(before));
        before.and_then(F::key).map_or(Self::Front, Self::After)
    }

    /// The position that the place has now. A place after an item that does not exist is the front.
    pub(crate) fn position<C: Sequence, F: KeyOf<C::Item>>(&self, list: &C) -> usize {
        match self {
            Self::Front => 0,
            Self::After(key) => list.find::<F>(key.as_str()).map_or(0, |position| position + 1),
            Self::End => list.len(),
        }
    }

    /// The place expressed by an item that exists: if the place is after a removed item, its nearest left
    /// neighbour that still exists, or else the front. `None` if the place stays as it is.
    pub(crate) fn resolved<C: Sequence, F: KeyOf<C::Item>>(
        &self,
        list: &C,
        known: Option<&EntryVersions>,
    ) -> Option<Self> {
        let Self::After(key) = self else { return None };
        let mut key = key.as_str();
        let mut removed = false;
        // The left neighbour may have been removed as well. Removed entries that were inserted again can form
        // a cycle, so the number of steps is limited.
        for _ in 0..=crate::core::versions::entries::MAX_REMOVED {
            if list.find::<F>(key).is_some() {
                return removed.then(|| Self::After(Key::from(key)));
            }
            removed = true;
            match known.and_then(|known| known.left_of(key)) {
                Some(Some(left)) => key = left,
                Some(None) | None => break,
            }
        }
        Some(Self::Front)
    }

    /// The item that the place is right after.
    pub(crate) fn anchor(&self) -> Option<&Key> {
        match self {
            Self::After(key) => Some(key),
            Self::Front | Self::End => None,
        }
    }
}

/// The form of a place on the wire: `{"after": key}`, `{"after": null}` for the front, `{}` for the end.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Place", deny_unknown_fields)]
struct Written {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    after: Option<Option<Key>>,
}

/// The form of an insertion on the wire: that of its place, with the item as the member `item`.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Insert", deny_unknown_fields)]
pub(crate) struct Inserted<T> {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    after: Option<Option<Key>>,
    item: T,
}

/// The form of a move to another list on the wire: that of the place there, with the list's path as the member
/// `to`. What undoes it has the item too, and is never sent.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Transfer", deny_unknown_fields)]
pub(crate) struct Moved<T = ()> {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    after: Option<Option<Key>>,
    to: Box<str>,
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    item: Option<T>,
}

/// What undoes a move to another list, as it is read again: see [`Moved`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Returned<T> {
    #[serde(default, deserialize_with = "present")]
    after: Option<Option<Key>>,
    to: Box<str>,
    item: T,
}

impl<T> Returned<T> {
    pub(crate) fn into_parts(self) -> (Place, T, Box<str>) {
        (Place::read(self.after), self.item, self.to)
    }
}

impl Moved {
    pub(crate) fn new(place: &Place, to: &str) -> Self {
        Self { after: place.written(), to: to.into(), item: None }
    }

    pub(crate) fn into_parts(self) -> (Place, Box<str>) {
        (Place::read(self.after), self.to)
    }
}

impl<T> Moved<T> {
    pub(crate) fn with(place: &Place, to: &str, item: T) -> Self {
        Self { after: place.written(), to: to.into(), item: Some(item) }
    }
}

/// Reads a member that is present, even if it is `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Key>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl<T> Inserted<T> {
    pub(crate) fn new(place: &Place, item: T) -> Self {
        Self { after: place.written(), item }
    }

    pub(crate) fn into_parts(self) -> (Place, T) {
        (Place::read(self.after), self.item)
    }
}

impl Place {
    fn written(&self) -> Option<Option<Key>> {
        match self {
            Self::Front => Some(None),
            Self::After(key) => Some(Some(key.clone())),
            Self::End => None,
        }
    }

    fn read(after: Option<Option<Key>>) -> Self {
        match after {
            None => Self::End,
            Some(None) => Self::Front,
            Some(Some(key)) => Self::After(key),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written { after: self.written() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written::deserialize(deserializer).map(|Written { after }| Self::read(after))
    }
}

/// Which of the numbers stay in place if as few as possible are moved to sort them: a longest increasing
/// subsequence, by patience sorting (Schensted 1961). O(n log n).
pub(crate) fn longest_run(numbers: &[usize]) -> Vec<bool> {
    let mut tails: Vec<usize> = Vec::new();
    let mut before = vec![usize::MAX; numbers.len()];
    for (at, number) in numbers.iter().enumerate() {
        let length = tails.partition_point(|tail| numbers[*tail] < *number);
        if length > 0 {
            before[at] = tails[length - 1];
        }
        if length == tails.len() {
            tails.push(at);
        } else {
            tails[length] = at;
        }
    }
    let mut stays = vec![false; numbers.len()];
    let mut at = tails.last().copied().unwrap_or(usize::MAX);
    while at != usize::MAX {
        stays[at] = true;
        at = before[at];
    }
    stays
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_as_what_it_is_after() {
        let rows = [
            (Place::Front, r#"{"after":null}"#),
            (Place::After("7".into()), r#"{"after":"7"}"#),
            (Place::End, "{}"),
        ];
        for (place, text) in rows {
            assert_eq!(serde_json::to_string(&place).expect("text"), text);
            assert_eq!(serde_json::from_str::<Place>(text).expect("a place"), place);
        }
        let inserted: Inserted<u8> = serde_json::from_str(r#"{"item":3,"after":null}"#).expect("an item");
        assert_eq!(inserted.into_parts(), (Place::Front, 3));
        assert!(serde_json::from_str::<Place>(r#"{"befor":"7"}"#).is_err());
    }

    #[test]
    fn the_longest_run_stays() {
        let stays = |numbers: &[usize]| -> Vec<usize> {
            let stays = longest_run(numbers);
            numbers.iter().zip(stays).filter(|(_, stays)| *stays).map(|(number, _)| *number).collect()
        };
        assert!(stays(&[]).is_empty());
        assert_eq!(stays(&[0, 1, 2]), [0, 1, 2]);
        assert_eq!(stays(&[9, 0, 1, 2]), [0, 1, 2]);
        assert_eq!(stays(&[1, 2, 0, 3]), [1, 2, 3]);
        assert_eq!(stays(&[2, 1, 0]).len(), 1);
    }
}
