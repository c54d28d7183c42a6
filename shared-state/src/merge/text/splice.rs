//! Edits by position: units of positions, and the smallest difference between two texts.

use serde::{Deserialize, Serialize};

/// The limit of characters on either side of a difference for which the smallest set of edits is computed. A
/// larger difference is replaced as a whole.
const MAX_DIFFERENCE: usize = 2_000;

/// Deletes and inserts text at a position. Positions and lengths are in UTF-16 units, as in JavaScript.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Splice {
    /// The position, in UTF-16 units. A position beyond the end is the end.
    pub at: usize,
    /// The number of UTF-16 units to delete from the position on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delete: usize,
    /// The text to insert.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub insert: String,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The unit of a position or a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Unicode scalar values, `char`s.
    Chars,
    /// Bytes of UTF-8.
    Bytes,
    /// UTF-16 units.
    Utf16,
}

/// Converts a position in `text` from one unit to another. A position inside a character is before it, one
/// beyond the end is the end.
pub(super) fn convert(text: &str, position: usize, from: Unit, to: Unit) -> usize {
    let size = |c: char, unit: Unit| match unit {
        Unit::Chars => 1,
        Unit::Bytes => c.len_utf8(),
        Unit::Utf16 => c.len_utf16(),
    };
    let (mut seen, mut position_there) = (0, 0);
    for c in text.chars() {
        seen += size(c, from);
        if seen > position {
            break;
        }
        position_there += size(c, to);
    }
    position_there
}

/// A small set of splices that turns `old` into `new`, the last position first, so that each splice leaves
/// the positions of the following ones valid. The common beginning and end are left alone. Between them, as
/// few characters as possible change (the algorithm of Myers, 1986), unless there are too many.
pub(super) fn difference(old: &str, new: &str) -> Vec<Splice> {
    if old == new {
        return Vec::new();
    }
    let same_start: usize =
        old.chars().zip(new.chars()).take_while(|(a, b)| a == b).map(|(c, _)| c.len_utf8()).sum();
    let (old_rest, new_rest) = (&old[same_start..], &new[same_start..]);
    let same_end: usize = old_rest
        .chars()
        .rev()
        .zip(new_rest.chars().rev())
        .take_while(|(a, b)| a == b)
        .map(|(c, _)| c.len_utf8())
        .sum();
    let removed: Vec<char> = old_rest[..old_rest.len() - same_end].chars().collect();
    let added: Vec<char> = new_rest[..new_rest.len() - same_end].chars().collect();
    let start = super::yjs::units(&old[..same_start]);
    let units = |chars: &[char]| chars.iter().map(|c| c.len_utf16()).sum::<usize>();
    let whole = removed.is_empty() || added.is_empty() || removed.len().max(added.len()) > MAX_DIFFERENCE;
    let ops = match whole {
        true => vec![(0..removed.len(), 0..added.len())],
        false => similar::capture_diff_slices(similar::Algorithm::Myers, &removed, &added)
            .into_iter()
            .filter(|op| op.tag() != similar::DiffTag::Equal)
            .map(|op| (op.old_range(), op.new_range()))
            .collect(),
    };
    let splices = ops.into_iter().rev().map(|(old, new)| Splice {
        at: start + units(&removed[..old.start]),
        delete: units(&removed[old]),
        insert: added[new].iter().collect(),
    });
    splices.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_turns_the_one_into_the_other() {
        let mut rng = fastrand::Rng::with_seed(5);
        let mut text = |most: usize| -> String {
            (0..rng.usize(..most)).map(|_| ['a', 'b', 'ü', '語', '😀'][rng.usize(..5)]).collect()
        };
        for _ in 0..500 {
            let (old, new) = (text(20), text(20));
            let mut units: Vec<u16> = old.encode_utf16().collect();
            for Splice { at, delete, insert } in difference(&old, &new) {
                units.splice(at..at + delete, insert.encode_utf16());
            }
            assert_eq!(String::from_utf16(&units).expect("whole characters"), new);
        }
    }

    #[test]
    fn what_did_not_change_is_left_alone() {
        let splice = |at, delete, insert: &str| Splice { at, delete, insert: insert.to_owned() };
        assert_eq!(difference("ab 😀 cd", "ab 😀 xd"), [splice(6, 1, "x")]);
        assert_eq!(difference("one two", "one and two"), [splice(4, 0, "and ")]);
        let changed: usize =
            difference("the cat sat", "The cat sits").iter().map(|s| s.delete + s.insert.len()).sum();
        assert_eq!(changed, 5);
    }

    #[test]
    fn positions_convert_between_the_units() {
        let text = "aü😀b";
        for (chars, bytes, utf16) in [(0, 0, 0), (1, 1, 1), (2, 3, 2), (3, 7, 4), (4, 8, 5)] {
            assert_eq!(convert(text, chars, Unit::Chars, Unit::Utf16), utf16);
            assert_eq!(convert(text, bytes, Unit::Bytes, Unit::Chars), chars);
            assert_eq!(convert(text, utf16, Unit::Utf16, Unit::Bytes), bytes);
        }
        assert_eq!(convert(text, 3, Unit::Utf16, Unit::Chars), 2, "inside a character");
        assert_eq!(convert(text, 99, Unit::Chars, Unit::Bytes), 8);
    }
}
