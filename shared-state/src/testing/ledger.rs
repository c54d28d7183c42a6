//! What one simulated client wrote and how it was answered, to be checked against the log.

use std::collections::{BTreeMap, BTreeSet};

use crate::authority::Json;
use crate::core::{Code, FieldId, Rejected, SharedState, decode_update, encode_update};
use crate::replica::WriteId;
use crate::testing::json::{same_update, same_value};
use crate::testing::model::{Amended, Model};
use crate::testing::simulation::Report;
use crate::testing::taken_back;

/// A write and, for a transaction, what it read.
pub(super) struct Written<S: SharedState> {
    updates: Vec<S::Update>,
    /// The updates as they are sent.
    sent: Vec<Json>,
    /// The updates as the app sees them, if others have moved what they change.
    shown: Option<Vec<Json>>,
    reads: Vec<(FieldId, Json)>,
}

impl<S: SharedState> Written<S> {
    pub(super) fn new(updates: Vec<S::Update>, reads: Vec<(FieldId, Json)>) -> Result<Self, String> {
        Ok(Self { sent: encoded::<S>(&updates)?, updates, shown: None, reads })
    }
}

pub(super) struct Ledger<S: SharedState> {
    /// The unanswered writes, in the order in which they were made.
    unanswered: Vec<(WriteId, Written<S>)>,
    /// The acknowledged writes, by version.
    acknowledged: BTreeMap<u64, WriteId>,
    /// Per field, the last acknowledged write to it and its version.
    order: BTreeMap<FieldId, (WriteId, u64)>,
    /// How many writes were answered with [`Code::Uncertain`].
    uncertain: usize,
    /// The undos that are not answered.
    undos: BTreeMap<WriteId, Undo>,
    /// The undos and redos that are not answered.
    taking_back: BTreeSet<WriteId>,
    /// How many of the acknowledged writes were undos or redos, moves between lists, and transactions.
    undone: usize,
    moved: usize,
    /// How many of the acknowledged writes changed nothing in the room.
    without_effect: usize,
    /// How many writes were answered without a change.
    unchanged: usize,
    transactions: usize,
    refused: usize,
    view: ExpectedView,
}

/// An undo, as it was when it was sent.
struct Undo {
    /// Its client knew the authors of the versions after this one.
    since: u64,
    /// The fields that its client was not sent.
    hidden: Vec<FieldId>,
}

impl<S: SharedState> Ledger<S> {
    pub(super) fn new() -> Self {
        Self {
            unanswered: Vec::new(),
            acknowledged: BTreeMap::new(),
            order: BTreeMap::new(),
            uncertain: 0,
            undos: BTreeMap::new(),
            taking_back: BTreeSet::new(),
            undone: 0,
            moved: 0,
            without_effect: 0,
            unchanged: 0,
            transactions: 0,
            refused: 0,
            view: ExpectedView::default(),
        }
    }

    /// Adds what was written and how it was answered to a report.
    pub(super) fn add_to(&self, report: &mut Report) {
        report.undos += self.undone;
        report.moves += self.moved;
        report.without_effect += self.without_effect;
        report.unchanged += self.unchanged;
        report.transactions += self.transactions;
        report.refused += self.refused;
    }

    /// A write is an undo or a redo.
    pub(super) fn takes_back(&mut self, id: WriteId) {
        self.taking_back.insert(id);
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    pub(super) const fn uncertain(&self) -> usize {
        self.uncertain
    }

    /// A write is an undo, which knows the authors of the versions after `since`, but not what was written to the
    /// `hidden` fields.
    pub(super) fn undoes(&mut self, id: WriteId, since: u64, hidden: Vec<FieldId>) {
        self.undos.insert(id, Undo { since, hidden });
    }

    /// A write is an undo no more.
    pub(super) fn undoes_nothing(&mut self, id: WriteId) {
        self.undos.remove(&id);
    }

    /// Whether a write is not answered.
    pub(super) fn has(&self, id: WriteId) -> bool {
        self.unanswered.iter().any(|(known, _)| *known == id)
    }

    pub(super) fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Records a write. It may share its id with an earlier one that it was folded into.
    pub(super) fn wrote(&mut self, id: WriteId, written: Written<S>) -> Result<(), String> {
        if let Some((_, both)) = self.unanswered.iter_mut().find(|(known, _)| *known == id) {
            let ([earlier], [later]) = (&mut both.updates[..], &written.updates[..]) else {
                return Err(format!("{id:?} folds changes of several updates"));
            };
            if !S::coalesce(earlier, later) {
                return Err(format!("{id:?} folds {later:?} into {earlier:?}"));
            }
            both.sent = encoded::<S>(&both.updates)?;
            return Ok(());
        }
        self.unanswered.push((id, written));
        Ok(())
    }

    /// The unanswered writes.
    pub(super) fn ids(&self) -> impl Iterator<Item = WriteId> {
        self.unanswered.iter().map(|(id, _)| *id)
    }

    /// Corrects the unanswered writes by what the replica still has of them: what was undone before it was sent
    /// leaves nothing, and an undo is made anew of what there is to undo when its turn to be sent comes.
    pub(super) fn keep_up(
        &mut self,
        ids: impl Fn(WriteId) -> bool,
        pending: impl Fn(WriteId) -> Option<Vec<S::Update>>,
    ) -> Result<(), String> {
        for (id, written) in self.unanswered.iter_mut().filter(|(id, _)| ids(*id)) {
            written.updates = pending(*id).unwrap_or_default();
            written.sent = encoded::<S>(&written.updates)?;
        }
        Ok(())
    }

    /// Corrects the unanswered writes by where the replica addresses them, after others have moved items from list to
    /// list. Nothing else of them may be different. An undo or redo may be behind later writes, if somebody else was faster.
    pub(super) fn follow(
        &mut self,
        pending: impl Fn(WriteId) -> Option<Vec<S::Update>>,
        shown: impl Fn(WriteId) -> Option<Vec<S::Update>>,
        position: impl Fn(WriteId) -> Option<usize>,
    ) -> Result<(), String> {
        if self.unanswered.iter().any(|(id, _)| self.taking_back.contains(id)) {
            self.unanswered.sort_by_key(|(id, _)| position(*id));
        }
        for (id, written) in &mut self.unanswered {
            let (Some(pending), Some(shown)) = (pending(*id), shown(*id)) else { continue };
            if pending == written.updates && shown == pending {
                written.shown = None;
                continue;
            }
            let (sent, shown) = (encoded::<S>(&pending)?, encoded::<S>(&shown)?);
            if is_readdressed(&written.sent, &sent) {
                (written.updates, written.sent) = (pending, sent);
            }
            written.shown = is_readdressed(&written.sent, &shown).then_some(shown);
        }
        Ok(())
    }

    /// The room has a new history, without the writes that were acknowledged before.
    pub(super) fn new_history(&mut self) {
        self.acknowledged.clear();
        self.order.clear();
        self.undos.clear();
    }

    /// Records an answer and checks it against the log. `model` is `None` if the answer is of another
    /// history.
    pub(super) fn answered(
        &mut self,
        client: &str,
        id: WriteId,
        answer: Result<u64, Rejected>,
        model: Option<&mut Model<S>>,
    ) -> Result<(), String> {
        let Some(at) = self.unanswered.iter().position(|(known, _)| *known == id) else {
            return Err(format!("G3: {id:?} was answered twice, or never written"));
        };
        let (_, written) = self.unanswered.remove(at);
        let takes_back = self.taking_back.remove(&id);
        let version = match answer {
            Ok(_) if written.updates.is_empty() => {
                self.unchanged += 1;
                return Ok(());
            }
            Ok(version) => version,
            Err(rejected) if rejected.code() == Code::Other => return Err(rejected.to_string()),
            Err(rejected) => {
                self.uncertain += usize::from(rejected.code() == Code::Uncertain);
                self.refused += 1;
                return Ok(());
            }
        };
        let Some(model) = model else { return Ok(()) };
        let index = usize::try_from(version).unwrap_or(usize::MAX).wrapping_sub(1);
        if index >= model.log.len() {
            return Err(format!("G2: version {version} was acknowledged and is not in the store"));
        }
        let logged = model.log[index].clone();
        let is_own = logged.client.as_deref() == Some(client) && !self.acknowledged.contains_key(&version);
        if takes_back && !is_own {
            // Somebody else was faster, and nothing was left to take back.
            self.unchanged += 1;
            return Ok(());
        }
        let is_replaced = logged.amended == Amended::Replaced;
        let written = if is_replaced {
            written
        } else {
            let sent = addressed(model, index, &logged.updates, &written.sent).map_err(|message| {
                format!("{message}: {client} wrote {:?}, acknowledged as {logged:?}", written.updates)
            })?;
            Written { sent, ..written }
        };
        if let Some(undo) = self.undos.remove(&id) {
            let since = usize::try_from(undo.since).unwrap_or(usize::MAX).min(index);
            taken_back::check(client, &written.sent, &(since..index), &undo.hidden, model)?;
        }
        let made = logged.updates.iter().zip(&written.sent);
        let made = made.into_iter().any(|(logged, written)| {
            #[cfg(feature = "text")]
            if logged != written && is_completed(logged, written) {
                return true;
            }
            is_edit_of(logged, written)
        });
        let same_texts = is_replaced || !made || model.same_texts(index, &written.sent)?;
        let logged = &model.log[index];
        let own = match logged.amended {
            Amended::Extended => &logged.updates[..written.sent.len().min(logged.updates.len())],
            Amended::Accepted | Amended::Replaced => &logged.updates[..],
        };
        let same = is_replaced || same::<S>(own, &written.sent);
        if logged.client.as_deref() != Some(client) || !same || !same_texts {
            return Err(format!(
                "G2: {client} wrote {:?}, acknowledged as version {version}, which is {logged:?}",
                written.updates
            ));
        }
        if let Some(other) = self.acknowledged.insert(version, id) {
            return Err(format!("G3: version {version} answers both {other:?} and {id:?}"));
        }
        self.without_effect += usize::from(model.states[index] == model.states[index + 1]);
        self.undone += usize::from(takes_back);
        self.moved += usize::from(own.iter().any(|update| update["op"].as_str() == Some("take")));
        self.transactions += usize::from(!written.reads.is_empty());
        // An undo is sent again behind later changes if somebody else was faster, and may follow an item to another field.
        for field in written.updates.iter().map(S::field).filter(|_| !takes_back) {
            let last = self.order.entry(field).or_insert((id, version));
            if (last.0 < id) != (last.1 < version) && last.0 != id {
                return Err(format!("G2: {id:?} and {:?} changed places", last.0));
            }
            *last = (id, version);
        }
        for (field, seen) in &written.reads {
            let name = S::FIELDS[*field].name;
            let was = &model.states[index][name];
            if !same_value::<S>(*field, was, seen) {
                return Err(format!(
                    "G6: a transaction read {name} = {seen}, but it was {was} before version {version}"
                ));
            }
        }
        Ok(())
    }

    /// The unanswered writes, for messages.
    pub(super) fn pending(&self) -> Json {
        Json::Array(self.unanswered.iter().map(|(_, written)| Json::Array(written.sent.clone())).collect())
    }

    /// G4: the state that the app must see, which is the confirmed state with everything unanswered on top.
    pub(super) fn expected_view(&mut self, confirmed: &Json, model: &mut Model<S>) -> Result<&Json, String> {
        let shown =
            self.unanswered.iter().flat_map(|(_, written)| written.shown.as_ref().unwrap_or(&written.sent));
        self.view.follow(confirmed, shown, |state, update| model.apply(state, update))
    }
}

/// The state that an app must see. What was applied for the last check is not applied again.
#[derive(Default)]
struct ExpectedView {
    confirmed: Json,
    /// The updates on top of it.
    applied: Vec<Json>,
    state: Json,
}

impl ExpectedView {
    fn follow<'u>(
        &mut self,
        confirmed: &Json,
        updates: impl Iterator<Item = &'u Json> + Clone,
        mut apply: impl FnMut(&mut Json, &Json) -> Result<(), String>,
    ) -> Result<&Json, String> {
        let is_more = self.confirmed == *confirmed && {
            let mut now = updates.clone();
            self.applied.iter().all(|applied| now.next() == Some(applied))
        };
        if !is_more {
            self.applied.clear();
            (self.confirmed, self.state) = (confirmed.clone(), confirmed.clone());
        }
        for update in updates.skip(self.applied.len()) {
            apply(&mut self.state, update)?;
            self.applied.push(update.clone());
        }
        Ok(&self.state)
    }
}

/// The written updates as the server addresses them: an update of an item that has moved to another list is
/// forwarded there, an item goes to its list wherever that has moved, and is inserted as it was in the list that it leaves,
/// and an item whose neighbour is gone has the next one that is there.
///
/// Checks that only updates of missing items were forwarded, and G15: every logged update found what it acts on.
fn addressed<S: SharedState>(
    model: &mut Model<S>,
    index: usize,
    logged: &[Json],
    written: &[Json],
) -> Result<Vec<Json>, String> {
    let mut state = model.states[index].clone();
    let mut taken: Option<(Json, Json)> = None;
    let mut addressed = written.to_vec();
    for (logged, written) in logged.iter().zip(&mut addressed) {
        let key = logged["key"].as_str().ok_or("an update without a key")?;
        if logged["key"] != written["key"] {
            if !model.misses(&state, written, true)? {
                return Err("G7: an update was forwarded, and what it acts on is there".to_owned());
            }
            put(written, "key", logged["key"].clone());
        }
        if let Some(after) = logged["value"].get("after")
            && let Some(value) = written.as_object_mut().and_then(|update| update.get_mut("value"))
            && let Some(place) = value.as_object_mut().and_then(|value| value.get_mut("after"))
        {
            place.clone_from(after);
        }
        if logged["op"].as_str() == Some("take")
            && let Some(to) = logged["value"].get("to")
            && let Some(value) = written.as_object_mut().and_then(|update| update.get_mut("value"))
        {
            // Where the other list is now. The insertion, which comes next, is checked to be forwarded there.
            put(value, "to", to.clone());
        }
        if written["op"].is_null()
            && logged["op"].is_null()
            && is_without(&written["value"], &logged["value"])
        {
            put(written, "value", logged["value"].clone());
        }
        if model.misses(&state, logged, false)? {
            return Err("G15: an update that found nothing to act on was accepted".to_owned());
        }
        if written["op"].as_str() == Some("insert")
            && let Some((_, item)) = taken.take().filter(|(to, _)| *to == logged["key"])
            && let Some(value) = written.as_object_mut().and_then(|update| update.get_mut("value"))
        {
            put(value, "item", item);
        }
        if logged["op"].as_str() == Some("take") {
            let item = model.item(&state, key).ok_or("G15: an item that is not there was moved")?;
            taken = Some((logged["value"]["to"].clone(), item.clone()));
        }
        model.apply(&mut state, logged)?;
    }
    Ok(addressed)
}

/// Whether updates are the same but for their paths, and the lists that items move to, and some differ in that.
fn is_readdressed(before: &[Json], now: &[Json]) -> bool {
    let differs =
        |(before, now): (&Json, &Json)| before["key"] != now["key"] || before["value"] != now["value"];
    let is_same = |(before, now): (&Json, &Json)| {
        let is_set = now["op"].is_null() && before["key"] == now["key"];
        let is_take = now["op"].as_str() == Some("take");
        before["op"] == now["op"] && (is_set || is_take || before["value"] == now["value"])
    };
    let both = || before.iter().zip(now);
    before.len() == now.len() && both().any(differs) && both().all(is_same)
}

/// Whether a value that was set is `now` without some items of lists: they have moved to other lists.
fn is_without(set: &Json, now: &Json) -> bool {
    match (set, now) {
        (Json::Object(set), Json::Object(now)) => {
            set.len() == now.len()
                && set.iter().all(|(name, set)| now.get(name).is_some_and(|now| is_without(set, now)))
        }
        (Json::Array(set), Json::Array(now)) => {
            let mut rest = set.iter();
            now.iter().all(|now| rest.any(|set| set == now || is_without(set, now)))
        }
        _ => set == now,
    }
}

/// Sets a member of an object.
fn put(object: &mut Json, name: &str, value: Json) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// Whether the logged updates are those that were written. The server may have resolved positions in lists,
/// and completed edits of texts.
fn same<S: SharedState>(logged: &[Json], written: &[Json]) -> bool {
    let typed = |update: &Json| {
        let wire = update.to_string();
        serde_json::from_str(&wire).ok().and_then(|wire| decode_update::<S>(&wire).ok())
    };
    logged.len() == written.len()
        && logged.iter().zip(written).all(|(logged, written)| {
            #[cfg(feature = "text")]
            if is_edit_of(logged, written) || is_completed(logged, written) {
                return logged["key"] == written["key"];
            }
            logged == written
                || match (typed(logged), typed(written)) {
                    (Some(a), Some(b)) => same_update::<S>((&a, logged), (&b, written)),
                    _ => false,
                }
        })
}

/// Whether the server has turned the write into an edit. Its result is compared as text.
fn is_edit_of(logged: &Json, written: &Json) -> bool {
    let op = |update: &Json| update["op"].as_str().map(str::to_owned);
    op(logged).as_deref() == Some("edit") && matches!(op(written).as_deref(), Some("splice") | None)
}

/// Whether the logged edit is the written one with what it lacks of the text's history, and with the
/// neighbours that it has there. Its result is compared as text.
#[cfg(feature = "text")]
fn is_completed(logged: &Json, written: &Json) -> bool {
    logged["op"].as_str() == Some("edit")
        && super::text::same(&logged["value"].clone().into(), &written["value"].clone().into())
}

fn encoded<S: SharedState>(updates: &[S::Update]) -> Result<Vec<Json>, String> {
    updates
        .iter()
        .map(|update| {
            let text = encode_update::<S>(update).map_err(|error| error.to_string())?;
            Json::read(text.as_str()).map_err(|error| error.to_string())
        })
        .collect()
}
