//! The document behind a text: one yrs document, and what is known of it beside.
//!
//! Deleted characters are kept for as long as the document lives, so that an edit can be taken back; they are
//! forgotten when the text is written as a whole.

use std::sync::{Mutex, OnceLock, PoisonError};

use yrs::types::text::{Diff, YChange};
use yrs::updates::decoder::Decode as _;
use yrs::{
    Any, Assoc, ClientID, Doc, GetString as _, ID, IdSet, IndexedSequence as _, OffsetKind, Options, Out,
    ReadTxn as _, Snapshot, StateVector, StickyIndex, Text as _, TextRef, Transact, TransactionMut,
};

use super::line::{Line, Run};
use super::ranges::Ranges;
use super::splice::Splice;
use super::yjs::{Clocks, Content, Id, ROOT, Struct, Update};

/// What an edit changed: enough to take it back.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Marks {
    /// Per writer, how many units there were before.
    before: Clocks,
    /// What was deleted, its own included.
    deleted: Ranges,
}

pub(super) struct Core {
    doc: Doc,
    clocks: Clocks,
    /// The units that have no place.
    gone: Ranges,
    /// The second units of the characters that have two. Of what was deleted nobody says it: it may be forgotten.
    halves: Ranges,
    plain: OnceLock<String>,
    /// The order of the units; made when an edit is made here for the first time.
    line: Mutex<Option<Line>>,
}

fn new_doc() -> Doc {
    // Nothing is written through the document itself: edits are made beside it and handed to it.
    let mut options = Options::with_guid_and_client_id("".into(), ClientID::new(0));
    options.offset_kind = OffsetKind::Utf16;
    options.skip_gc = true;
    let doc = Doc::with_options(options);
    doc.get_or_insert_text(ROOT);
    doc
}

fn ranges(set: &IdSet) -> Ranges {
    let mut ranges = Ranges::default();
    for (client, range) in
        set.iter().flat_map(|(client, ranges)| ranges.iter().map(move |range| (client, range)))
    {
        ranges.insert(client.get(), range.start..range.end);
    }
    ranges
}

fn root(txn: &TransactionMut<'_>) -> Option<TextRef> {
    txn.get_text(ROOT)
}

/// Hands bytes that were checked to a document.
fn integrate(txn: &mut TransactionMut<'_>, bytes: &[u8]) {
    let update = yrs::Update::decode_v1(bytes);
    debug_assert!(update.is_ok(), "what was checked can be read");
    if let Ok(update) = update {
        let applied = txn.apply_update(update);
        debug_assert!(applied.is_ok() && !txn.has_missing_updates(), "what was checked can be applied");
    }
}

impl Core {
    pub(super) fn new() -> Self {
        Self {
            doc: new_doc(),
            clocks: Clocks::new(),
            gone: Ranges::default(),
            halves: Ranges::default(),
            plain: OnceLock::new(),
            line: Mutex::new(None),
        }
    }

    pub(super) const fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// Checks that the document has everything that an update is about.
    pub(super) fn check(&self, update: &Update) -> Result<(), String> {
        update.check(&self.clocks, &self.gone)?;
        update.check_cuts(&self.halves)
    }

    /// The whole document, with what was deleted.
    fn bytes(&self) -> Vec<u8> {
        Transact::transact(&self.doc).encode_state_as_update_v1(&StateVector::default())
    }

    pub(super) fn copy(&self) -> Self {
        let copy = Self {
            clocks: self.clocks.clone(),
            gone: self.gone.clone(),
            halves: self.halves.clone(),
            plain: self.plain.clone(),
            ..Self::new()
        };
        integrate(&mut Transact::transact_mut(&copy.doc), &self.bytes());
        copy
    }

    /// The document as an update, what was deleted in it forgotten.
    pub(super) fn whole(&self) -> Update {
        // A document that was made of plain text reads as one.
        let mut whole = Update::read(&self.bytes()).unwrap_or_default();
        whole.compact();
        whole
    }

    pub(super) fn plain(&self) -> &str {
        self.plain.get_or_init(|| {
            let txn = Transact::transact(&self.doc);
            txn.get_text(ROOT).map(|root| root.get_string(&txn)).unwrap_or_default()
        })
    }

    /// Whether there may be a character of more than one UTF-16 unit.
    pub(super) fn is_wide(&self) -> bool {
        !self.halves.is_empty()
    }

    /// The length in UTF-16 units.
    pub(super) fn units(&self) -> usize {
        let txn = Transact::transact(&self.doc);
        txn.get_text(ROOT).map_or(0, |root| root.len(&txn)) as usize
    }

    /// Applies an update that was checked and fits; `bytes` are its own.
    pub(super) fn apply(&mut self, update: &Update, bytes: &[u8]) -> Marks {
        let before = update.spans().map(|(writer, span)| (writer, span.start)).collect();
        let deleted = {
            let mut txn = Transact::transact_mut(&self.doc);
            match update.filled() {
                Some(filled) => integrate(&mut txn, &filled.write()),
                None => integrate(&mut txn, bytes),
            }
            ranges(txn.delete_set())
        };
        for (writer, structs) in &update.structs {
            for run in structs {
                match &run.content {
                    Content::Text(_) => {
                        run.halves().for_each(|half| self.halves.insert(*writer, half..half + 1))
                    }
                    Content::Gone => self.gone.insert(*writer, run.clock..run.end()),
                    Content::Deleted => {}
                }
            }
        }
        deleted.all().for_each(|(writer, range)| self.halves.remove(writer, range));
        self.clocks.extend(update.spans().map(|(writer, span)| (writer, span.end)));
        self.plain.take();
        let line = self.line.get_mut().unwrap_or_else(PoisonError::into_inner);
        if line.as_mut().is_some_and(|line| !line.follow(update)) {
            *line = None;
        }
        Marks { before, deleted }
    }

    /// The document as it was before the last edits, `marks` being what the first of them changed.
    pub(super) fn before(&self, marks: &Marks) -> Self {
        let mut clocks = self.clocks.clone();
        let mut gone = self.gone.clone();
        for (writer, clock) in &marks.before {
            gone.truncate(*writer, *clock);
            match clock {
                0 => clocks.remove(writer),
                clock => clocks.insert(*writer, *clock),
            };
        }
        let mut before = Update::read(&self.bytes()).unwrap_or_default();
        before.deleted = before.deleted.without(&marks.deleted);
        for (writer, clock) in &marks.before {
            before.truncate(*writer, *clock);
        }
        let mut halves = Ranges::default();
        for (writer, structs) in &before.structs {
            let there = structs.iter().flat_map(Struct::halves);
            there
                .filter(|half| !before.deleted.contains(*writer, *half))
                .for_each(|half| halves.insert(*writer, half..half + 1));
        }
        let core = Self { clocks, gone, halves, ..Self::new() };
        integrate(&mut Transact::transact_mut(&core.doc), &before.write());
        core
    }

    /// What this document has and one with these clocks has not, and all that is deleted.
    pub(super) fn since(&self, clocks: &Clocks) -> Update {
        let vector = clocks.iter().map(|(writer, clock)| (ClientID::new(*writer), *clock)).collect();
        let bytes = Transact::transact(&self.doc).encode_state_as_update_v1(&StateVector::new(vector));
        Update::read(&bytes).unwrap_or_default()
    }

    /// What an edit deleted that was there before it, as splices that insert it where it was, the last place first.
    pub(super) fn deleted_by(&self, edit: &Update, marks: &Marks) -> Vec<Splice> {
        let mut own = Ranges::default();
        edit.spans().for_each(|(writer, span)| own.insert(writer, span));
        let mut deleted = IdSet::new();
        for (writer, range) in marks.deleted.without(&own).all() {
            deleted.insert(ID::new(ClientID::new(writer), range.start), range.end - range.start);
        }
        if deleted.is_empty() {
            return Vec::new();
        }
        let mut txn = Transact::transact_mut(&self.doc);
        let now = txn.snapshot();
        let mut with = now.clone();
        with.delete_set.diff_with(&deleted);
        let Some(root) = root(&txn) else { return Vec::new() };
        let (mut at, mut splices) = (0, Vec::new());
        for piece in root.diff_range(&mut txn, Some(&with), Some(&now), YChange::identity) {
            let Out::Any(Any::String(text)) = piece.insert else { continue };
            match piece.ychange {
                Some(_) => splices.push(Splice { at, delete: 0, insert: (*text).to_owned() }),
                None => at += super::yjs::units(&text),
            }
        }
        splices.reverse();
        splices
    }

    /// The edit that these splices are, made by `writer`. Positions beyond the end mean the end, and inside a
    /// character before it.
    pub(super) fn draft(&self, writer: u64, splices: &[Splice]) -> Option<Update> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let clock = self.clocks.get(&writer).copied().unwrap_or(0);
        line.get_or_insert_with(|| self.line()).draft(Id { writer, clock }, splices, &self.halves)
    }

    /// All units in order. O(n).
    fn line(&self) -> Line {
        let mut txn = Transact::transact_mut(&self.doc);
        let Snapshot { state_map, delete_set } = txn.snapshot();
        let Some(root) = root(&txn) else { return Line::default() };
        // As if nothing was deleted, and held against nothing: all runs are new, each under its number.
        let all = Snapshot::new(state_map, IdSet::new());
        let runs = root.diff_range(&mut txn, Some(&all), Some(&Snapshot::default()), YChange::identity);
        Line::new(runs.into_iter().filter_map(|Diff { insert, ychange, .. }| {
            let Out::Any(Any::String(text)) = insert else { return None };
            let id = ychange?.id;
            let units = u32::try_from(super::yjs::units(&text)).ok()?;
            Some(Run { writer: id.client.get(), clock: id.clock, units, deleted: delete_set.contains(&id) })
        }))
    }

    /// The unit to the left (`Assoc::Before`) or the right of a position in UTF-16 units.
    pub(super) fn unit_at(&self, units: usize, side: Assoc) -> Option<Id> {
        let txn = Transact::transact(&self.doc);
        let index = root_of(&txn)?.sticky_index(&txn, u32::try_from(units).ok()?, side)?;
        index.id().map(|id| Id { writer: id.client.get(), clock: id.clock })
    }

    /// The position of a unit in UTF-16 units: right of it (`Assoc::Before`) or left of it, or where it was.
    pub(super) fn position_of(&self, id: Id, side: Assoc) -> Option<usize> {
        if id.clock >= *self.clocks.get(&id.writer)? || self.gone.contains(id.writer, id.clock) {
            return None;
        }
        let txn = Transact::transact(&self.doc);
        let id = ID::new(ClientID::new(id.writer), id.clock);
        StickyIndex::from_id(id, side).get_offset(&txn).map(|offset| offset.index as usize)
    }
}

fn root_of(txn: &yrs::Transaction<'_>) -> Option<TextRef> {
    txn.get_text(ROOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three people type, delete and replace in texts of their own and are given each other's edits later: where
    /// everything is, followed edit by edit, is what a walk over the document finds.
    #[test]
    fn what_is_followed_is_where_it_is_in_the_document() {
        let mut rng = fastrand::Rng::with_seed(11);
        let (mut lost, mut followed) = (0, 0);
        for _ in 0..150 {
            let mut people: Vec<(Core, Vec<usize>)> = (0..3).map(|_| (Core::new(), vec![0; 3])).collect();
            let mut edits: [Vec<Update>; 3] = Default::default();
            for _ in 0..60 {
                let me = rng.usize(..3);
                let (core, seen) = &mut people[me];
                let length = core.units();
                let splices: Vec<Splice> = (0..rng.usize(1..3))
                    .map(|_| Splice {
                        at: rng.usize(..length + 2),
                        delete: if rng.bool() { rng.usize(..4) } else { 0 },
                        insert: (0..rng.usize(..4)).map(|_| ['a', 'b', '😀'][rng.usize(..3)]).collect(),
                    })
                    .collect();
                let writer = 10 + me as u64;
                let edit = core.draft(writer, &splices).expect("short");
                core.check(&edit).expect("an edit of what is there");
                core.apply(&edit, &edit.write());
                assert!(!core.plain().contains('\u{fffd}'), "a character is cut in two: {splices:?}");
                seen[me] += 1;
                edits[me].push(edit);
                for _ in 0..rng.usize(..4) {
                    let (to, from) = (rng.usize(..3), rng.usize(..3));
                    let (core, seen) = &mut people[to];
                    let Some(edit) = edits[from].get(seen[from]) else { continue };
                    if core.check(edit).is_ok() {
                        let had = core.line.get_mut().expect("no panic").is_some();
                        core.apply(edit, &edit.write());
                        seen[from] += 1;
                        let has = core.line.get_mut().expect("no panic").is_some();
                        lost += usize::from(had && !has);
                        followed += usize::from(had && has);
                    }
                }
                for (core, _) in &mut people {
                    let walked = core.line().all();
                    let Some(line) = core.line.get_mut().expect("no panic") else { continue };
                    assert_eq!(line.all(), walked);
                }
            }
        }
        assert!(lost > 0 && followed > lost, "{followed} followed, {lost} not");
    }
}
