//! The document of a text: one yrs document, and what this crate has to know beside it.
//!
//! Deleted characters are kept while the document is in memory, so that an edit can be undone. They are
//! dropped when the text is serialized as a whole.

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

/// The effect of an edit: enough to revert it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Effect {
    /// The number of units that each client had before.
    before: Clocks,
    /// The units that the edit deleted, including its own.
    deleted: IdSet,
}
/// A yrs document with its bookkeeping. [`Text`](super::Text) shares it between clones.

pub(super) struct Core {
    doc: Doc,
    clocks: Clocks,
    /// The units that have no place in the text.
    gc: IdSet,
    /// The second units of the characters of two units. Those of deleted characters are left out on every
    /// replica, because some replicas may have dropped the characters.
    low_surrogates: IdSet,
    /// The same, including deleted characters that the document still has.
    all_low_surrogates: IdSet,
    /// Deleted characters in the middle of which something was inserted, by their first units. The document
    /// has lost them.
    cut: BTreeMap<Id, char>,
    plain: OnceLock<String>,
    /// Built when the first local edit is made.
    index: Mutex<Option<PositionIndex>>,
}

impl Core {
    pub(super) fn new() -> Self {
        Self {
            doc: document::new(),
            clocks: Clocks::new(),
            gc: IdSet::default(),
            low_surrogates: IdSet::default(),
            all_low_surrogates: IdSet::default(),
            cut: BTreeMap::new(),
            plain: OnceLock::new(),
            index: Mutex::new(None),
        }
    }

    pub(super) const fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// Checks that the document has everything that an update refers to.
    pub(super) fn check(&self, update: &Update) -> Result<(), String> {
        update.check(&self.clocks, &self.gc)?;
        update.check_cuts(&self.low_surrogates)
    }

    pub(super) fn copy(&self) -> Self {
        let copy = Self {
            clocks: self.clocks.clone(),
            gc: self.gc.clone(),
            low_surrogates: self.low_surrogates.clone(),
            all_low_surrogates: self.all_low_surrogates.clone(),
            cut: self.cut.clone(),
            plain: self.plain.clone(),
            index: Mutex::new(self.index().clone()),
            ..Self::new()
        };
        document::integrate(&copy.doc, &document::bytes(&self.doc));
        copy
    }

    /// The document as an update, without the deleted characters.
    pub(super) fn whole(&self) -> Update {
        // The canonical form: `as_plain` recognises a document that was made from a string.
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

    /// Whether the text may have characters of more than one UTF-16 unit.
    pub(super) fn is_wide(&self) -> bool {
        !self.low_surrogates.is_empty()
    }

    /// The length in UTF-16 units.
    pub(super) fn units(&self) -> usize {
        let txn = Transact::transact(&self.doc);
        txn.get_text(ROOT).map_or(0, |root| root.len(&txn)) as usize
    }

    /// Applies an update that was checked and that continues the clocks of this document. `bytes` is its
    /// encoded form.
    pub(super) fn apply(&mut self, update: &Update, bytes: &[u8]) -> Effect {
        let before = update.spans().map(|(client, span)| (client, span.start)).collect();
        let low_surrogates = update.low_surrogates();
        self.note_cuts(update, &low_surrogates);
        let deleted = document::integrate(&self.doc, bytes);
        for (client, structs) in &update.structs {
            for run in structs.iter().filter(|run| run.content == Content::Gc) {
                self.gc.insert(*client, run.clock..run.end());
            }
        }
        self.low_surrogates.extend(&low_surrogates);
        self.all_low_surrogates.extend(&low_surrogates);
        deleted.all().for_each(|(client, range)| self.low_surrogates.remove(client, range));
        self.clocks.extend(update.spans().map(|(client, span)| (client, span.end)));
        self.plain.take();
        let index = self.index.get_mut().unwrap_or_else(PoisonError::into_inner);
        if index.as_mut().is_some_and(|index| !index.follow(update, &deleted)) {
            *index = None;
        }
        Effect { before, deleted }
    }

    /// Records the characters that an update is going to cut in two, which it may do if they are deleted.
    /// `own` are the second units of the characters that the update inserts.
    fn note_cuts(&mut self, update: &Update, own: &IdSet) {
        if self.all_low_surrogates.is_empty() && own.is_empty() {
            return;
        }
        let is_low_surrogate = |id: &Id| {
            self.all_low_surrogates.contains(id.client, id.clock) || own.contains(id.client, id.clock)
        };
        let cuts: Vec<Id> = update.places().filter(is_low_surrogate).collect();
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

    /// The document as it was before its last edits, of which `effect` is the first one's effect.
    pub(super) fn before(&self, effect: &Effect) -> Self {
        let mut clocks = self.clocks.clone();
        let mut gc = self.gc.clone();
        for (client, clock) in &effect.before {
            gc.truncate(*client, *clock);
            match clock {
                0 => clocks.remove(client),
                clock => clocks.insert(*client, *clock),
            };
        }
        let mut before = document::read(&self.doc);
        before.deleted = before.deleted.without(&effect.deleted);
        for (client, clock) in &effect.before {
            before.truncate(*client, *clock);
        }
        // The clocks of the removed units will be used again.
        let mut cut = self.cut.clone();
        cut.retain(|id, _| clocks.get(&id.client).is_some_and(|end| id.clock < *end));
        before.mend(&cut);
        let mut all_low_surrogates = self.all_low_surrogates.clone();
        for (client, clock) in &effect.before {
            all_low_surrogates.truncate(*client, *clock);
        }
        let low_surrogates = before.low_surrogates().without(&before.deleted);
        let core = Self { clocks, gc, low_surrogates, all_low_surrogates, cut, ..Self::new() };
        document::integrate(&core.doc, &before.write());
        core
    }

    /// The units that this document has and one with these clocks lacks, and all deletions.
    pub(super) fn since(&self, clocks: &Clocks) -> Update {
        let vector = clocks.iter().map(|(client, clock)| (ClientID::new(*client), *clock)).collect();
        let bytes = Transact::transact(&self.doc).encode_state_as_update_v1(&StateVector::new(vector));
        Update::read(&bytes).unwrap_or_default()
    }

    /// The characters that an edit deleted and that were there before it, as splices that insert them where
    /// they were, the last position first.
    pub(super) fn deleted_by(&self, edit: &Update, effect: &Effect) -> Vec<Splice> {
        let own: IdSet = edit.spans().collect();
        let mut deleted = YrsIdSet::new();
        for (client, range) in effect.deleted.without(&own).all() {
            deleted.insert(ID::new(ClientID::new(client), range.start), range.end - range.start);
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
                    let first = Id { client: change.id.client.get(), clock: change.id.clock };
                    splices.push(Splice { at, delete: 0, insert: self.mended(first, &text) });
                }
                None => at += super::yjs::units(&text),
            }
        }
        splices.reverse();
        splices
    }

    /// Restores the characters of `text` that were cut in two. `first` is the unit that `text` begins with.
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

    /// The splices as an edit by `client`. A position beyond the end is the end, and one inside a character
    /// is before it.
    pub(super) fn compose(&self, client: u64, splices: &[Splice]) -> Option<Update> {
        let mut index = self.index();
        let clock = self.clocks.get(&client).copied().unwrap_or(0);
        let index = index.get_or_insert_with(|| rebuild::positions(&self.doc));
        index.compose(Id { client, clock }, splices, &self.low_surrogates)
    }

    fn index(&self) -> MutexGuard<'_, Option<PositionIndex>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The unit to the left (`Assoc::Before`) or right of a position in UTF-16 units.
    pub(super) fn unit_at(&self, units: usize, side: Assoc) -> Option<Id> {
        let txn = Transact::transact(&self.doc);
        let index = txn.get_text(ROOT)?.sticky_index(&txn, u32::try_from(units).ok()?, side)?;
        index.id().map(|id| Id { client: id.client.get(), clock: id.clock })
    }

    /// The position of a unit in UTF-16 units: right of the unit (`Assoc::Before`), left of it, or where it
    /// was.
    pub(super) fn position_of(&self, id: Id, side: Assoc) -> Option<usize> {
        if id.clock >= *self.clocks.get(&id.client)? || self.gc.contains(id.client, id.clock) {
            return None;
        }
        let txn = Transact::transact(&self.doc);
        let id = ID::new(ClientID::new(id.client), id.clock);
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
        let effect = apply(&mut one, &both);
        assert_eq!(one.plain(), "ax");
        assert_eq!(one.before(&effect).plain(), "😀x");
        let back = [Splice { at: 0, delete: 0, insert: "😀".into() }, Splice { at: 1, ..Splice::default() }];
        assert_eq!(one.deleted_by(&both, &effect), back.into_iter().rev().collect::<Vec<_>>());

        let deleted = parts(&[0], &delete);
        let first = apply(&mut core, &deleted);
        let second = apply(&mut core, &parts(&inside, &[0]));
        let before = core.before(&second);
        assert_eq!((core.plain(), before.plain()), ("ax", "x"));
        assert_eq!(before.before(&first).plain(), "😀x");
        assert!(before.before(&first).check(&parts(&inside, &[0])).is_err(), "it is there again");
    }

    #[test]
    fn a_reverted_character_is_not_confused_with_the_next_one_of_its_clock() {
        let mut core = Core::new();
        let apply = |core: &mut Core, update: &Update| {
            core.check(update).expect("an edit of what is there");
            core.apply(update, &update.write())
        };
        // Client 5 inserts a character, then something in the middle of it, and deletes the character.
        let cut = |whole: &str| {
            let head = [1, 2, 5, 0, 4, 1, 4, b't', b'e', b'x', b't', 4];
            let tail = [0xC4, 5, 0, 5, 1, 1, b'a', 1, 5, 1, 0, 2];
            Update::read(&[&head[..], whole.as_bytes(), &tail].concat()).expect("an update")
        };
        let effect = apply(&mut core, &cut("😀"));
        assert_eq!(core.plain(), "a");
        let mut core = core.before(&effect);
        assert_eq!(core.plain(), "");

        let whole = Splice { at: 0, delete: 0, insert: "🎉".into() };
        let edit = core.compose(5, &[whole]).expect("short");
        apply(&mut core, &edit);
        let (start, end) = ([1, 1, 6, 0, 0xC4, 5, 0, 5, 1, 1, b'b'], [1, 5, 1, 0, 2]);
        let effect = apply(&mut core, &Update::read(&[&start[..], &end].concat()).expect("an update"));
        assert_eq!(core.plain(), "b");
        assert_eq!(core.before(&effect).plain(), "🎉");
    }

    /// Three clients type, delete and replace in texts of their own, receive each other's edits later, and
    /// drop deleted characters. The index, updated edit by edit, equals the one that is rebuilt from the
    /// document.
    #[test]
    fn the_followed_index_is_that_of_the_document() {
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
                let client = 10 + me as u64;
                let edit = core.compose(client, &splices).expect("short");
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
                        let had = core.index().is_some();
                        core.apply(edit, &edit.write());
                        seen[from] += 1;
                        let has = core.index().is_some();
                        lost += usize::from(had && !has);
                        followed += usize::from(had && has);
                    }
                }
                for (core, _) in &mut people {
                    if rng.u8(..20) == 0 {
                        let (whole, index) = (core.whole(), rebuild::positions(&core.doc).all());
                        *core = Core::new();
                        core.apply(&whole, &whole.write());
                        assert_eq!(rebuild::positions(&core.doc).all(), index);
                    }
                    let walked = rebuild::positions(&core.doc).all();
                    let Some(index) = &*core.index() else { continue };
                    assert_eq!(index.all(), walked);
                }
            }
        }
        assert!(lost > 0 && followed > lost, "{followed} followed, {lost} not");
    }
}
