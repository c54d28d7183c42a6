//! The operations of a text field as methods of its handle.

use crate::core::{Backend, FieldHandle, SharedState};
use crate::merge::{Anchor, Side, Splice, Text, TextOf, TextOp, Unit};

impl<L: Backend<S>, S: SharedState> FieldHandle<L, S, Text, TextOf> {
    /// The length in characters (Unicode scalar values).
    #[must_use]
    pub fn len(&self) -> usize {
        self.read(Text::chars_len)
    }

    /// The length in UTF-16 units, which is the length in JavaScript.
    #[must_use]
    pub fn len_utf16(&self) -> usize {
        self.read(Text::utf16_len)
    }

    /// The length in bytes of UTF-8.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.read(|text| text.as_str().len())
    }

    /// Whether the text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len_utf16() == 0
    }

    /// Inserts at a position in characters, or at the end if the position is beyond it.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn insert(&self, position: usize, text: &str) -> Result<L::Receipt, L::Error> {
        self.splice(Unit::Chars, position, 0, text)
    }

    /// As [`insert`](Self::insert), with the position in UTF-16 units.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn insert_utf16(&self, position: usize, text: &str) -> Result<L::Receipt, L::Error> {
        self.splice(Unit::Utf16, position, 0, text)
    }

    /// As [`insert`](Self::insert), with the position in bytes of UTF-8. A position inside a character is
    /// before it.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn insert_bytes(&self, position: usize, text: &str) -> Result<L::Receipt, L::Error> {
        self.splice(Unit::Bytes, position, 0, text)
    }

    /// Appends at the end of the text that the app sees.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn push(&self, text: &str) -> Result<L::Receipt, L::Error> {
        self.splice(Unit::Utf16, usize::MAX, 0, text)
    }

    /// Deletes `count` characters from a position in characters on, or as many as there are.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn delete(&self, position: usize, count: usize) -> Result<L::Receipt, L::Error> {
        self.splice(Unit::Chars, position, count, "")
    }

    /// As [`delete`](Self::delete), in UTF-16 units.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn delete_utf16(&self, position: usize, count: usize) -> Result<L::Receipt, L::Error> {
        self.splice(Unit::Utf16, position, count, "")
    }

    /// As [`delete`](Self::delete), in bytes of UTF-8. A character that the range covers only in part at its
    /// end stays.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn delete_bytes(&self, position: usize, count: usize) -> Result<L::Receipt, L::Error> {
        self.splice(Unit::Bytes, position, count, "")
    }

    /// Replaces `count` characters from a position in characters on, as one change.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn replace(&self, position: usize, count: usize, text: &str) -> Result<L::Receipt, L::Error> {
        self.splice(Unit::Chars, position, count, text)
    }

    /// Makes the text equal to `new` with few edits, as one change. It is meant for a plain text area, which
    /// knows only its whole content. What others type at the same time stays. Costs a comparison of the two
    /// texts.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn apply_diff(&self, new: &str) -> Result<L::Receipt, L::Error> {
        self.write(TextOp::Set(Text::from(new)))
    }

    /// The anchor of a position in characters.
    #[must_use]
    pub fn anchor(&self, position: usize, side: Side) -> Anchor {
        self.read(|text| text.anchor(position, side))
    }

    /// The position of an anchor in characters. `None` if the text does not have the anchor's character
    /// (yet).
    #[must_use]
    pub fn position(&self, anchor: &Anchor) -> Option<usize> {
        self.read(|text| text.position(anchor))
    }

    fn splice(
        &self,
        unit: Unit,
        position: usize,
        count: usize,
        insert: &str,
    ) -> Result<L::Receipt, L::Error> {
        self.write_with(|text| {
            let at = text.units(position, unit);
            let end = if count == 0 { at } else { text.units(position.saturating_add(count), unit) };
            vec![TextOp::Splice(vec![Splice { at, delete: end - at, insert: insert.to_owned() }])]
        })
    }
}

impl<L: Backend<S>, S: SharedState> std::fmt::Display for FieldHandle<L, S, Text, TextOf> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.read(|text| f.pad(text))
    }
}
