//! The document behind a text: one yrs document, and what is known of it beside.
//!
//! Deleted characters are kept for as long as the document lives, so that an edit can be taken back; they are
//! forgotten when the text is written as a whole.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use yrs::types::text::YChange;
use yrs::{
    Any, Assoc, ClientID, Doc, GetString as _, ID, IdSet as YrsIdSet, IndexedSequence as _, Out,
    ReadTxn as _, StateVector, StickyIndex, Text as _, Transact,
};

use super::id_set::IdSet;
use super::position_index::PositionIndex;
use super::splice::Splice;
use super::yjs::{Clocks, Content, Id, ROOT, Update};
use super::{document, rebuild};

/// What an edit changed: enough to take it back.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Marks {
    /// Per writer, how many units there were before.
    before: Clocks,
    /// What was deleted, its own included.
    deleted: IdSet,
}

pub(super) struct Core {
    doc: Doc,
    clocks: Clocks,
    /// The units that have no place.
    gone: IdSet,
    /// The second units of the characters that have two. Of what was deleted nobody says it: it may be forgotten.
    low_surrogates: IdSet,
    /// Those of what was deleted and is not forgotten too.
    all_halves: IdSet,
    /// Deleted characters in whose middle something was inserted, by their first units: the document has lost them.
    cut: BTreeMap<Id, char>,
    plain: OnceLock<String>,
    /// Made when an edit is made here for the first time.
    order: Mutex<Option<PositionIndex>>,
}

impl Core {
    pub(super) fn new() -> Self {
        Self {
            doc: document::new(),
            clocks: Clocks::new(),
            gone: IdSet::default(),
            low_surrogates: IdSet::default(),
            all_halves: IdSet::default(),
            cut: BTreeMap::new(),
            plain: OnceLock::new(),
            order: Mutex::new(None),
        }
    }

    pub(super) const fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// Checks that the document has everything that an update is about.
    pub(super) fn check(&self, update: &Update) -> Result<(), String> {
        update.check(&self.clocks, &self.gone)?;
        update.check_cuts(&self.low_surrogates)
    }

    pub(super) fn copy(&self) -> Self {
        let copy = Self {
            clocks: self.clocks.clone(),
            gone: self.gone.clone(),
            low_surrogates: self.low_surrogates.clone(),
            all_halves: self.all_halves.clone(),
            cut: self.cut.clone(),
            plain: self.plain.clone(),
            order: Mutex::new(self.order().clone()),
            ..Self::new()
        };
        document::integrate(&copy.doc, &document::bytes(&self.doc));
        copy
    }

    /// The document as an update, what was deleted in it forgotten.
    pub(super) fn whole(&self) -> Update {
        // A document that was made of plain text reads as one.
        let mut whole = document::read(&self.doc);
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
        !self.low_surrogates.is_empty()
    }

    /// The length in UTF-16 units.
    pub(super) fn units(&self) -> usize {
        let txn = Transact::transact(&self.doc);
        txn.get_text(ROOT).map_or(0, |root| root.len(&txn)) as usize
    }

    /// Applies an update that was checked and fits; `bytes` are its own.
    pub(super) fn apply(&mut self, update: &Update, bytes: &[u8]) -> Marks {
        let before = update.spans().map(|(writer, span)| (writer, span.start)).collect();
        let low_surrogates = update.low_surrogates();
        self.note_cuts(update, &low_surrogates);
        let deleted = document::integrate(&self.doc, bytes);
        for (writer, structs) in &update.structs {
            for run in structs.iter().filter(|run| run.content == Content::Gc) {
                self.gone.insert(*writer, run.clock..run.end());
            }
        }
        self.low_surrogates.extend(&low_surrogates);
        self.all_halves.extend(&low_surrogates);
        deleted.all().for_each(|(writer, range)| self.low_surrogates.remove(writer, range));
        self.clocks.extend(update.spans().map(|(writer, span)| (writer, span.end)));
        self.plain.take();
        let order = self.order.get_mut().unwrap_or_else(PoisonError::into_inner);
        if order.as_mut().is_some_and(|order| !order.follow(update, &deleted)) {
            *order = None;
        }
        Marks { before, deleted }
    }

    /// Notes the characters that an update is about to cut in two, which it may if they are deleted; `own` are the
    /// second units of those that it inserts.
    fn note_cuts(&mut self, update: &Update, own: &IdSet) {
        if self.all_halves.is_empty() && own.is_empty() {
            return;
        }
        let is_half =
            |id: &Id| self.all_halves.contains(id.writer, id.clock) || own.contains(id.writer, id.clock);
        let cuts: Vec<Id> = update.places().filter(is_half).collect();
        if cuts.is_empty() {
            return;
        }
        let document = document::read(&self.doc);
        for second in cuts {
            let first = Id { clock: second.clock - 1, ..second };
            if let Some(c) = document.char_at(first).or_else(|| update.char_at(first)) {
                self.cut.entry(first).or_insert(c);
            }
        }
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
        let mut before = document::read(&self.doc);
        before.deleted = before.deleted.without(&marks.deleted);
        for (writer, clock) in &marks.before {
            before.truncate(*writer, *clock);
        }
        // The numbers of what goes will be given to something else.
        let mut cut = self.cut.clone();
        cut.retain(|id, _| clocks.get(&id.writer).is_some_and(|end| id.clock < *end));
        before.mend(&cut);
        let mut all_halves = self.all_halves.clone();
        for (writer, clock) in &marks.before {
            all_halves.truncate(*writer, *clock);
        }
        let low_surrogates = before.low_surrogates().without(&before.deleted);
        let core = Self { clocks, gone, low_surrogates, all_halves, cut, ..Self::new() };
        document::integrate(&core.doc, &before.write());
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
        let own: IdSet = edit.spans().collect();
        let mut deleted = YrsIdSet::new();
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
        let Some(root) = txn.get_text(ROOT) else { return Vec::new() };
        let (mut at, mut splices) = (0, Vec::new());
        for piece in root.diff_range(&mut txn, Some(&with), Some(&now), YChange::identity) {
            let Out::Any(Any::String(text)) = piece.insert else { continue };
            match piece.ychange {
                Some(change) => {
                    let first = Id { writer: change.id.client.get(), clock: change.id.clock };
                    splices.push(Splice { at, delete: 0, insert: self.mended(first, &text) });
                }
                None => at += super::yjs::units(&text),
            }
        }
        splices.reverse();
        splices
    }

    /// A text that begins with this unit, with the characters in it that were cut in two, whole where they began.
    fn mended(&self, first: Id, text: &str) -> String {
        let mut clock = first.clock;
        let mend = |c: char| {
            let here = Id { clock, ..first };
            clock += c.len_utf16() as u32;
            let before = here.clock.checked_sub(1).map(|clock| Id { clock, ..here });
            match c {
                '\u{fffd}' if before.is_some_and(|id| self.cut.contains_key(&id)) => None,
                '\u{fffd}' => Some(self.cut.get(&here).copied().unwrap_or(c)),
                c => Some(c),
            }
        };
        text.chars().filter_map(mend).collect()
    }

    /// The edit that these splices are, made by `writer`. Positions beyond the end mean the end, and inside a
    /// character before it.
    pub(super) fn compose(&self, writer: u64, splices: &[Splice]) -> Option<Update> {
        let mut order = self.order();
        let clock = self.clocks.get(&writer).copied().unwrap_or(0);
        let order = order.get_or_insert_with(|| rebuild::positions(&self.doc));
        order.compose(Id { writer, clock }, splices, &self.low_surrogates)
    }

    fn order(&self) -> MutexGuard<'_, Option<PositionIndex>> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The unit to the left (`Assoc::Before`) or the right of a position in UTF-16 units.
    pub(super) fn unit_at(&self, units: usize, side: Assoc) -> Option<Id> {
        let txn = Transact::transact(&self.doc);
        let index = txn.get_text(ROOT)?.sticky_index(&txn, u32::try_from(units).ok()?, side)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_was_cut_in_two_comes_back_whole() {
        let parts =
            |structs: &[u8], deleted: &[u8]| Update::read(&[structs, deleted].concat()).expect("an update");
        let (text, delete) = ([1, 1, 0, 0, 4, 1, 4, b't', b'e', b'x', b't', 5], [1, 0, 1, 0, 2]);
        let text = parts(&[&text[..], "😀x".as_bytes()].concat(), &[0]);
        // Between the two units of the first character.
        let inside = [1, 1, 5, 0, 0xC4, 0, 0, 0, 1, 1, b'a'];
        let mut core = Core::new();
        let apply = |core: &mut Core, update: &Update| {
            core.check(update).expect("an edit of what is there");
            core.apply(update, &update.write())
        };
        apply(&mut core, &text);
        assert!(core.check(&parts(&inside, &[0])).is_err(), "it is there");

        let mut one = core.copy();
        let both = parts(&inside, &delete);
        let marks = apply(&mut one, &both);
        assert_eq!(one.plain(), "ax");
        assert_eq!(one.before(&marks).plain(), "😀x");
        let back = [Splice { at: 0, delete: 0, insert: "😀".into() }, Splice { at: 1, ..Splice::default() }];
        assert_eq!(one.deleted_by(&both, &marks), back.into_iter().rev().collect::<Vec<_>>());

        let deleted = parts(&[0], &delete);
        let first = apply(&mut core, &deleted);
        let second = apply(&mut core, &parts(&inside, &[0]));
        let before = core.before(&second);
        assert_eq!((core.plain(), before.plain()), ("ax", "x"));
        assert_eq!(before.before(&first).plain(), "😀x");
        assert!(before.before(&first).check(&parts(&inside, &[0])).is_err(), "it is there again");
    }

    #[test]
    fn a_character_that_was_taken_back_is_not_taken_for_the_next_one_with_its_number() {
        let mut core = Core::new();
        let apply = |core: &mut Core, update: &Update| {
            core.check(update).expect("an edit of what is there");
            core.apply(update, &update.write())
        };
        // Writer 5 inserts a character, something in its middle, and deletes the character.
        let cut = |whole: &str| {
            let head = [1, 2, 5, 0, 4, 1, 4, b't', b'e', b'x', b't', 4];
            let tail = [0xC4, 5, 0, 5, 1, 1, b'a', 1, 5, 1, 0, 2];
            Update::read(&[&head[..], whole.as_bytes(), &tail].concat()).expect("an update")
        };
        let marks = apply(&mut core, &cut("😀"));
        assert_eq!(core.plain(), "a");
        let mut core = core.before(&marks);
        assert_eq!(core.plain(), "");

        let whole = Splice { at: 0, delete: 0, insert: "🎉".into() };
        let edit = core.compose(5, &[whole]).expect("short");
        apply(&mut core, &edit);
        let (start, end) = ([1, 1, 6, 0, 0xC4, 5, 0, 5, 1, 1, b'b'], [1, 5, 1, 0, 2]);
        let marks = apply(&mut core, &Update::read(&[&start[..], &end].concat()).expect("an update"));
        assert_eq!(core.plain(), "b");
        assert_eq!(core.before(&marks).plain(), "🎉");
    }

    /// Three people type, delete and replace in texts of their own, are given each other's edits later and forget what
    /// was deleted: the order, followed edit by edit, is what a walk over the document finds.
    #[test]
    fn the_order_that_is_followed_is_that_of_the_document() {
        let mut rng = fastrand::Rng::with_seed(11);
        let (mut lost, mut followed) = (0, 0);
        for _ in 0..60 {
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
                let edit = core.compose(writer, &splices).expect("short");
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
                        let had = core.order().is_some();
                        core.apply(edit, &edit.write());
                        seen[from] += 1;
                        let has = core.order().is_some();
                        lost += usize::from(had && !has);
                        followed += usize::from(had && has);
                    }
                }
                for (core, _) in &mut people {
                    if rng.u8(..20) == 0 {
                        let (whole, order) = (core.whole(), rebuild::positions(&core.doc).all());
                        *core = Core::new();
                        core.apply(&whole, &whole.write());
                        assert_eq!(rebuild::positions(&core.doc).all(), order);
                    }
                    let walked = rebuild::positions(&core.doc).all();
                    let Some(order) = &*core.order() else { continue };
                    assert_eq!(order.all(), walked);
                }
            }
        }
        assert!(lost > 0 && followed > lost, "{followed} followed, {lost} not");
    }
}
