//! EditLog by position, the positions in one of three units, and the fewest that turn one text into another.

use serde::{Deserialize, Serialize};

/// The most characters on either side of a difference for which the fewest edits are looked for; beyond, the whole
/// of what is different is replaced.
const MAX_DIFFERENCE: usize = 2_000;

/// At a position, some characters go and others come. Counts UTF-16 units, as JavaScript does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Splice {
    /// The position, in UTF-16 units. Beyond the end it means the end.
    pub at: usize,
    /// How many UTF-16 units are deleted from there on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delete: usize,
    /// What is inserted there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub insert: String,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What a position or a length counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Unicode scalar values, `char`s.
    Chars,
    /// Bytes of UTF-8.
    Bytes,
    /// UTF-16 units.
    Utf16,
}

/// A position in `text`, from one unit to another; inside a character it means before it, beyond the end the end.
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

/// Few splices that turn `old` into `new`, the last place first, so that each leaves the positions of the next as
/// they are. What both begin and end with is left alone; in between, the fewest characters change (the algorithm of
/// Myers, 1986), if there are not too many.
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
    let gone: Vec<char> = old_rest[..old_rest.len() - same_end].chars().collect();
    let come: Vec<char> = new_rest[..new_rest.len() - same_end].chars().collect();
    let start = super::yjs::units(&old[..same_start]);
    let units = |chars: &[char]| chars.iter().map(|c| c.len_utf16()).sum::<usize>();
    let whole = gone.is_empty() || come.is_empty() || gone.len().max(come.len()) > MAX_DIFFERENCE;
    let ops = match whole {
        true => vec![(0..gone.len(), 0..come.len())],
        false => similar::capture_diff_slices(similar::Algorithm::Myers, &gone, &come)
            .into_iter()
            .filter(|op| op.tag() != similar::DiffTag::Equal)
            .map(|op| (op.old_range(), op.new_range()))
            .collect(),
    };
    let splices = ops.into_iter().rev().map(|(old, new)| Splice {
        at: start + units(&gone[..old.start]),
        delete: units(&gone[old]),
        insert: come[new].iter().collect(),
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
