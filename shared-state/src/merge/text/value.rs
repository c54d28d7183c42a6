//! The value: reads as a string, is written as one, and carries the document from which others' edits merge.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use data_encoding::{BASE64, BASE64_NOPAD};
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use yrs::Assoc;

use super::core::{Core, Marks};
use super::id_set::IdSet;
use super::splice::{Splice, Unit, convert};
use super::yjs::{Clocks, Content, Struct, Update};
use super::{Anchor, Edit, INITIAL, Side, UNSIGNED};
use crate::core::text_scope;

/// A text that several people write in at once, for `#[shared(text)]`: their edits merge character by character.
///
/// It reads as a string (`&str` by deref, `to_string`, `==`), and a clone costs nothing until one of the two
/// changes. In a room it is edited through the field's handle; what `insert`, `delete` and `apply_diff` do to a value
/// of one's own is taken, when it is set, for the difference between the two strings.
///
/// The string is made anew after each change, when it is first read: O(n). Its lengths in UTF-16 units and, as long
/// as no character beyond the basic plane was ever in it, in characters are known at once.
///
/// serde writes it as a plain string. What is stored and sent to those who edit it also holds its history, compact:
/// the places of what was deleted, not the words.
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
        Self { core: Arc::new(Core::new()) }
    }

    /// The text. O(n) when it is first read after a change.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.core.plain()
    }

    /// How many characters (Unicode scalar values) there are.
    #[must_use]
    pub fn chars_len(&self) -> usize {
        if self.core.is_wide() { self.as_str().chars().count() } else { self.utf16_len() }
    }

    /// How many UTF-16 units there are: the length in JavaScript.
    #[must_use]
    pub fn utf16_len(&self) -> usize {
        self.core.units()
    }

    /// Inserts at a position in characters, or at the end if there is no such position.
    pub fn insert(&mut self, position: usize, text: &str) {
        self.splice(Splice { at: self.units(position, Unit::Chars), delete: 0, insert: text.to_owned() });
    }

    /// Deletes so many characters from a position in characters on, as far as there are.
    pub fn delete(&mut self, position: usize, count: usize) {
        let at = self.units(position, Unit::Chars);
        let end = self.units(position.saturating_add(count), Unit::Chars);
        self.splice(Splice { at, delete: end - at, insert: String::new() });
    }

    /// Makes it equal to `new` by few edits, so that anchors stay.
    pub fn apply_diff(&mut self, new: &str) {
        let splices = super::splice::difference(self.as_str(), new);
        self.write_as(UNSIGNED, &splices);
    }

    fn splice(&mut self, splice: Splice) {
        self.write_as(UNSIGNED, &[splice]);
    }

    fn write_as(&mut self, writer: u64, splices: &[Splice]) {
        if let Some(edit) = self.compose(writer, splices) {
            self.take(&edit);
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
        let unit = self.core.unit_at(position.min(self.utf16_len()), assoc(side));
        Anchor { unit, side }
    }

    /// Where an anchor is, in characters; `None`: the text does not have its character (yet).
    #[must_use]
    pub fn position(&self, anchor: &Anchor) -> Option<usize> {
        self.position_utf16(anchor).map(|units| self.units_to(units, Unit::Chars))
    }

    /// Where an anchor is, in UTF-16 units; `None`: the text does not have its character (yet).
    #[must_use]
    pub fn position_utf16(&self, anchor: &Anchor) -> Option<usize> {
        match (anchor.unit, anchor.side) {
            (Some(unit), side) => self.core.position_of(unit, assoc(side)),
            (None, Side::Left) => Some(0),
            (None, Side::Right) => Some(self.utf16_len()),
        }
    }

    /// Applies an edit that came from the room, and says what it changes here: splices, to be made one after another,
    /// for an editor's own buffer and cursors. For a copy of the text that follows the events of its field. O(n).
    pub fn follow(&mut self, op: super::TextOp) -> Vec<Splice> {
        let before = self.as_str().to_owned();
        <super::TextOf as crate::core::MergePolicy<Self>>::apply(self, op);
        super::splice::difference(&before, self.as_str())
    }

    /// A position in UTF-16 units.
    pub(crate) fn units(&self, position: usize, unit: Unit) -> usize {
        match unit {
            Unit::Utf16 if !self.core.is_wide() => position.min(self.utf16_len()),
            Unit::Chars if !self.core.is_wide() => position.min(self.utf16_len()),
            unit => convert(self.as_str(), position, unit, Unit::Utf16),
        }
    }

    fn units_to(&self, units: usize, to: Unit) -> usize {
        if to == Unit::Chars && !self.core.is_wide() {
            return units;
        }
        convert(self.as_str(), units, Unit::Utf16, to)
    }

    pub(super) fn clocks(&self) -> &Clocks {
        self.core.clocks()
    }

    /// The edit that these splices are here, made by `writer`; `None` if it would change nothing.
    pub(super) fn compose(&self, writer: u64, splices: &[Splice]) -> Option<Edit> {
        if splices.iter().all(|splice| splice.delete == 0 && splice.insert.is_empty()) {
            return None;
        }
        self.core.compose(writer, splices).filter(|edit| !edit.is_empty()).map(Edit::of)
    }

    /// Checks that the text has everything that an edit is about.
    pub(super) fn check(&self, edit: &Edit) -> Result<(), String> {
        self.core.check(edit.update())
    }

    /// The edit as it is applied here, if it is not as it is.
    pub(super) fn resolved(&self, edit: &Edit) -> Option<Edit> {
        let known = |writer| self.core.clocks().get(&writer).copied().unwrap_or(0);
        if edit.update().spans().all(|(writer, span)| span.start == known(writer)) {
            return None;
        }
        let mut update = edit.update().clone();
        update.fit(self.core.clocks());
        Some(Edit::of(update))
    }

    /// Applies an edit; what it was here and what it changed, unless the text lacks what it is about.
    pub(super) fn take(&mut self, edit: &Edit) -> Option<(Edit, Marks)> {
        self.check(edit).ok()?;
        let edit = self.resolved(edit).unwrap_or_else(|| edit.clone());
        let marks = self.core_mut().apply(edit.update(), edit.bytes());
        Some((edit, marks))
    }

    /// Takes the last edits back, the first of which changed `marks`.
    pub(super) fn undo(&mut self, marks: &Marks) {
        self.core = Arc::new(self.core.before(marks));
    }

    /// The edit by which `writer` takes an edit back that changed `marks`, whatever came after it: what it inserted
    /// goes, what it deleted is inserted where it was.
    pub(super) fn taken_back(&self, writer: u64, edit: &Edit, marks: &Marks) -> Option<Edit> {
        let mut update = match writer {
            0 => return None,
            writer => {
                let edit = self.compose(writer, &self.core.deleted_by(edit.update(), marks));
                edit.map(|edit| edit.update().clone()).unwrap_or_default()
            }
        };
        let inserted: IdSet = edit.update().spans().collect();
        let gone = self.core.whole().deleted;
        update.deleted.extend(&inserted.without(&gone));
        let edit = Edit::of(update);
        (!edit.update().is_empty() && self.check(&edit).is_ok()).then_some(edit)
    }

    fn core_mut(&mut self) -> &mut Core {
        if Arc::get_mut(&mut self.core).is_none() {
            self.core = Arc::new(self.core.copy());
        }
        match Arc::get_mut(&mut self.core) {
            Some(core) => core,
            None => unreachable!("it was made above"),
        }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }

    /// The edit that makes `self` what `newer` is, if that came of it by edits.
    pub(super) fn edit_to(&self, newer: &Self) -> Option<Edit> {
        if self.clocks().iter().any(|(writer, clock)| newer.clocks().get(writer).unwrap_or(&0) < clock) {
            return None;
        }
        let mut update = newer.core.since(self.clocks());
        update.deleted = update.deleted.without(&self.core.whole().deleted);
        update.compact();
        let edit = Edit::of(update);
        let mut old = self.clone();
        old.take(&edit)?;
        (old.core.whole() == newer.core.whole()).then_some(edit)
    }

    fn of(whole: &Update) -> Result<Self, String> {
        Core::new().check(whole)?;
        if whole.spans().any(|(_, span)| span.start > 0) {
            return Err("the beginning of the document is missing".to_owned());
        }
        let mut core = Core::new();
        core.apply(whole, &whole.write());
        Ok(Self { core: Arc::new(core) })
    }
}

fn assoc(side: Side) -> Assoc {
    if side == Side::Left { Assoc::Before } else { Assoc::After }
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let mut initial = Update::default();
        // The units of one writer are numbered in 30 bits: what is longer than that is no text to write in.
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
                true => self.clocks() == other.clocks() && self.core.whole() == other.core.whole(),
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
            let whole = self.core.whole();
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

/// Reads base64, padded or not.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let encoding = if text.ends_with('=') { BASE64 } else { BASE64_NOPAD };
    encoding.decode(text.as_bytes()).map_err(|error| format!("expected base64: {error}"))
}
