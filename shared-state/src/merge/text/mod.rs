//! The policy [`TextOf`]: concurrent edits of a text are merged character by character, and only the edits
//! are sent.
//!
//! The merge rules are those of Yjs (the algorithm YATA; Nicolaescu et al., 2016): every character is inserted
//! between two others, the characters that several clients insert at one place stay together for each client,
//! and a deleted character stays deleted. Edits are Yjs updates, so an editor made for Yjs can take part. The
//! document that they are merged into is this module's own, see [`document`]: the server orders all edits, so
//! an edit can be taken back exactly, and its work is bounded before it is done.
//!
//! # Differences from Yjs
//! * An edit that refers to characters which the text does not have is refused; Yjs would keep it for later.
//!   An edit of anything but plain text is refused too.
//! * The server settles an edit: the neighbours that its insertions name are replaced by those that they have
//!   where the rules put them. What everybody applies then has adjacent neighbours.
//! * A refused edit leaves no trace on the server, so its clocks are missing there. The client's next
//!   accepted edit is given a GC struct that fills the gap. An edit that refers to characters of the refused
//!   one is refused as well.
//! * Each client numbers its characters under a client id of its own. The server refuses edits under another
//!   client's id.
//! * Setting the whole text means the difference to the current text.
//!
//! # Bounds
//! The edits of a change have 8,192 parts at most (insertions and deleted ranges), and a text 262,144 runs,
//! deleted ones included. The text of what is deleted is not kept.

mod anchor;
mod compose;
mod core;
mod diff;
mod document;
mod handle;
pub(crate) mod id_set;
mod order;
mod pages;
mod run;
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

use self::core::{MAX_CLIENTS, MAX_PARTS};
use self::document::Effect;
use crate::core::rules::{Length, Textual};
use crate::core::{FieldPath, FieldPathBuf, Invalid, UpdateError};
use crate::core::{MergePolicy, Overlap, UndoGuard, Versions, no_parts, reading, text_scope};
use yjs::Update;

/// The client id of the characters of a text that was made from a string.
pub(crate) const INITIAL: u64 = 0;
/// The client id of the server's edits.
pub(crate) const SERVER: u64 = 1;
/// The client id of edits that have no author yet: those of a text outside a room.
pub(crate) const UNSIGNED: u64 = 2;

/// The size limit, in bytes, of an edit that others are folded into.
const MAX_FOLDED: usize = 16 << 10;

/// The policy of `#[shared(text)]`.
///
/// # Costs
/// * Sending an edit costs its Yjs update, which holds what was typed and deleted.
/// * Making an edit costs O(√n) in the number of runs of the text.
/// * Applying an edit costs about a microsecond for each of its parts: O(log n) and the change of a chunk of
///   at most 64 runs. Taking it back costs the same.
/// * A clone costs nothing until one of the two changes, and then O(√n).
#[derive(Clone, Copy, Debug)]
pub struct TextOf;

/// A Yjs update of one text: what a client typed and deleted.
#[derive(Clone)]
pub struct Edit(Arc<Parts>);

struct Parts {
    bytes: Vec<u8>,
    update: Update,
}

impl Edit {
    /// Decodes a Yjs update, version 1.
    ///
    /// # Errors
    /// A message for people: the update is damaged, or not about exactly one plain text.
    pub fn read(bytes: Vec<u8>) -> Result<Self, String> {
        let update = Update::read(&bytes)?;
        Ok(Self(Arc::new(Parts { bytes, update })))
    }

    fn of(update: Update) -> Self {
        Self(Arc::new(Parts { bytes: update.write(), update }))
    }

    /// The encoded Yjs update.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    fn update(&self) -> &Update {
        &self.0.update
    }

    /// Whether the two are one edit, and not only equal.
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
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
    /// Applies a Yjs update.
    Edit(Edit),
    /// Edits by position, applied one after another. Positions refer to the text at that moment.
    Splice(Vec<Splice>),
    /// The inverse of the last edit.
    Undo(Undo),
    /// The inverse of an operation that had no effect.
    Nothing,
}

/// The operation of an inverse, which is never sent; see [`text_scope::carrying`].
const UNDO: &str = "undo";

/// The inverse of an edit. It can be applied as long as that edit is the last one.
#[derive(Clone, Debug, PartialEq)]
pub struct Undo(Arc<(Edit, Effect)>);

/// The splices as edits under the client id of the current scope. `None` if the scope has no client id and
/// the splices are not empty.
fn signed(value: &Text, splices: &[Splice]) -> Option<Vec<TextOp>> {
    let signed = |client| value.compose(client, splices).map(TextOp::Edit);
    match text_scope::writer() {
        0 if splices.is_empty() => Some(Vec::new()),
        0 => None,
        client => Some(signed(client).into_iter().collect()),
    }
}

/// Takes what operations by position or as a whole cost from the change's budget of work: more parts each than
/// those of an edit, because each looks for its positions or for differences.
fn spend_on(rule: &'static str, count: usize, parts: usize) -> Result<(), Invalid> {
    if count <= MAX_PARTS / parts && text_scope::spend(parts * count, MAX_PARTS) {
        return Ok(());
    }
    let most = MAX_PARTS / parts;
    Err(Invalid::new(rule, format!("a change has at most {most} operations `{rule}` on texts")))
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
            TextOp::Edit(edit) => match value.apply_edit(&edit) {
                Some(undo) => TextOp::Undo(Undo(Arc::new(undo))),
                None => TextOp::Nothing,
            },
            TextOp::Splice(splices) => match value.compose(UNSIGNED, &splices) {
                Some(edit) => Self::apply(value, TextOp::Edit(edit)),
                None => TextOp::Nothing,
            },
            TextOp::Undo(Undo(undo)) => {
                let (edit, effect) = &*undo;
                value.revert(effect);
                TextOp::Edit(edit.clone())
            }
            TextOp::Nothing => TextOp::Nothing,
        }
    }

    fn diff(old: &Text, new: &Text, each: &mut dyn FnMut(TextOp)) {
        if old.is_same(new) || reading::is_reading() && old.as_str() == new.as_str() {
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
                if pending.update().commutes_with(remote.update()) =>
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

    fn undo_guard(op: &TextOp) -> UndoGuard {
        match op {
            TextOp::Set(_) => UndoGuard::Anything,
            // Only the characters that the edit inserted or deleted are undone.
            TextOp::Edit(_) | TextOp::Splice(_) | TextOp::Undo(_) | TextOp::Nothing => UndoGuard::Replaced,
        }
    }

    fn has_effect(value: &Text, op: &TextOp) -> bool {
        match op {
            TextOp::Set(new) => !value.is_same(new),
            TextOp::Edit(edit) => !edit.update().is_empty(),
            TextOp::Splice(splices) => {
                splices.iter().any(|splice| splice.delete > 0 || !splice.insert.is_empty())
            }
            TextOp::Undo(_) => true,
            TextOp::Nothing => false,
        }
    }

    fn undo(value: &Text, op: &TextOp, inverse: &TextOp) -> Option<TextOp> {
        match (op, inverse) {
            (_, TextOp::Undo(Undo(undo))) => {
                value.undo_edit(text_scope::writer(), &undo.0, &undo.1).map(TextOp::Edit)
            }
            (_, TextOp::Set(before)) => Some(TextOp::Set(before.clone())),
            _ => None,
        }
    }

    fn decompose(value: &Text, op: &TextOp) -> Option<Vec<TextOp>> {
        match op {
            TextOp::Set(new) => {
                let splices = diff::difference(value, new);
                Some(signed(value, &splices).unwrap_or_else(|| vec![TextOp::Splice(splices)]))
            }
            TextOp::Splice(splices) => signed(value, splices),
            TextOp::Edit(_) | TextOp::Undo(_) | TextOp::Nothing => None,
        }
    }

    fn resolve(value: &Text, _versions: &Versions, op: &TextOp) -> Option<TextOp> {
        let by_server = |splices: &[Splice]| {
            let edit = value.compose(SERVER, splices).unwrap_or_else(|| Edit::of(Update::default()));
            Some(TextOp::Edit(edit))
        };
        match op {
            TextOp::Set(new) => by_server(&diff::difference(value, new)),
            TextOp::Splice(splices) => by_server(splices),
            TextOp::Edit(edit) => value.resolved(edit).map(TextOp::Edit),
            TextOp::Undo(_) | TextOp::Nothing => None,
        }
    }

    fn check_op(value: &Text, op: &TextOp) -> Result<(), Invalid> {
        let edit = match op {
            TextOp::Edit(edit) => edit,
            TextOp::Set(_) => return spend_on("set", 1, 16),
            TextOp::Splice(splices) => return spend_on("splice", splices.len(), 4),
            TextOp::Undo(_) | TextOp::Nothing => return Ok(()),
        };
        // Their number is bounded first: each is compared with all others of the change.
        if edit.update().structs.len() <= MAX_CLIENTS {
            edit.update().structs.keys().for_each(|client| text_scope::claim(*client));
        }
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
            // The log contains nothing but encoded edits.
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
            TextOp::Undo(_) if text_scope::is_carrying() => Some(UNDO),
            TextOp::Undo(_) | TextOp::Nothing => Some("nothing"),
        }
    }

    fn encode<S: Serializer>(op: &TextOp, serializer: S) -> Result<S::Ok, S::Error> {
        match op {
            TextOp::Set(value) => value.serialize(serializer),
            TextOp::Edit(edit) if text_scope::is_tracing() => {
                text_scope::trace(edit.update().inserted(), Vec::new());
                serializer.serialize_unit()
            }
            TextOp::Edit(edit) => serializer.serialize_str(&edit.base64()),
            TextOp::Splice(splices) => splices.serialize(serializer),
            TextOp::Undo(Undo(undo)) if text_scope::is_tracing() => {
                text_scope::trace(Vec::new(), undo.1.deleted());
                serializer.serialize_unit()
            }
            TextOp::Undo(Undo(undo)) => match text_scope::carry(undo.clone()) {
                Some(number) => number.serialize(serializer),
                None => serializer.serialize_unit(),
            },
            TextOp::Nothing => serializer.serialize_unit(),
        }
    }

    fn decode<'de, D: Deserializer<'de>>(
        path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<TextOp, UpdateError> {
        if !path.is_end() {
            return Err(no_parts(Self::NAME, path));
        }
        let wrong = |error: D::Error| UpdateError::wrong_type(&error);
        match op {
            None => Text::deserialize(value).map(TextOp::Set).map_err(wrong),
            Some("edit") => {
                let text = String::deserialize(value).map_err(wrong)?;
                let edit = value::bytes(&text).and_then(Edit::read);
                edit.map(TextOp::Edit).map_err(|message| wrong(de::Error::custom(message)))
            }
            Some(UNDO) if text_scope::is_carrying() => {
                let undo = text_scope::carried(usize::deserialize(value).map_err(wrong)?);
                let undo = undo.and_then(|undo| undo.downcast().ok());
                undo.map(|undo| TextOp::Undo(Undo(undo)))
                    .ok_or_else(|| UpdateError::unknown_op(Self::NAME, UNDO))
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
