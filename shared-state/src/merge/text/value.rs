//! [`Text`], the value of a text field: it reads and serializes as a string, and holds the document that
//! merges edits.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use data_encoding::{BASE64, BASE64_NOPAD};
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::core::Core;
use super::document::{Document, Effect};
use super::id_set::IdSet;
use super::splice::{Splice, Unit, convert};
#[cfg(feature = "testing")]
use super::yjs::Id;
use super::yjs::{Content, Struct, Update};
use super::{Anchor, Edit, INITIAL, Side, UNSIGNED};
use crate::core::text_scope::Retyped;
use crate::core::{FieldValue, text_scope};

/// A text for `#[shared(text)]` that several people edit at once: their edits are merged character by
/// character.
///
/// A `Text` reads as a string (`&str` by deref, `to_string`, `==`). A clone costs nothing until one of the
/// two changes. In a room, a text is edited through the field's handle. The methods `insert`, `delete` and
/// `apply_diff` change a value outside a room; when that value is set, the difference between the two strings
/// is written.
///
/// The string is built when it is first read after a change, in O(n). The length in UTF-16 units is always
/// known, and so is the length in characters.
///
/// serde writes a text as a plain string. What is stored, and what is sent to clients that edit the text,
/// also has the compact history: the places of deleted characters, without the characters.
///
/// ```
/// use shared_state::Text;
///
/// let mut text = Text::from("Hello 😀!");
/// assert!(text.starts_with("Hello"));
/// assert_eq!((text.chars_len(), text.utf16_len(), text.len()), (8, 9, 11));
///
/// let before_the_smile = text.anchor(6, shared_state::merge::Side::Right);
/// text.insert(0, "Oh! ");
/// assert_eq!(text.position(&before_the_smile), Some(10));
/// ```
#[derive(Clone)]
pub struct Text {
    core: Arc<Core>,
}

impl Text {
    /// An empty text.
    #[must_use]
    pub fn new() -> Self {
        Self { core: Document::default().into() }
    }

    /// The text as a string. O(n) on the first call after a change.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.core.plain()
    }

    /// The length in characters (Unicode scalar values).
    #[must_use]
    pub fn chars_len(&self) -> usize {
        self.core.units() - self.core.wide()
    }

    /// The length in UTF-16 units, which is the length in JavaScript.
    #[must_use]
    pub fn utf16_len(&self) -> usize {
        self.core.units()
    }

    /// Inserts at a position in characters, or at the end if the position is beyond it.
    pub fn insert(&mut self, position: usize, text: &str) {
        self.splice(Splice { at: self.units(position, Unit::Chars), delete: 0, insert: text.to_owned() });
    }

    /// Deletes `count` characters from a position in characters on, or as many as there are.
    pub fn delete(&mut self, position: usize, count: usize) {
        let at = self.units(position, Unit::Chars);
        let end = self.units(position.saturating_add(count), Unit::Chars);
        self.splice(Splice { at, delete: end - at, insert: String::new() });
    }

    /// Makes the text equal to `new` with few edits, so that anchors keep their places.
    pub fn apply_diff(&mut self, new: &str) {
        let splices = super::diff::difference(self.as_str(), new);
        self.write_as(UNSIGNED, &splices);
    }

    fn splice(&mut self, splice: Splice) {
        self.write_as(UNSIGNED, &[splice]);
    }

    fn write_as(&mut self, client: u64, splices: &[Splice]) {
        if let Some(edit) = self.compose(client, splices) {
            self.apply_edit(&edit);
        }
    }

    /// The anchor of a position in characters.
    #[must_use]
    pub fn anchor(&self, position: usize, side: Side) -> Anchor {
        self.anchor_utf16(self.units(position, Unit::Chars), side)
    }

    /// The anchor of a position in UTF-16 units.
    #[must_use]
    pub fn anchor_utf16(&self, position: usize, side: Side) -> Anchor {
        let unit = self.core.unit_at(position.min(self.utf16_len()), side);
        Anchor { unit, side }
    }

    /// The position of an anchor in characters. `None` if the text does not have the anchor's character
    /// (yet).
    #[must_use]
    pub fn position(&self, anchor: &Anchor) -> Option<usize> {
        self.position_utf16(anchor).map(|units| self.units_to(units, Unit::Chars))
    }

    /// The position of an anchor in UTF-16 units. `None` if the text does not have the anchor's character
    /// (yet).
    #[must_use]
    pub fn position_utf16(&self, anchor: &Anchor) -> Option<usize> {
        match (anchor.unit, anchor.side) {
            (Some(unit), side) => self.core.position_of(unit, side),
            (None, Side::Left) => Some(0),
            (None, Side::Right) => Some(self.utf16_len()),
        }
    }

    /// Applies an operation from the room and returns what it changes: splices, to be applied one after
    /// another to an editor's own buffer and cursors. It is meant for a copy of the text that follows the
    /// events of its field. O(n).
    pub fn follow(&mut self, op: super::TextOp) -> Vec<Splice> {
        let before = self.as_str().to_owned();
        <super::TextOf as crate::core::MergePolicy<Self>>::apply(self, op);
        super::diff::difference(&before, self.as_str())
    }

    /// Converts a position to UTF-16 units.
    pub(crate) fn units(&self, position: usize, unit: Unit) -> usize {
        match unit {
            Unit::Utf16 if self.core.wide() == 0 => position.min(self.utf16_len()),
            Unit::Chars if self.core.wide() == 0 => position.min(self.utf16_len()),
            unit => convert(self.as_str(), position, unit, Unit::Utf16),
        }
    }

    fn units_to(&self, units: usize, to: Unit) -> usize {
        if to == Unit::Chars && self.core.wide() == 0 {
            return units;
        }
        convert(self.as_str(), units, Unit::Utf16, to)
    }

    /// The splices as an edit by `client`. `None` if they change nothing.
    pub(super) fn compose(&self, client: u64, splices: &[Splice]) -> Option<Edit> {
        if splices.iter().all(|splice| splice.delete == 0 && splice.insert.is_empty()) {
            return None;
        }
        self.core.compose(client, splices).filter(|edit| !edit.is_empty()).map(Edit::of)
    }

    /// Checks that the text has everything that an edit refers to, and that the edit is within the bounds of
    /// work.
    pub(super) fn check(&self, edit: &Edit) -> Result<(), String> {
        self.core.check(edit)
    }

    /// The edit as the server orders it: with the gaps in its clocks filled, and with the neighbours that its
    /// insertions have here. `None` if that is the edit itself.
    pub(super) fn resolved(&self, edit: &Edit) -> Option<Edit> {
        self.check(edit).ok()?;
        self.core.settled(edit)
    }

    /// Applies an edit. Returns the edit as it was applied and its effect, or `None` if the text lacks
    /// something that the edit refers to.
    pub(super) fn apply_edit(&mut self, edit: &Edit) -> Option<(Edit, Effect)> {
        if let Some((document, effect)) = self.core.take_prepared(edit) {
            self.core = document.into();
            return Some((edit.clone(), effect));
        }
        let fitted = self.core.document().fitted(edit.update()).map(Edit::of);
        let edit = fitted.unwrap_or_else(|| edit.clone());
        let order = self.core.document().check(edit.update()).ok()?;
        let effect = self.document_mut().apply(edit.update(), &order);
        Some((edit, effect))
    }

    /// Reverts the last edits, of which `effect` is the first one's effect.
    pub(super) fn revert(&mut self, effect: &Effect) {
        self.document_mut().revert(effect);
    }

    /// The edit by which `client` undoes an edit with the effect `effect`, whatever came after it: it deletes
    /// what the edit inserted, and inserts what the edit deleted where it was. What the edit inserted and an undo has
    /// inserted again since, by [`text_scope::undoing`], counts as inserted by it.
    pub(super) fn undo_edit(&self, client: u64, edit: &Edit, effect: &Effect) -> Option<Edit> {
        if client == 0 {
            return None;
        }
        let document = self.core.document();
        let (structs, again) = document.inserted_again(client, effect).unwrap_or_default();
        let inserted = inserted_by(edit.update(), &text_scope::retyped());
        let mut update = Update { deleted: document.visible_of(&inserted), ..Update::default() };
        if !structs.is_empty() {
            update.structs.insert(client, structs);
        }
        let undo = Edit::of(update);
        if undo.update().is_empty() || self.check(&undo).is_err() {
            return None;
        }
        text_scope::retype(again);
        Some(undo)
    }

    /// Whether a character is to the left of another one, deleted or not. `None`: the text does not have them.
    #[cfg(feature = "testing")]
    pub(crate) fn is_before(&self, left: Id, right: Id) -> Option<bool> {
        let order = self.core.document().order();
        Some(order.find(left)? < order.find(right)?)
    }

    fn document_mut(&mut self) -> &mut Document {
        if Arc::get_mut(&mut self.core).is_none() {
            self.core = self.core.document().clone().into();
        }
        match Arc::get_mut(&mut self.core) {
            Some(core) => core.change(),
            None => unreachable!("it was made above"),
        }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }

    /// The edit that turns `self` into `newer`, if `newer` came from `self` by edits.
    pub(super) fn edit_to(&self, newer: &Self) -> Option<Edit> {
        let (old, new) = (self.core.document(), newer.core.document());
        if old.clocks().any(|(client, clock)| new.clock(client) < clock) {
            return None;
        }
        let mut update = new.since(&self.core.clocks());
        update.deleted = update.deleted.without(&old.whole().deleted);
        update.compact();
        let edit = Edit::of(update);
        let mut old = self.clone();
        old.apply_edit(&edit)?;
        (old.core.document().whole() == new.whole()).then_some(edit)
    }

    fn of(whole: &Update) -> Result<Self, String> {
        let mut document = Document::default();
        let order = document.check(whole)?;
        if whole.spans().any(|(_, span)| span.start > 0) {
            return Err("the beginning of the document is missing".to_owned());
        }
        document.apply(whole, &order);
        Ok(Self { core: document.into() })
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let mut initial = Update::default();
        // A client's clocks have 30 bits. A longer string is not supported as a text.
        let units = u32::try_from(super::yjs::units(text)).unwrap_or(u32::MAX);
        if units > 0 {
            let content = Content::Text(text.to_owned());
            initial
                .structs
                .insert(INITIAL, vec![Struct { clock: 0, units, origin: None, right: None, content }]);
        }
        Self::of(&initial).unwrap_or_default()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::from(&*text)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.as_str().to_owned()
    }
}

/// The units that an edit has inserted, and those that were inserted again for them since.
fn inserted_by(edit: &Update, retyped: &[Retyped]) -> IdSet {
    let mut inserted: IdSet = edit.spans().collect();
    for Retyped { of: (client, start), by, units } in retyped {
        let end = start + units;
        let again: Vec<_> = inserted
            .of(*client)
            .iter()
            .map(|range| range.start.max(*start)..range.end.min(end))
            .filter(|range| range.start < range.end)
            .collect();
        for range in again {
            let moved = |clock: u32| by.1 + (clock - start);
            inserted.insert(by.0, moved(range.start)..moved(range.end));
        }
    }
    inserted
}

impl From<FieldValue<Self>> for Text {
    fn from(value: FieldValue<Self>) -> Self {
        value.into_inner()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
            || match text_scope::is_with_history() {
                true => self.core.document().whole() == other.core.document().whole(),
                false => self.as_str() == other.as_str(),
            }
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if text_scope::is_with_history() {
            let whole = self.core.document().whole();
            if whole.as_plain().is_none() {
                let mut object = serializer.serialize_map(Some(1))?;
                object.serialize_entry("yjs", &BASE64_NOPAD.encode(&whole.write()))?;
                return object.end();
            }
        }
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;

        impl<'de> Visitor<'de> for Whole {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text: a string, or an object with the base64 of a Yjs document under `yjs`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text::from(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                match map.next_entry::<String, String>()? {
                    Some((key, yjs)) if key == "yjs" => {
                        let whole =
                            bytes(&yjs).and_then(|bytes| Update::read(&bytes)).map_err(de::Error::custom)?;
                        if map.next_key::<de::IgnoredAny>()?.is_some() {
                            return Err(de::Error::custom("expected nothing beside `yjs`"));
                        }
                        Text::of(&whole).map_err(de::Error::custom)
                    }
                    _ => Err(de::Error::missing_field("yjs")),
                }
            }
        }

        deserializer.deserialize_any(Whole)
    }
}

/// Decodes base64, with or without padding.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let encoding = if text.ends_with('=') { BASE64 } else { BASE64_NOPAD };
    encoding.decode(text.as_bytes()).map_err(|error| format!("expected base64: {error}"))
}
