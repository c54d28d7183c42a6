//! G14: which parts of the state an undo changes, and who wrote them last, by the model's log and states alone.
//!
//! A part is a value without parts of its own, an item, an entry or a member, of which only counts whether it is there,
//! and an optional struct likewise. Counters and texts are no parts, nor are their entries where an addition or an edit
//! makes them: they are undone beneath what others wrote. Nor are places in a list, and what is inside an item that comes
//! or goes. What is inside an item goes with it to another list: the move has written the item, and nothing inside it.

use std::ops::Range;

use crate::authority::Json;
use crate::core::{FieldId, FieldPathBuf, PolicyInfo, SharedState, decode_update, transfer};
use crate::testing::json::{key_text, same_at};
use crate::testing::model::{Logged, Model, segments};

/// A step of a path.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// A field, a key of a map, or a key of a list.
    Name(String),
    /// A member of a set.
    Member(Json),
}

/// A part of the state.
#[derive(Clone)]
struct Part {
    field: FieldId,
    path: Vec<Step>,
    /// Whether its value counts, and not only whether it is there.
    has_value: bool,
}

impl Part {
    /// The same part, or the one at a step inside it.
    fn inside(&self, step: Option<Step>, has_value: bool) -> Self {
        Self { field: self.field, path: self.path.iter().cloned().chain(step).collect(), has_value }
    }

    /// The part of a state; `None` if it is not there.
    fn of<'v, S: SharedState>(&self, state: &'v Json) -> Option<&'v Json> {
        self.of_policy::<S>(state).map(|(part, _)| part)
    }

    /// The same, with its policy.
    fn of_policy<'v, S: SharedState>(&self, state: &'v Json) -> Option<(&'v Json, &'static str)> {
        let info = &S::FIELDS[self.field];
        let (mut at, mut policy, mut about) = (state.get(info.name)?, info.policy, info.about);
        for step in &self.path {
            let entries = about.and_then(|about| about.entries);
            at = match (policy, step) {
                ("nested", Step::Name(name)) => {
                    let fields = about.and_then(|about| about.fields)?();
                    let info = fields.iter().find(|info| info.name == name)?;
                    (policy, about) = (info.policy, info.about);
                    at.get(name)?
                }
                ("map", Step::Name(key)) => {
                    (policy, about) = (entries.map_or("", |entries| entries.name), entries);
                    at.get(key)?
                }
                ("list", Step::Name(key)) => {
                    let name = about.and_then(PolicyInfo::name_of_key)?;
                    (policy, about) = (entries.map_or("", |entries| entries.name), entries);
                    at.as_array()?.iter().find(|item| key_text(&item[name]) == *key)?
                }
                // Inside an item in a list whose items have no parts, which has moved there or away.
                ("lww", Step::Name(name)) => at.get(name)?,
                ("set" | "lww", Step::Member(member)) => {
                    at.as_array()?.iter().find(|other| other.unordered() == *member)?
                }
                _ => return None,
            };
        }
        Some((at, policy)).filter(|(at, policy)| *policy != "nested" || at.is_object())
    }

    /// Whether the part is the same in two states. It was `former` in the first one.
    fn is_same_as<S: SharedState>(&self, former: &Self, before: &Json, after: &Json) -> bool {
        match (former.of::<S>(before), self.of::<S>(after)) {
            (Some(a), Some(b)) => !self.has_value || a == b || self.is_same_value::<S>(a, b),
            (a, b) => a.is_none() && b.is_none(),
        }
    }

    /// Whether somebody has made the part again what it was in a former state. An addition or an edit that is undone leaves
    /// the entry that it has begun.
    fn is_back<S: SharedState>(&self, former: &Self, before: &Json, now: &Json) -> bool {
        self.is_same_as::<S>(former, before, now)
            || former.of::<S>(before).is_none() && self.is_blank::<S>(now)
    }

    /// Whether it is an entry that is what an addition or an edit begins with.
    fn is_blank<S: SharedState>(&self, state: &Json) -> bool {
        match self.of_policy::<S>(state) {
            Some((value, "counter")) => matches!(value.to_string().parse(), Ok(0.0)),
            #[cfg(feature = "text")]
            Some((value, "text")) => {
                crate::testing::text::plain(&value.clone().into()).is_ok_and(|text| text.is_empty())
            }
            _ => false,
        }
    }

    fn is_same<S: SharedState>(&self, before: &Json, after: &Json) -> bool {
        self.is_same_as::<S>(self, before, after)
    }

    /// Where the part was before a change, which may have moved the item that it is in to another list.
    fn before<S: SharedState>(&self, updates: &[Json]) -> Self {
        let mut part = self.clone();
        for update in updates.iter().rev().filter(|update| update["op"].as_str() == Some("take")) {
            let (Some(from), Some(to)) = (update["key"].as_str(), update["value"]["to"].as_str()) else {
                continue;
            };
            let from: Vec<_> = segments(from).into_iter().map(Step::Name).collect();
            let to = segments(to).into_iter().map(Step::Name).chain(from.last().cloned());
            let to: Vec<_> = to.collect();
            let own = Step::Name(S::FIELDS[part.field].name.to_owned());
            let own: Vec<_> = std::iter::once(own).chain(part.path.iter().cloned()).collect();
            // The move has written that the item is there, and not its value.
            let is_meant = |inside: &&[Step]| part.has_value || !inside.is_empty();
            let Some(inside) = own.strip_prefix(&to[..]).filter(is_meant) else { continue };
            let Some((Step::Name(field), list)) = from.split_first() else { continue };
            if let Some(field) = S::FIELDS.iter().position(|info| info.name == field) {
                (part.field, part.path) = (field, [list, inside].concat());
            }
        }
        part
    }

    fn is_same_value<S: SharedState>(&self, a: &Json, b: &Json) -> bool {
        same_at::<S>(&self.address::<S>(), "lww", None, a, b)
    }

    /// The path that updates have: of a member, that of its set.
    fn address<S: SharedState>(&self) -> FieldPathBuf {
        let mut path = FieldPathBuf::of(S::FIELDS[self.field].name);
        for step in &self.path {
            if let Step::Name(name) = step {
                path.push(name);
            }
        }
        path
    }
}

/// Collects the parts that differ between two values at a path.
fn collect(
    at: &mut Part,
    policy: &str,
    about: Option<&'static PolicyInfo>,
    before: Option<&Json>,
    after: Option<&Json>,
    found: &mut Vec<Part>,
) {
    if before == after {
        return;
    }
    let entries = about.and_then(|about| about.entries);
    let entry_policy = entries.map_or("", |entries| entries.name);
    match (policy, before, after) {
        ("lww", Some(_), Some(_)) => found.push(at.inside(None, true)),
        ("nested", Some(before), Some(after)) if before.is_object() && after.is_object() => {
            for info in about.and_then(|about| about.fields).map_or(&[][..], |fields| fields()) {
                at.path.push(Step::Name(info.name.to_owned()));
                collect(at, info.policy, info.about, before.get(info.name), after.get(info.name), found);
                at.path.pop();
            }
        }
        ("nested", Some(before), Some(after)) if before.is_object() != after.is_object() => {
            found.push(at.inside(None, false));
        }
        ("map", Some(Json::Object(before)), Some(Json::Object(after))) => {
            for key in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))) {
                let step = Step::Name(key.clone());
                match (before.get(key), after.get(key)) {
                    (Some(before), Some(after)) => {
                        at.path.push(step);
                        collect(at, entry_policy, entries, Some(before), Some(after), found);
                        at.path.pop();
                    }
                    _ => found.push(at.inside(Some(step), entry_policy == "lww")),
                }
            }
        }
        ("list", Some(Json::Array(before)), Some(Json::Array(after))) => {
            let Some(name) = about.and_then(PolicyInfo::name_of_key) else { return };
            let find = |items: &[Json], key: &str| items.iter().position(|item| key_text(&item[name]) == key);
            for item in before {
                let key = key_text(&item[name]);
                let step = Step::Name(key.clone());
                match find(after, &key) {
                    Some(now) => {
                        at.path.push(step);
                        collect(at, entry_policy, entries, Some(item), Some(&after[now]), found);
                        at.path.pop();
                    }
                    None => found.push(at.inside(Some(step), false)),
                }
            }
            for item in after {
                let key = key_text(&item[name]);
                if find(before, &key).is_none() {
                    found.push(at.inside(Some(Step::Name(key)), false));
                }
            }
        }
        ("set", Some(Json::Array(before)), Some(Json::Array(after))) => {
            let [before, after] = [before, after].map(|members| {
                let members: Vec<Json> = members.iter().map(Json::unordered).collect();
                members
            });
            let only = |these: &[Json], those: &[Json]| -> Vec<Json> {
                these.iter().filter(|member| !those.contains(member)).cloned().collect()
            };
            for member in only(&before, &after).into_iter().chain(only(&after, &before)) {
                found.push(at.inside(Some(Step::Member(member)), false));
            }
        }
        _ => {}
    }
}

/// Checks that an undo changed nothing that somebody else wrote last. `sent` is what `client` wrote, as the server
/// addresses it, and the log's entry after `known` is what the server made of it. What others wrote and took back
/// themselves counts as never written. The client knows who wrote the entries in `known`, and not what was written to the
/// `hidden` fields.
///
/// # Errors
/// What was taken back of whom.
pub(super) fn check<S: SharedState>(
    client: &str,
    sent: &[Json],
    known: &Range<usize>,
    hidden: &[FieldId],
    model: &mut Model<S>,
) -> Result<(), String> {
    // Without what the program's rules have added.
    let mut after = model.states[known.end].clone();
    sent.iter().try_for_each(|update| model.apply(&mut after, update))?;
    let before = &model.states[known.end];
    let mut found = Vec::new();
    for (field, info) in S::FIELDS.iter().enumerate().filter(|(field, _)| !hidden.contains(field)) {
        let mut at = Part { field, path: Vec::new(), has_value: false };
        let (before, after) = (before.get(info.name), after.get(info.name));
        collect(&mut at, info.policy, info.about, before, after, &mut found);
    }
    for part in found.iter().filter(|part| !part.is_same::<S>(before, &after)) {
        // An addition, an edit or an insertion that crosses the removal of its entry makes the entry again, as one by hand
        // does.
        let is_beneath = |update: &Json| {
            let is_inside =
                matches!(update["op"].as_str(), Some("add" | "sub" | "edit" | "splice" | "insert"));
            is_inside && update["key"].as_str() == Some(part.address::<S>().as_str())
        };
        if sent.iter().any(is_beneath) {
            continue;
        }
        if let Some(last) = last_of_others(part, client, known, model) {
            return Err(format!(
                "G14: {client} undid `{}`, which {:?} wrote as {}: by {sent:?}",
                part.address::<S>().as_str(),
                model.log[last].client,
                last + 1,
            ));
        }
    }
    Ok(())
}

/// The last write to a part in `known`, if it is not of `client`. What its author has taken back is passed over.
fn last_of_others<S: SharedState>(
    part: &Part,
    client: &str,
    known: &Range<usize>,
    model: &Model<S>,
) -> Option<usize> {
    // Where the part was in each state, the last one first.
    let mut places = vec![part.clone()];
    for write in model.log[..known.end].iter().rev() {
        let before = places[places.len() - 1].before::<S>(&write.updates);
        places.push(before);
    }
    places.reverse();
    let writes = |at: usize| {
        let (before, after) = (&places[at], &places[at + 1]);
        let field = FieldPathBuf::of(S::FIELDS[after.field].name);
        let is_there = |key: &str| {
            key.strip_prefix(field.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut updates = model.log[at].updates.iter();
        updates.any(|update| update["key"].as_str().is_some_and(is_there))
            && (!after.is_same_as::<S>(before, &model.states[at], &model.states[at + 1])
                || is_own::<S>(after, client, &model.log[at]))
    };
    let empties = |at: usize| {
        let is_blank = |at: usize| places[at].is_blank::<S>(&model.states[at]);
        !is_blank(at) && is_blank(at + 1)
    };
    let last = |from: usize| {
        // The writes that count, each with its author.
        let mut counted: Vec<(usize, Option<&str>)> = Vec::new();
        for at in from..known.end {
            let writes = writes(at);
            if !writes && !empties(at) {
                continue;
            }
            let author = model.log[at].client.as_deref();
            let is_of_others = |(_, other): &(usize, Option<&str>)| *other != author;
            let first = counted.iter().rposition(is_of_others).map_or(0, |last| last + 1);
            let is_back = |(back, _): &(usize, Option<&str>)| {
                let (before, after) = (&places[*back], &places[at + 1]);
                after.is_back::<S>(before, &model.states[*back], &model.states[at + 1])
            };
            // The client's own writes stand between what others wrote before and after.
            let back = counted[first..].iter().position(is_back).filter(|_| author != Some(client));
            match back {
                Some(back) => counted.truncate(first + back),
                None if writes => counted.push((at, author)),
                None => {}
            }
        }
        let (last, author) = counted.pop()?;
        (author != Some(client) && known.contains(&last)).then_some(last)
    };
    // The client may have been told who wrote what before it was cut off, or not.
    last(0).and(last(known.start))
}

/// The path of the item that an update inserts into a list.
fn path_inserted_by<S: SharedState>(update: &Json) -> Option<String> {
    let wire = update.to_string();
    let wire = serde_json::from_str(&wire).ok()?;
    transfer::path_inserted::<S>(&wire, &decode_update::<S>(&wire).ok()?)
}

/// Whether a client has written to a part, or to what is around it. It may have written what was there already.
fn is_own<S: SharedState>(part: &Part, client: &str, write: &Logged) -> bool {
    let path = part.address::<S>();
    // A member of a set has the path of its set.
    let member = match part.path.last() {
        Some(Step::Member(member)) => Some(member),
        _ => None,
    };
    let is_there = |update: &Json| {
        let is_set = update.get("op").is_none();
        let rest = update["key"].as_str().and_then(|key| path.as_str().strip_prefix(key));
        match rest {
            Some("") => is_set || member.is_none_or(|member| update["value"].unordered() == *member),
            Some(rest) if rest.starts_with('/') => {
                is_set || path_inserted_by::<S>(update).as_deref() == Some(path.as_str())
            }
            _ => false,
        }
    };
    write.client.as_deref() == Some(client) && write.updates.iter().any(is_there)
}
