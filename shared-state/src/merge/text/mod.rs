//! Text: what people write in one text at once merges character by character, and only the keystrokes travel.
//!
//! The rule is that of Yjs (the algorithm YATA; Nicolaescu et al., 2016), by the crate `yrs`: every character is
//! inserted between two others, and of several inserted at one place each writer's stay together; a character that
//! somebody deleted is gone. EditLog are Yjs updates, so that an editor made for Yjs can take part. The server's order
//! matters only for what is refused.
//!
//! # What the policy adds to Yjs
//! * An edit about characters that the text does not have is refused, where Yjs would keep it for later; so is anything
//!   that is not plain text.
//! * A refused edit leaves no trace at the server. The numbers it used up are then skipped: the first edit after it
//!   is given a filler for them. An edit inside the refused one is refused too.
//! * Everybody's characters are numbered under an id of their own, which the server lets nobody else use.
//! * Setting the whole text means the difference to the text as it is.

mod anchor;
mod core;
mod document;
mod handle;
pub(crate) mod id_set;
mod position_index;
mod rebuild;
mod splice;
mod value;
pub(crate) mod yjs;

pub use anchor::{Anchor, NotAnAnchor, Side};
pub use splice::Splice;
pub(crate) use splice::Unit;
pub use value::Text;

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64_NOPAD;
use serde::{Deserialize, Deserializer, Serialize as _, Serializer, de};

use self::core::Marks;
use crate::core::rules::{Length, Textual};
use crate::core::{FieldPath, FieldPathBuf, Invalid, UpdateError};
use crate::core::{MergePolicy, Overlap, Versions, text_scope, whole};
use yjs::Update;

/// The id under which a text is numbered that is made of a string.
pub(crate) const INITIAL: u64 = 0;
/// The id of the server.
pub(crate) const SERVER: u64 = 1;
/// The id of edits that nobody made yet.
pub(crate) const UNSIGNED: u64 = 2;

/// The most bytes of an edit that another is folded into.
const MAX_FOLDED: usize = 16 << 10;

/// The policy of `#[shared(text)]`. An edit costs what was typed: to send, its Yjs update; to make it where one typed
/// before, O(√n) in the runs of the text; to apply it, O(log n), and for who edits too a look over the runs if it is
/// elsewhere. A walk over the document is made with the first edit of one's own, and with the next one after a
/// refusal, a large edit or two that inserted at one place at once.
#[derive(Clone, Copy, Debug)]
pub struct TextOf;

/// A Yjs update of one text: what somebody typed and deleted.
#[derive(Clone)]
pub struct Edit(Arc<Parts>);

struct Parts {
    bytes: Vec<u8>,
    update: Update,
}

impl Edit {
    /// Reads a Yjs update, version 1.
    ///
    /// # Errors
    /// For people: it is damaged, or about more than one plain text.
    pub fn read(bytes: Vec<u8>) -> Result<Self, String> {
        let update = Update::read(&bytes)?;
        Ok(Self(Arc::new(Parts { bytes, update })))
    }

    fn of(update: Update) -> Self {
        Self(Arc::new(Parts { bytes: update.write(), update }))
    }

    /// The Yjs update.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    fn update(&self) -> &Update {
        &self.0.update
    }

    fn base64(&self) -> String {
        BASE64_NOPAD.encode(self.bytes())
    }
}

impl PartialEq for Edit {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Update { structs, deleted } = self.update();
        f.debug_struct("Edit").field("structs", structs).field("deleted", deleted).finish()
    }
}

/// An operation on a text.
#[derive(Clone, Debug, PartialEq)]
pub enum TextOp {
    /// Replaces the text and its history.
    Set(Text),
    /// An edit.
    Edit(Edit),
    /// EditLog by position in the text as it is when they are applied, one after another.
    Splice(Vec<Splice>),
    /// What takes the last edit back.
    Undo(Undo),
    /// What takes back an operation that did nothing.
    Nothing,
}

/// What takes an edit back while it is the last.
#[derive(Clone, Debug, PartialEq)]
pub struct Undo(Arc<(Edit, Marks)>);

/// What those splices are as an operation of whoever writes.
fn signed(value: &Text, splices: &[Splice]) -> Option<Vec<TextOp>> {
    let signed = |writer| value.compose(writer, splices).map(TextOp::Edit);
    match text_scope::writer() {
        0 if splices.is_empty() => Some(Vec::new()),
        0 => None,
        writer => Some(signed(writer).into_iter().collect()),
    }
}

impl MergePolicy<Text> for TextOf {
    type Op = TextOp;

    const NAME: &'static str = "text";

    fn start() -> Option<Text> {
        Some(Text::new())
    }

    fn set(value: Text) -> TextOp {
        TextOp::Set(value)
    }

    fn into_set(op: TextOp) -> Result<Text, TextOp> {
        match op {
            TextOp::Set(value) => Ok(value),
            op => Err(op),
        }
    }

    fn apply(value: &mut Text, op: TextOp) -> TextOp {
        match op {
            TextOp::Set(new) => TextOp::Set(std::mem::replace(value, new)),
            TextOp::Edit(edit) => match value.take(&edit) {
                Some(undo) => TextOp::Undo(Undo(Arc::new(undo))),
                None => TextOp::Nothing,
            },
            TextOp::Splice(splices) => match value.compose(UNSIGNED, &splices) {
                Some(edit) => Self::apply(value, TextOp::Edit(edit)),
                None => TextOp::Nothing,
            },
            TextOp::Undo(Undo(undo)) => {
                let (edit, marks) = &*undo;
                value.undo(marks);
                TextOp::Edit(edit.clone())
            }
            TextOp::Nothing => TextOp::Nothing,
        }
    }

    fn diff(old: &Text, new: &Text, each: &mut dyn FnMut(TextOp)) {
        if old.is_same(new) {
            return;
        }
        let edit = old.edit_to(new).filter(|edit| !edit.update().structs.contains_key(&UNSIGNED));
        match edit {
            Some(edit) if edit.update().is_empty() => {}
            Some(edit) => each(TextOp::Edit(edit)),
            None => each(TextOp::Set(new.clone())),
        }
    }

    fn overlap(pending: &TextOp, remote: &TextOp) -> Overlap {
        match (pending, remote) {
            (TextOp::Nothing, _) | (_, TextOp::Nothing) => Overlap::Commutes,
            (TextOp::Edit(pending), TextOp::Edit(remote))
                if pending.update().is_apart_from(remote.update()) =>
            {
                Overlap::Commutes
            }
            _ => Overlap::Conflicts,
        }
    }

    fn coalesce(earlier: &mut TextOp, later: &TextOp) -> bool {
        let (TextOp::Edit(first), TextOp::Edit(second)) = (&*earlier, later) else { return false };
        if first.bytes().len() + second.bytes().len() > MAX_FOLDED {
            return false;
        }
        let mut both = first.update().clone();
        if !both.merge(second.update()) {
            return false;
        }
        both.compact();
        *earlier = TextOp::Edit(Edit::of(both));
        true
    }

    fn undo(value: &Text, op: &TextOp, inverse: &TextOp) -> Option<TextOp> {
        match (op, inverse) {
            (_, TextOp::Undo(Undo(undo))) => {
                value.taken_back(text_scope::writer(), &undo.0, &undo.1).map(TextOp::Edit)
            }
            (_, TextOp::Set(before)) => Some(TextOp::Set(before.clone())),
            _ => None,
        }
    }

    fn decompose(value: &Text, op: &TextOp) -> Option<Vec<TextOp>> {
        match op {
            TextOp::Set(new) => {
                let splices = splice::difference(value, new);
                Some(signed(value, &splices).unwrap_or_else(|| vec![TextOp::Splice(splices)]))
            }
            TextOp::Splice(splices) => signed(value, splices),
            TextOp::Edit(_) | TextOp::Undo(_) | TextOp::Nothing => None,
        }
    }

    fn resolve(value: &Text, _track: &Versions, op: &TextOp) -> Option<TextOp> {
        let by_server = |splices: &[Splice]| {
            let edit = value.compose(SERVER, splices).unwrap_or_else(|| Edit::of(Update::default()));
            Some(TextOp::Edit(edit))
        };
        match op {
            TextOp::Set(new) => by_server(&splice::difference(value, new)),
            TextOp::Splice(splices) => by_server(splices),
            TextOp::Edit(edit) => value.resolved(edit).map(TextOp::Edit),
            TextOp::Undo(_) | TextOp::Nothing => None,
        }
    }

    fn check_op(value: &Text, op: &TextOp) -> Result<(), Invalid> {
        let TextOp::Edit(edit) = op else { return Ok(()) };
        edit.update().structs.keys().for_each(|writer| text_scope::claim(*writer));
        value.check(edit).map_err(|message| Invalid::new("edit", message))
    }

    fn record(versions: &mut Versions, touched: &TextOp, version: u64) {
        match touched {
            TextOp::Undo(Undo(undo)) => versions.edits_mut(version).push(version, undo.0.base64()),
            TextOp::Set(_) | TextOp::Edit(_) | TextOp::Splice(_) => versions.set_whole(version),
            TextOp::Nothing => {}
        }
    }

    fn delta(value: &Text, versions: &Versions, since: u64, each: &mut dyn FnMut(TextOp)) {
        if versions.changed() <= since {
            return;
        }
        let edits = versions.edits().filter(|edits| versions.whole() <= since && edits.reach(since));
        let Some(edits) = edits else { return each(TextOp::Set(value.clone())) };
        let mut merged: Option<Update> = None;
        for text in edits.since(since) {
            // They were edits when they were noted.
            let Ok(update) = value::bytes(text).and_then(|bytes| Update::read(&bytes)) else { continue };
            if merged.as_mut().is_some_and(|merged| merged.merge(&update)) {
                continue;
            }
            if let Some(before) = merged.replace(update) {
                each(TextOp::Edit(Edit::of(before)));
            }
        }
        if let Some(mut merged) = merged {
            merged.compact();
            each(TextOp::Edit(Edit::of(merged)));
        }
    }

    fn address(op: &TextOp, _path: &mut FieldPathBuf) -> Option<&'static str> {
        match op {
            TextOp::Set(_) => None,
            TextOp::Edit(_) => Some("edit"),
            TextOp::Splice(_) => Some("splice"),
            TextOp::Undo(_) | TextOp::Nothing => Some("nothing"),
        }
    }

    fn encode<S: Serializer>(op: &TextOp, serializer: S) -> Result<S::Ok, S::Error> {
        match op {
            TextOp::Set(value) => value.serialize(serializer),
            TextOp::Edit(edit) => serializer.serialize_str(&edit.base64()),
            TextOp::Splice(splices) => splices.serialize(serializer),
            TextOp::Undo(_) | TextOp::Nothing => serializer.serialize_unit(),
        }
    }

    fn decode<'de, D: Deserializer<'de>>(
        path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<TextOp, UpdateError> {
        whole(Self::NAME, path)?;
        let wrong = |error: D::Error| UpdateError::wrong_type(&error);
        match op {
            None => Text::deserialize(value).map(TextOp::Set).map_err(wrong),
            Some("edit") => {
                let text = String::deserialize(value).map_err(wrong)?;
                let edit = value::bytes(&text).and_then(Edit::read);
                edit.map(TextOp::Edit).map_err(|message| wrong(de::Error::custom(message)))
            }
            Some("splice") => Vec::deserialize(value).map(TextOp::Splice).map_err(wrong),
            Some(op) => Err(UpdateError::unknown_op(Self::NAME, op)),
        }
    }
}

impl Length for Text {
    fn length(&self) -> Option<usize> {
        Some(self.chars_len())
    }
}

impl Textual for Text {
    fn text(&self) -> Option<&str> {
        Some(self)
    }
}
