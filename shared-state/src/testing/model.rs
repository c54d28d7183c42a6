//! The reference model: computes a room's state after each change from the log alone, as JSON.
//!
//! It interprets the operations of the crate's policies on its own, and uses nothing of the replica and the authority.
//! What JSON alone does not tell, it asks the types: how a value is spelled, the operations of an app's own policies,
//! and operations on a field that its struct leaves out of the JSON. Texts are merged by yrs.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::authority::Json;
use crate::core::json_text::JsonText;
use crate::core::{FieldInfo, FieldPath, PolicyInfo, SharedState};
use crate::core::{decode_update, encode_update, text_scope};
use crate::testing::json::{difference, json, key_text, read};

/// How many updates are remembered in the types' spelling.
const MAX_SPELLED: usize = 1024;

/// One entry of the log.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    /// The client that made the change; `None`: the server.
    pub(super) client: Option<String>,
    pub(super) updates: Vec<Json>,
    /// What the program's rules made of the change.
    pub(super) amended: Amended,
}

/// What the program's rules made of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Amended {
    #[default]
    Accepted,
    /// Further updates follow those of the author.
    Extended,
    /// Other updates replace those of the author.
    Replaced,
}

/// The log, and the state after each of its entries.
pub(super) struct Model<S> {
    initial: S,
    pub(super) log: Vec<Logged>,
    /// `states[v]` is the state at version `v`.
    pub(super) states: Vec<Json>,
    bounds: BTreeMap<String, Bounds>,
    /// Updates as they were written, and in the types' spelling: what waits is applied again in each step.
    spelled: HashMap<String, Arc<Json>>,
    /// Whether an edit of a text named its neighbours in the wrong order, while that is asked.
    crossed: Option<bool>,
}

/// The range of the number at a path.
#[derive(Clone, Copy, Debug)]
enum Bounds {
    Integer(i128, i128),
    /// An `f32`.
    Single,
    /// An `f64`.
    Double,
}

impl<S: SharedState> Model<S> {
    pub(super) fn new(initial: S) -> Self {
        Self {
            log: Vec::new(),
            states: vec![json(&initial)],
            bounds: BTreeMap::new(),
            spelled: HashMap::new(),
            crossed: None,
            initial,
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.log.len() as u64
    }

    /// Adds an entry that the store has accepted.
    pub(super) fn append(&mut self, entry: &[u8], amended: Amended) -> Result<(), String> {
        let entry = std::str::from_utf8(entry).map_err(|error| format!("entry: {error}"))?;
        let entry = Json::read(entry).map_err(|error| format!("entry: {error}"))?;
        let updates = entry["u"].as_array().ok_or("an entry without updates")?.clone();
        let client = entry["c"].as_str().map(str::to_owned);
        let mut state = self.states[self.log.len()].clone();
        for update in &updates {
            self.apply(&mut state, update)?;
        }
        self.log.push(Logged { client, updates, amended });
        self.states.push(state);
        Ok(())
    }

    /// An update in the one spelling that the types give: with the fields' own names, and without values left out.
    fn spelled(&mut self, update: &Json) -> Result<Arc<Json>, String> {
        let wire = update.to_string();
        if let Some(known) = self.spelled.get(&wire) {
            return Ok(known.clone());
        }
        let spelled = Arc::new(spelled::<S>(&decoded::<S>(&wire)?)?);
        if self.spelled.len() >= MAX_SPELLED {
            self.spelled.clear();
        }
        self.spelled.insert(wire, spelled.clone());
        Ok(spelled)
    }

    /// The range of the number at a path.
    fn bounds_at(&mut self, key: &str) -> Bounds {
        *self.bounds.entry(key.to_owned()).or_insert_with(|| bounds::<S>(key))
    }

    /// The state at the last version, as its type.
    pub(super) fn state(&self) -> Result<S, String> {
        read(&self.initial, &self.states[self.log.len()])
    }

    /// Whether the log's entry at `index` gives the same texts as the written updates, for entries where the
    /// server has turned a write into an edit. Where an edit names its neighbours in the wrong order, they are what the
    /// server makes of it: the edit was made on a history that is lost, or beside an undo that was made anew since.
    pub(super) fn same_texts(&mut self, index: usize, written: &[Json]) -> Result<bool, String> {
        let updates: Vec<Json> = self.log[index].updates.iter().take(written.len()).cloned().collect();
        let mut plain = |updates: &[Json]| {
            let mut state = self.states[index].clone();
            updates.iter().try_for_each(|update| self.apply(&mut state, update))?;
            to_plain(&mut state)?;
            Ok::<_, String>(state)
        };
        if difference::<S>(&plain(&updates)?, &plain(written)?).is_none() {
            return Ok(true);
        }
        self.crossed = Some(false);
        let mut state = self.states[index].clone();
        let applied = written.iter().try_for_each(|update| self.apply(&mut state, update));
        let is_crossed = self.crossed.take() == Some(true);
        applied.map(|()| is_crossed)
    }

    /// Applies one update to a JSON state.
    pub(super) fn apply(&mut self, state: &mut Json, update: &Json) -> Result<(), String> {
        let written = update;
        let update = self.spelled(written)?;
        let key = update["key"].as_str().ok_or("an update without a key")?;
        let segments = segments(key);
        if update["op"].as_str() == Some("transfer") {
            return self.transfer(state, key, &update["value"]);
        }
        let crossed = self.crossed;
        let mut bounds = || self.bounds_at(key);
        let mut op =
            Op { name: update["op"].as_str(), value: &update["value"], bounds: &mut bounds, crossed };
        // Only the field is copied, so that it can be put back.
        let name = segments.first().ok_or("no field")?;
        let field = state.get(name).cloned();
        let done = in_struct(state, S::FIELDS, &segments, &mut op);
        self.crossed = op.crossed;
        match done {
            Ok(()) => {}
            Err(Unknown::ToJson) => {
                if let (Some(field), Some(members)) = (field, state.as_object_mut()) {
                    members.insert(name.clone(), field);
                }
                let mut before = read(&self.initial, state)?;
                before.apply(decoded::<S>(&written.to_string())?);
                *state = json(&before);
            }
            Err(Unknown::Wrong(error)) => return Err(format!("`{key}`: {error}")),
        }
        Ok(())
    }
}

impl<S: SharedState> Model<S> {
    /// Whether an update finds nothing to act on in a JSON state, or a counter at its bound. A removal needs nothing,
    /// unless `all` says that it does.
    pub(super) fn misses(&mut self, state: &Json, update: &Json, all: bool) -> Result<bool, String> {
        let key = update["key"].as_str().ok_or("an update without a key")?;
        let is_idle = matches!(update["op"].as_str(), Some("add" | "sub"))
            && integer(&update["value"]).is_some_and(|by| by != 0)
            && matches!(self.bounds_at(key), Bounds::Integer(..))
            && {
                let mut after = state.clone();
                self.apply(&mut after, update)?;
                after == *state
            };
        let path = segments(key);
        let (field, path) = path.split_first().ok_or("no field")?;
        let info = S::FIELDS.iter().find(|info| info.name == field).ok_or("no such field")?;
        let op = update["op"].as_str();
        match misses(state.get(field), info.policy, info.about, path, op, all, is_idle) {
            Some(misses) => Ok(misses),
            None => Ok(read(&self.initial, state)?.check_op(&decoded::<S>(&update.to_string())?).is_err()),
        }
    }

    /// The item of a list at a path.
    pub(super) fn item<'v>(&self, state: &'v Json, path: &str) -> Option<&'v Json> {
        let path = segments(path);
        let (field, path) = path.split_first()?;
        let info = S::FIELDS.iter().find(|info| info.name == field)?;
        item_at(state.get(field), info.policy, info.about, path)
    }

    /// Moves an item to another list. Nothing happens if there is no such item, or the other list does not take it.
    fn transfer(&mut self, state: &mut Json, from: &str, value: &Json) -> Result<(), String> {
        let Some(item) = self.item(state, from).cloned() else { return Ok(()) };
        let to = value["to"].clone();
        let update = |key: Json, op: &str, value: Vec<(&str, Json)>| {
            let value = value.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let members = [("key", key), ("op", Json::text(op)), ("value", Json::Object(value))];
            Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        };
        let take = update(Json::text(from), "take", vec![("to", to.clone())]);
        let after = value.get("after").map(|after| ("after", after.clone()));
        let insert = update(to, "insert", after.into_iter().chain([("item", item)]).collect());
        let mut moved = state.clone();
        self.apply(&mut moved, &take)?;
        let without = moved.clone();
        if self.misses(&moved, &insert, false)? {
            return Ok(());
        }
        self.apply(&mut moved, &insert)?;
        // The other list has an item of this key, so that it takes no second one.
        if moved != without {
            *state = moved;
        }
        Ok(())
    }
}

fn decoded<S: SharedState>(wire: &str) -> Result<S::Update, String> {
    let wire = serde_json::from_str(wire).map_err(|error| error.to_string())?;
    decode_update::<S>(&wire).map_err(|error| error.to_string())
}

/// An update as JSON, with the history of texts.
fn spelled<S: SharedState>(update: &S::Update) -> Result<Json, String> {
    let encoded =
        text_scope::with_history(|| encode_update::<S>(update)).map_err(|error| error.to_string())?;
    Json::read(encoded.as_str()).map_err(|error| error.to_string())
}

/// Why an operation was not applied to a JSON state.
enum Unknown {
    /// Only the type can tell what it does.
    ToJson,
    /// The state or the operation is not what the policy says.
    Wrong(String),
}

impl From<String> for Unknown {
    fn from(error: String) -> Self {
        Self::Wrong(error)
    }
}

impl From<&str> for Unknown {
    fn from(error: &str) -> Self {
        Self::Wrong(error.to_owned())
    }
}

/// Whether an update finds nothing to act on. `is_idle`: it is an addition that changes nothing. `None` if JSON alone
/// does not tell.
fn misses(
    value: Option<&Json>,
    policy: &str,
    about: Option<&'static PolicyInfo>,
    path: &[String],
    op: Option<&str>,
    all: bool,
    is_idle: bool,
) -> Option<bool> {
    let Some((name, rest)) = path.split_first() else { return Some(is_idle && policy == "counter") };
    let entries = about.and_then(|about| about.entries);
    let entry_policy = entries.map_or("", |entries| entries.name);
    match policy {
        "nested" => {
            let fields = about.and_then(|about| about.fields).map_or(&[][..], |fields| fields());
            let info = fields.iter().find(|info| info.name == name);
            match (value?.is_object(), info) {
                (true, Some(info)) => {
                    misses(value?.get(name), info.policy, info.about, rest, op, all, is_idle)
                }
                _ => Some(true),
            }
        }
        "map" => match value.and_then(|value| value.get(name)) {
            Some(entry) => misses(Some(entry), entry_policy, entries, rest, op, all, is_idle),
            None if rest.is_empty() && op.is_none() => Some(false),
            None if rest.is_empty() && op == Some("delete") => Some(all),
            None if matches!(entry_policy, "counter" | "map" | "text" | "list" | "set") => {
                misses(None, entry_policy, entries, rest, op, all, is_idle)
            }
            None => Some(true),
        },
        "list" => match item(about, value, name) {
            Some(item) => misses(Some(item), entry_policy, entries, rest, op, all, is_idle),
            None => Some(all || op != Some("delete") || !rest.is_empty()),
        },
        _ => Some(false),
    }
}

/// The item of a list that has a key.
fn item<'v>(about: Option<&PolicyInfo>, list: Option<&'v Json>, key: &str) -> Option<&'v Json> {
    let field = about.and_then(PolicyInfo::name_of_key)?;
    list?.as_array()?.iter().find(|item| key_text(&item[field]) == key)
}

/// The item of a list at a path; `None` if there is none.
fn item_at<'v>(
    value: Option<&'v Json>,
    policy: &str,
    about: Option<&'static PolicyInfo>,
    path: &[String],
) -> Option<&'v Json> {
    let (name, rest) = path.split_first()?;
    let entries = about.and_then(|about| about.entries);
    let (inside, policy, about) = match policy {
        "nested" => {
            let info = about?.fields?().iter().find(|info| info.name == name)?;
            (value?.get(name)?, info.policy, info.about)
        }
        "map" => (value?.get(name)?, entries?.name, entries),
        "list" if rest.is_empty() => return item(about, value, name),
        "list" => (item(about, value, name)?, entries?.name, entries),
        _ => return None,
    };
    item_at(Some(inside), policy, about, rest)
}

/// The segments of a path.
pub(super) fn segments(path: &str) -> Vec<String> {
    let mut path = FieldPath::new(path);
    std::iter::from_fn(|| path.next_segment()).map(Cow::into_owned).collect()
}

/// An operation, and the range of the number that it changes.
struct Op<'a> {
    name: Option<&'a str>,
    value: &'a Json,
    bounds: &'a mut dyn FnMut() -> Bounds,
    /// As in [`Model`].
    crossed: Option<bool>,
}

fn in_struct(
    state: &mut Json,
    fields: &'static [FieldInfo],
    path: &[String],
    op: &mut Op<'_>,
) -> Result<(), Unknown> {
    let (field, rest) = path.split_first().ok_or("no field")?;
    let info = fields.iter().find(|info| info.name == field).ok_or("no such field")?;
    let members = state.as_object_mut().ok_or("no struct")?;
    match members.get_mut(field) {
        Some(value) => in_value(value, info.policy, info.about, rest, op),
        // The field has its default, which the JSON of its struct leaves out.
        None => Err(Unknown::ToJson),
    }
}

fn in_value(
    value: &mut Json,
    policy: &str,
    about: Option<&'static PolicyInfo>,
    path: &[String],
    op: &mut Op<'_>,
) -> Result<(), Unknown> {
    match (policy, path, op.name) {
        ("lww" | "counter" | "nested" | "set" | "text" | "map" | "list", [], None) => {
            *value = op.value.clone();
            Ok(())
        }
        ("counter", [], Some(name @ ("add" | "sub"))) => {
            let bounds = (op.bounds)();
            let sign = if name == "sub" { -1 } else { 1 };
            *value = sum(value, sign, op.value, bounds).ok_or("cannot add")?;
            Ok(())
        }
        // The struct is absent, so there is nothing inside to change.
        ("nested", [_, ..], _) if value.is_null() => Ok(()),
        // An optional value of another policy.
        (_, [_, ..], _) | (_, [], Some(_)) if value.is_null() => Err(Unknown::ToJson),
        ("nested", [_, ..], _) => {
            let fields = about.and_then(|about| about.fields).ok_or("a nested field without fields")?;
            in_struct(value, fields(), path, op)
        }
        ("set", [], Some(name)) => {
            let members = value.as_array_mut().ok_or("no set")?;
            // As they are spelled: as numbers, `0.0` and `-0.0` are equal.
            let spelled = op.value.to_string();
            members.retain(|member| member.to_string() != spelled);
            if name == "insert" {
                members.push(op.value.clone());
            }
            Ok(())
        }
        #[cfg(feature = "text")]
        ("text", [], Some("edit" | "splice")) => {
            let (mut text, edit) = (std::mem::take(value).into(), op.value.clone().into());
            match op.name {
                Some("edit") => {
                    if op.crossed == Some(false) {
                        op.crossed = Some(super::text::is_crossed(&text, &edit)?);
                    }
                    super::text::edit(&mut text, &edit)?;
                }
                _ => super::text::splice(&mut text, &edit)?,
            }
            *value = text.into();
            Ok(())
        }
        ("map", [key, rest @ ..], _) => in_map(value, about, key, rest, op),
        ("list", _, _) => in_list(value, about, path, op),
        ("lww" | "counter" | "nested" | "set" | "text" | "map", ..) => {
            Err(format!("an operation the model does not know: {policy} {:?}", op.name).into())
        }
        // A policy of the app.
        _ => Err(Unknown::ToJson),
    }
}

fn in_map(
    map: &mut Json,
    about: Option<&'static PolicyInfo>,
    key: &str,
    rest: &[String],
    op: &mut Op<'_>,
) -> Result<(), Unknown> {
    let map = map.as_object_mut().ok_or("no map")?;
    let entries = about.and_then(|about| about.entries);
    let policy = entries.map_or("", |entries| entries.name);
    match (rest, op.name, map.get_mut(key)) {
        ([], Some("delete"), _) => {
            map.remove(key);
        }
        (_, _, Some(entry)) => in_value(entry, policy, entries, rest, op)?,
        ([], None, None) => {
            map.insert(key.to_owned(), op.value.clone());
        }
        (_, _, None) => {
            let start = match policy {
                "counter" => match (op.bounds)() {
                    Bounds::Integer(..) => Json::Number(0.into()),
                    Bounds::Single | Bounds::Double => float(0.0)?,
                },
                "map" => Json::Object(BTreeMap::new()),
                "text" => Json::text(""),
                "list" | "set" => Json::Array(Vec::new()),
                "lww" | "nested" => return Ok(()),
                _ => return Err(Unknown::ToJson),
            };
            let mut entry = start.clone();
            in_value(&mut entry, policy, entries, rest, op)?;
            if entry != start {
                map.insert(key.to_owned(), entry);
            }
        }
    }
    Ok(())
}

fn in_list(
    list: &mut Json,
    about: Option<&'static PolicyInfo>,
    path: &[String],
    op: &mut Op<'_>,
) -> Result<(), Unknown> {
    let items = list.as_array_mut().ok_or("no list")?;
    let field = about.and_then(PolicyInfo::name_of_key).ok_or("a list without a key")?;
    let entries = about.and_then(|about| about.entries);
    let key_of = |item: &Json| key_text(&item[field]);
    let place = |items: &[Json], value: &Json| match value.get("after").map(Json::as_str) {
        None => items.len(),
        Some(after) => items.iter().position(|item| Some(&*key_of(item)) == after).map_or(0, |at| at + 1),
    };
    let Some((key, rest)) = path.split_first() else {
        let item = &op.value["item"];
        if op.name == Some("insert") && !items.iter().any(|other| key_of(other) == key_of(item)) {
            let at = place(items, op.value);
            items.insert(at, item.clone());
        }
        return Ok(());
    };
    let Some(at) = items.iter().position(|item| key_of(item) == *key) else { return Ok(()) };
    match (rest, op.name) {
        ([], Some("delete" | "take")) => {
            items.remove(at);
        }
        ([], Some("move")) => {
            let anchor = op.value.get("after").and_then(Json::as_str);
            if anchor != Some(key) {
                let item = items.remove(at);
                let to = place(items, op.value);
                items.insert(to, item);
            }
        }
        _ => {
            let before = items[at].clone();
            in_value(&mut items[at], entries.map_or("", |entries| entries.name), entries, rest, op)?;
            if key_of(&items[at]) != *key {
                items[at] = before;
            }
        }
    }
    Ok(())
}

/// Replaces every text by its readable content.
fn to_plain(value: &mut Json) -> Result<(), String> {
    match value {
        Json::Array(items) => items.iter_mut().try_for_each(to_plain),
        #[cfg(feature = "text")]
        Json::Object(members) if members.len() == 1 && members.contains_key("yjs") => {
            let plain = super::text::plain(&std::mem::take(value).into())?;
            *value = Json::String(plain);
            Ok(())
        }
        Json::Object(members) => members.values_mut().try_for_each(to_plain),
        _ => Ok(()),
    }
}

/// `a + sign * b`, within the bounds.
fn sum(a: &Json, sign: i8, b: &Json, bounds: Bounds) -> Option<Json> {
    match bounds {
        Bounds::Integer(min, max) => {
            let total = (integer(a)? + i128::from(sign) * integer(b)?).clamp(min, max);
            Json::read(&total.to_string()).ok()
        }
        Bounds::Double => float((real(a)? + f64::from(sign) * real(b)?).clamp(f64::MIN, f64::MAX)).ok(),
        #[allow(clippy::cast_possible_truncation)] // The values are those of an `f32`.
        Bounds::Single => {
            let total = (real(a)? as f32 + f32::from(sign) * real(b)? as f32).clamp(f32::MIN, f32::MAX);
            float(total.into()).ok()
        }
    }
}

fn float(value: f64) -> Result<Json, &'static str> {
    serde_json::Number::from_f64(value).map(Json::Number).ok_or("a float that is not finite")
}

fn integer(value: &Json) -> Option<i128> {
    value.to_string().parse().ok()
}

fn real(value: &Json) -> Option<f64> {
    value.to_string().parse().ok()
}

/// Finds the range of the number at `key` by trying to decode values.
fn bounds<S: SharedState>(key: &str) -> Bounds {
    let fits = |value: &str| S::decode(FieldPath::new(key), None, JsonText(value)).is_ok();
    if fits("0.5") && !fits("[]") {
        // Too large for an `f32`: it would be infinite, which a counter refuses.
        return if fits("1e39") { Bounds::Double } else { Bounds::Single };
    }
    let min = [i128::from(i64::MIN), i128::from(i32::MIN), i128::from(i16::MIN), i128::from(i8::MIN), 0]
        .into_iter()
        .find(|min| fits(&min.to_string()));
    let max = [
        i128::from(u64::MAX),
        i128::from(i64::MAX),
        i128::from(u32::MAX),
        i128::from(i32::MAX),
        i128::from(u16::MAX),
        i128::from(i16::MAX),
        i128::from(u8::MAX),
        i128::from(i8::MAX),
    ]
    .into_iter()
    .find(|max| fits(&max.to_string()));
    Bounds::Integer(min.unwrap_or(0), max.unwrap_or(0))
}
