//! What one simulated client wrote and how it was answered, to be checked against the log.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use crate::core::Code;
use crate::core::Rejected;
use crate::core::{FieldId, SharedState, encode_update};
use crate::replica::WriteId;
use crate::testing::model::Model;

/// A write and, for a transaction, what it read.
pub(super) struct Written<S: SharedState> {
    updates: Vec<S::Update>,
    /// The updates as they are sent.
    sent: Vec<Value>,
    reads: Vec<(FieldId, Value)>,
}

impl<S: SharedState> Written<S> {
    pub(super) fn new(updates: Vec<S::Update>, reads: Vec<(FieldId, Value)>) -> Result<Self, String> {
        Ok(Self { sent: encoded::<S>(&updates)?, updates, reads })
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
    /// The undos, with the versions whose authors their client knew when it sent them.
    undos: BTreeMap<WriteId, Range<u64>>,
}

impl<S: SharedState> Ledger<S> {
    pub(super) const fn new() -> Self {
        Self {
            unanswered: Vec::new(),
            acknowledged: BTreeMap::new(),
            order: BTreeMap::new(),
            uncertain: 0,
            undos: BTreeMap::new(),
        }
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    pub(super) const fn uncertain(&self) -> usize {
        self.uncertain
    }

    /// A write is an undo or a redo, which knows the authors of these versions.
    pub(super) fn undoes(&mut self, id: WriteId, known: Range<u64>) {
        self.undos.insert(id, known);
    }

    /// G14: an undo of a plain field undoes what this client wrote there last, as far as it knows. What somebody
    /// else wrote and took back themselves does not count.
    fn check_undo(client: &str, known: &Range<u64>, sent: &[Value], model: &Model) -> Result<(), String> {
        let index = |version: u64| usize::try_from(version).unwrap_or(usize::MAX).min(model.log.len());
        let (from, to) = (index(known.start), index(known.end));
        for update in sent.iter().filter(|update| update.get("op").is_none()) {
            let Some(field) = update["key"].as_str().filter(|key| Model::is_plain::<S>(key)) else {
                continue;
            };
            let writes = |at: &usize| model.log[*at].updates.iter().any(|update| update["key"] == field);
            let Some(last) = (from..to).rev().find(writes) else { continue };
            let author = model.log[last].client.as_deref();
            let mut run = (from..=last).rev().filter(writes);
            let took_back = run
                .by_ref()
                .take_while(|at| model.log[*at].client.as_deref() == author)
                .any(|at| model.states[at][field] == model.states[to][field]);
            if author != Some(client) && !took_back {
                return Err(format!("G14: {client} undid `{field}`, which {author:?} wrote as {}", last + 1));
            }
        }
        Ok(())
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
        model: Option<&mut Model>,
    ) -> Result<(), String> {
        let Some(at) = self.unanswered.iter().position(|(known, _)| *known == id) else {
            return Err(format!("G3: {id:?} was answered twice, or never written"));
        };
        let (_, written) = self.unanswered.remove(at);
        let version = match answer {
            Ok(_) if written.updates.is_empty() => return Ok(()),
            Ok(version) => version,
            Err(rejected) if rejected.code() == Code::Other => return Err(rejected.to_string()),
            Err(rejected) => {
                self.uncertain += usize::from(rejected.code() == Code::Uncertain);
                return Ok(());
            }
        };
        let Some(model) = model else { return Ok(()) };
        let index = usize::try_from(version).unwrap_or(usize::MAX).wrapping_sub(1);
        if index >= model.log.len() {
            return Err(format!("G2: version {version} was acknowledged and is not in the store"));
        }
        let logged = model.log[index].updates.clone();
        let written = Written {
            sent: addressed::<S>(model, index, &logged, &written.sent).map_err(|message| {
                format!("{message}: {client} wrote {:?}, acknowledged as {logged:?}", written.updates)
            })?,
            ..written
        };
        if let Some(known) = self.undos.remove(&id) {
            Self::check_undo(client, &known, &written.sent, model)?;
        }
        let made = logged.iter().zip(&written.sent).any(|(logged, written)| is_edit_of(logged, written));
        let same_texts = !made || model.same_texts::<S>(index, &written.sent)?;
        let logged = &model.log[index];
        if logged.client.as_deref() != Some(client) || !same(&logged.updates, &written.sent) || !same_texts {
            return Err(format!(
                "G2: {client} wrote {:?}, acknowledged as version {version}, which is {logged:?}",
                written.updates
            ));
        }
        if let Some(other) = self.acknowledged.insert(version, id) {
            return Err(format!("G3: version {version} answers both {other:?} and {id:?}"));
        }
        for field in written.updates.iter().map(S::field) {
            let last = self.order.entry(field).or_insert((id, version));
            if (last.0 < id) != (last.1 < version) && last.0 != id {
                return Err(format!("G2: {id:?} and {:?} changed places", last.0));
            }
            *last = (id, version);
        }
        for (field, seen) in &written.reads {
            let name = S::FIELDS[*field].name;
            let was = &model.states[index][name];
            if was != seen {
                return Err(format!(
                    "G6: a transaction read {name} = {seen}, but it was {was} before version {version}"
                ));
            }
        }
        Ok(())
    }

    /// The unanswered writes, for messages.
    pub(super) fn pending(&self) -> Value {
        self.unanswered.iter().map(|(_, written)| written.sent.clone()).collect()
    }

    /// G4: the state that the app must see, which is the confirmed state with everything unanswered on top.
    pub(super) fn expected_view(&self, confirmed: Value, model: &mut Model) -> Result<Value, String> {
        let mut state = confirmed;
        for (_, written) in &self.unanswered {
            for update in &written.sent {
                model.apply::<S>(&mut state, update)?;
            }
        }
        Ok(state)
    }
}

/// The written updates as the server addresses them: an update of an item that has moved to another list is
/// forwarded there, and an item that moves is inserted as it was in the list that it leaves.
///
/// Checks that only updates of missing items were forwarded, and G15: every logged update found what it acts on.
fn addressed<S: SharedState>(
    model: &mut Model,
    index: usize,
    logged: &[Value],
    written: &[Value],
) -> Result<Vec<Value>, String> {
    let mut state = model.states[index].clone();
    let mut taken: Option<Value> = None;
    let mut addressed = written.to_vec();
    for (logged, written) in logged.iter().zip(&mut addressed) {
        if logged["key"] != written["key"] {
            if !Model::misses::<S>(&state, written, true)? {
                return Err("G7: an update was forwarded, and what it acts on is there".to_owned());
            }
            written["key"] = logged["key"].clone();
        }
        if Model::misses::<S>(&state, logged, false)? {
            return Err("G15: an update that found nothing to act on was accepted".to_owned());
        }
        if written["op"] == "insert" && taken.take().is_some_and(|to| to == logged["key"]) {
            written["value"]["item"] = logged["value"]["item"].clone();
        }
        if logged["op"] == "take" {
            taken = Some(logged["value"]["to"].clone());
        }
        model.apply::<S>(&mut state, logged)?;
    }
    Ok(addressed)
}

/// Whether the logged updates are those that were written. The server may have resolved positions in lists,
/// and completed edits of texts.
fn same(logged: &[Value], written: &[Value]) -> bool {
    logged.len() == written.len()
        && logged.iter().zip(written).all(|(logged, written)| {
            let mut resolved = written.clone();
            #[cfg(feature = "text")]
            if is_edit_of(logged, written)
                || logged["op"] == "edit" && super::text::same(&logged["value"], &written["value"])
            {
                resolved = logged.clone();
                resolved["key"] = written["key"].clone();
            }
            if let (Some(after), Some(place)) =
                (logged["value"].get("after"), resolved["value"].get_mut("after"))
            {
                place.clone_from(after);
            }
            *logged == resolved || unordered(logged) == unordered(&resolved)
        })
}

/// A value with the plain values in arrays sorted, because the members of a set have no order. The order of a
/// list is checked in the state.
fn unordered(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(unordered).collect();
            if items.iter().all(|item| !item.is_array() && !item.is_object()) {
                items.sort_by_key(Value::to_string);
            }
            items.into()
        }
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), unordered(member))).collect()
        }
        value => value.clone(),
    }
}

/// Whether the server has turned the write into an edit. Its result is compared as text.
fn is_edit_of(logged: &Value, written: &Value) -> bool {
    logged["op"] == "edit" && (written["op"] == "splice" || written.get("op").is_none())
}

fn encoded<S: SharedState>(updates: &[S::Update]) -> Result<Vec<Value>, String> {
    updates
        .iter()
        .map(|update| {
            let text = encode_update::<S>(update).map_err(|error| error.to_string())?;
            serde_json::from_str(text.as_str()).map_err(|error| error.to_string())
        })
        .collect()
}
