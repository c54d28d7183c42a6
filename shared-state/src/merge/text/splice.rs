//! Edits by position: what they are, and the units of positions.

use serde::{Deserialize, Serialize};

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

#[cfg(test)]
mod tests {
    use super::*;

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
