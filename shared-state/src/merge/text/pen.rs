//! Edits in the making: on a second document, so that what is not applied in the end leaves no trace in the first.

use std::ops::Range;

use yrs::{Doc, GetString as _, ReadTxn as _, Text as _, Transact};

use super::core::{integrate, new_doc};
use super::splice::{Splice, Unit, convert};
use super::yjs::{Content, Id, ROOT, Struct, Update, units};

/// A second document, and the last edit that was made on it.
pub(super) struct Pen {
    doc: Doc,
    pub(super) writer: u64,
    draft: Option<Draft>,
    caret: Option<Caret>,
}

/// An edit that the first document does not have yet.
struct Draft {
    bytes: Vec<u8>,
    /// Whether the second document has it.
    is_here: bool,
    /// Where it leaves the caret.
    caret: Option<Caret>,
}

/// Right of what was typed last, with nothing applied since: whoever types on there needs no look for the place.
#[derive(Clone)]
struct Caret {
    /// In UTF-16 units.
    at: usize,
    left: Id,
    right: Option<Id>,
    /// The units before it that were typed in a row and are still there.
    typed: Range<u32>,
}

impl Pen {
    pub(super) fn new(writer: u64, document: &[u8]) -> Self {
        let doc = new_doc(writer);
        integrate(&mut Transact::transact_mut(&doc), document);
        Self { doc, writer, draft: None, caret: None }
    }

    /// Whether the second document has what the first one has, and nothing else.
    pub(super) fn is_ready(&self) -> bool {
        self.draft.as_ref().is_none_or(|draft| !draft.is_here)
    }

    /// The first document was given an edit. Says whether this pen can go on.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> bool {
        match self.draft.take() {
            Some(draft) if draft.bytes == bytes => {
                if !draft.is_here {
                    integrate(&mut Transact::transact_mut(&self.doc), bytes);
                }
                self.caret = draft.caret;
                true
            }
            Some(draft) if draft.is_here => false,
            _ => {
                integrate(&mut Transact::transact_mut(&self.doc), bytes);
                self.caret = None;
                true
            }
        }
    }

    /// Types or deletes at the caret; `clock` is the writer's next.
    pub(super) fn type_on(&mut self, splice: &Splice, clock: u32) -> Option<Vec<u8>> {
        let mut caret = self.caret.clone()?;
        let mut update = Update::default();
        let Splice { at, delete, insert } = splice;
        if *delete == 0 && *at == caret.at {
            let length = u32::try_from(units(insert)).ok()?;
            let content = Content::Text(insert.clone());
            let run = Struct { clock, units: length, origin: Some(caret.left), right: caret.right, content };
            let end = run.end();
            update.structs.insert(self.writer, vec![run]);
            caret.at += length as usize;
            caret.left = Id { writer: self.writer, clock: end - 1 };
            caret.typed = if caret.typed.end == clock { caret.typed.start } else { clock }..end;
        } else if insert.is_empty()
            && at.checked_add(*delete) == Some(caret.at)
            && *delete <= caret.typed.len()
        {
            let start = caret.typed.end - u32::try_from(*delete).ok()?;
            update.deleted.insert(self.writer, start..caret.typed.end);
            caret.at = *at;
            caret.typed.end = start;
        } else {
            return None;
        }
        let bytes = update.write();
        self.draft = Some(Draft { bytes: bytes.clone(), is_here: false, caret: Some(caret) });
        Some(bytes)
    }

    /// Makes an edit of splices, one after another; `exact` if they may be inside characters.
    pub(super) fn write(&mut self, splices: &[Splice], exact: bool) -> Option<Vec<u8>> {
        let mut txn = Transact::transact_mut(&self.doc);
        let root = txn.get_text(ROOT)?;
        let mut last = 0;
        for splice in splices {
            let (start, end) = (splice.at, splice.at.saturating_add(splice.delete));
            let (at, end) = if exact {
                let text = root.get_string(&txn);
                let place = |at| convert(&text, at, Unit::Utf16, Unit::Utf16);
                (place(start), place(end))
            } else {
                (start, end)
            };
            let length = root.len(&txn);
            let within = |at| u32::try_from(at).unwrap_or(u32::MAX).min(length);
            let (at, delete) = (within(at), within(end) - within(at));
            if delete > 0 {
                root.remove_range(&mut txn, at, delete);
            }
            root.insert(&mut txn, at, &splice.insert);
            last = at as usize;
        }
        let bytes = txn.encode_update_v1();
        drop(txn);
        let caret = match splices {
            [_] => self.caret_after(&bytes, last),
            _ => None,
        };
        self.draft = Some(Draft { bytes: bytes.clone(), is_here: true, caret });
        Some(bytes)
    }

    fn caret_after(&self, bytes: &[u8], at: usize) -> Option<Caret> {
        let update = Update::read(bytes).ok()?;
        let [run] = &update.structs.get(&self.writer)?[..] else { return None };
        Some(Caret {
            at: at + run.units as usize,
            left: Id { writer: self.writer, clock: run.end() - 1 },
            right: run.right,
            typed: run.clock..run.end(),
        })
    }
}
