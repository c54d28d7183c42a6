//! The reference model: computes a room's state after each change from the log alone, as JSON. It uses
//! nothing of the replica, the authority or the merge policies, except the checks of text edits.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::core::json_text::JsonText;
use crate::core::{FieldInfo, FieldPath, PolicyInfo, SharedState};

/// One entry of the log.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    /// The client that made the change; `None`: the server.
    pub(super) client: Option<String>,
    pub(super) updates: Vec<Value>,
}

/// The log, and the state after each of its entries.
pub(super) struct Model {
    pub(super) log: Vec<Logged>,
    /// `states[v]` is the state at version `v`.
    pub(super) states: Vec<Value>,
    bounds: BTreeMap<String, Bounds>,
}

/// The range of the number at a path.
#[derive(Clone, Copy, Debug)]
enum Bounds {
    Integer(i128, i128),
    Float,
}

impl Model {
    pub(super) fn new(initial: Value) -> Self {
        Self { log: Vec::new(), states: vec![initial], bounds: BTreeMap::new() }
    }

    /// Whether a path is that of a field which is set as a whole.
    pub(super) fn is_plain<S: SharedState>(key: &str) -> bool {
        S::FIELDS.iter().any(|info| info.policy == "lww" && info.name == key)
    }

    pub(super) fn version(&self) -> u64 {
        self.log.len() as u64
    }

    /// Adds an entry that the store has accepted.
    pub(super) fn append<S: SharedState>(&mut self, entry: &[u8]) -> Result<(), String> {
        let entry: Value = serde_json::from_slice(entry).map_err(|error| format!("entry: {error}"))?;
        let updates = entry["u"].as_array().ok_or("an entry without updates")?.clone();
        let client = entry["c"].as_str().map(str::to_owned);
        let mut state = self.states[self.log.len()].clone();
        for update in &updates {
            self.apply::<S>(&mut state, update)?;
        }
        self.log.push(Logged { client, updates });
        self.states.push(state);
        Ok(())
    }

    /// Whether the log's entry at `index` gives the same texts as the written updates, for entries where the
    /// server has turned a write into an edit.
    pub(super) fn same_texts<S: SharedState>(
        &mut self,
        index: usize,
        written: &[Value],
    ) -> Result<bool, String> {
        let mut state = self.states[index].clone();
        for update in written {
            self.apply::<S>(&mut state, update)?;
        }
        let mut logged = self.states[index + 1].clone();
        for state in [&mut state, &mut logged] {
            to_plain(state)?;
        }
        Ok(state == logged)
    }

    /// Applies one update to a JSON state.
    pub(super) fn apply<S: SharedState>(&mut self, state: &mut Value, update: &Value) -> Result<(), String> {
        let key = update["key"].as_str().ok_or("an update without a key")?;
        let mut path = FieldPath::new(key);
        let segments: Vec<String> = std::iter::from_fn(|| path.next_segment()).map(Cow::into_owned).collect();
        let mut bounds = || *self.bounds.entry(key.to_owned()).or_insert_with(|| bounds::<S>(key));
        let mut op = Op {
            name: update.get("op").and_then(Value::as_str),
            value: &update["value"],
            bounds: &mut bounds,
        };
        in_struct(state, S::FIELDS, &segments, &mut op).map_err(|error| format!("`{key}`: {error}"))
    }
}

impl Model {
    /// Whether an update finds nothing to act on in a JSON state. A removal needs nothing, unless `all` says that
    /// it does.
    pub(super) fn misses<S: SharedState>(state: &Value, update: &Value, all: bool) -> Result<bool, String> {
        let mut path = FieldPath::new(update["key"].as_str().ok_or("an update without a key")?);
        let field = path.next_segment().ok_or("no field")?;
        let segments: Vec<String> = std::iter::from_fn(|| path.next_segment()).map(Cow::into_owned).collect();
        let info = S::FIELDS.iter().find(|info| info.name == field).ok_or("no such field")?;
        let op = update.get("op").and_then(Value::as_str);
        Ok(misses(state.get(&*field), info.policy, info.about, &segments, op, all))
    }
}

fn misses(
    value: Option<&Value>,
    policy: &str,
    about: Option<&'static PolicyInfo>,
    path: &[String],
    op: Option<&str>,
    all: bool,
) -> bool {
    let Some((name, rest)) = path.split_first() else { return false };
    let entries = about.and_then(|about| about.entries);
    let entry_policy = entries.map_or("", |entries| entries.name);
    match policy {
        "nested" => {
            let fields = about.and_then(|about| about.fields).map_or(&[][..], |fields| fields());
            let info = fields.iter().find(|info| info.name == name);
            match (value.filter(|value| value.is_object()), info) {
                (Some(value), Some(info)) => misses(value.get(name), info.policy, info.about, rest, op, all),
                _ => true,
            }
        }
        "map" => match value.and_then(|value| value.get(name)) {
            Some(entry) => misses(Some(entry), entry_policy, entries, rest, op, all),
            None if rest.is_empty() && op.is_none() => false,
            None if rest.is_empty() && op == Some("delete") => all,
            None if matches!(entry_policy, "counter" | "map" | "text" | "list" | "set") => {
                misses(None, entry_policy, entries, rest, op, all)
            }
            None => true,
        },
        "list" => {
            let key = about.and_then(|about| about.key).unwrap_or_default();
            let items = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            match items.iter().find(|item| key_text(&item[key]) == *name) {
                Some(item) => misses(Some(item), entry_policy, entries, rest, op, all),
                None => all || op != Some("delete") || !rest.is_empty(),
            }
        }
        _ => false,
    }
}

/// An operation, and the range of the number that it changes.
struct Op<'a> {
    name: Option<&'a str>,
    value: &'a Value,
    bounds: &'a mut dyn FnMut() -> Bounds,
}

fn in_struct(
    state: &mut Value,
    fields: &'static [FieldInfo],
    path: &[String],
    op: &mut Op<'_>,
) -> Result<(), String> {
    let (field, rest) = path.split_first().ok_or("no field")?;
    let info = fields.iter().find(|info| info.name == field).ok_or("no such field")?;
    let value = state.get_mut(field).ok_or("no value")?;
    in_value(value, info.policy, info.about, rest, op)
}

fn in_value(
    value: &mut Value,
    policy: &str,
    about: Option<&'static PolicyInfo>,
    path: &[String],
    op: &mut Op<'_>,
) -> Result<(), String> {
    match (policy, path, op.name) {
        (_, [], None) => {
            *value = op.value.clone();
            match policy {
                // A float that was written without a fraction is read as a float.
                "lww" | "counter" if value.is_i64() && matches!((op.bounds)(), Bounds::Float) => {
                    *value = value.as_f64().into();
                }
                policy => normalize(value, policy, about),
            }
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
        ("nested", [_, ..], _) => {
            let fields = about.and_then(|about| about.fields).ok_or("a nested field without fields")?;
            in_struct(value, fields(), path, op)
        }
        ("set", [], Some(name)) => {
            let members = value.as_array_mut().ok_or("no set")?;
            members.retain(|member| member != op.value);
            if name == "insert" {
                members.push(op.value.clone());
            }
            normalize(value, policy, about);
            Ok(())
        }
        #[cfg(feature = "text")]
        ("text", [], Some("edit")) => super::text::edit(value, op.value),
        #[cfg(feature = "text")]
        ("text", [], Some("splice")) => super::text::splice(value, op.value),
        ("map", [key, rest @ ..], _) => in_map(value, about, key, rest, op),
        ("list", _, _) => in_list(value, about, path, op),
        _ => Err(format!("an operation the model does not know: {policy} {:?}", op.name)),
    }
}

fn in_map(
    map: &mut Value,
    about: Option<&'static PolicyInfo>,
    key: &str,
    rest: &[String],
    op: &mut Op<'_>,
) -> Result<(), String> {
    let map = map.as_object_mut().ok_or("no map")?;
    let entries = about.and_then(|about| about.entries);
    let policy = entries.map_or("", |entries| entries.name);
    match (rest, op.name, map.get_mut(key)) {
        ([], Some("delete"), _) => {
            map.remove(key);
        }
        (_, _, Some(entry)) => in_value(entry, policy, entries, rest, op)?,
        ([], None, None) => {
            let mut entry = op.value.clone();
            normalize(&mut entry, policy, entries);
            map.insert(key.to_owned(), entry);
        }
        (_, _, None) => {
            let start = match policy {
                "counter" => match (op.bounds)() {
                    Bounds::Integer(..) => Value::from(0),
                    Bounds::Float => Value::from(0.0),
                },
                "map" => Value::Object(serde_json::Map::new()),
                "text" => Value::from(""),
                "list" | "set" => Value::Array(Vec::new()),
                _ => return Ok(()),
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
    list: &mut Value,
    about: Option<&'static PolicyInfo>,
    path: &[String],
    op: &mut Op<'_>,
) -> Result<(), String> {
    let items = list.as_array_mut().ok_or("no list")?;
    let field = about.and_then(PolicyInfo::name_of_key).ok_or("a list without a key")?;
    let entries = about.and_then(|about| about.entries);
    let key_of = |item: &Value| key_text(&item[field]);
    let place = |items: &[Value], value: &Value| match value.get("after").map(Value::as_str) {
        None => items.len(),
        Some(after) => items.iter().position(|item| Some(&*key_of(item)) == after).map_or(0, |at| at + 1),
    };
    let Some((key, rest)) = path.split_first() else {
        let item = &op.value["item"];
        if op.name == Some("insert") && !items.iter().any(|other| key_of(other) == key_of(item)) {
            let at = place(items, op.value);
            items.insert(at, item.clone());
            let (policy, entries) = (entries.map_or("", |entries| entries.name), entries);
            normalize(&mut items[at], policy, entries);
        }
        return Ok(());
    };
    let Some(at) = items.iter().position(|item| key_of(item) == *key) else { return Ok(()) };
    match (rest, op.name) {
        ([], Some("delete" | "take")) => {
            items.remove(at);
        }
        ([], Some("move")) => {
            let anchor = op.value.get("after").and_then(Value::as_str);
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

/// Sorts the members of sets.
pub(super) fn normalize(value: &mut Value, policy: &str, about: Option<&'static PolicyInfo>) {
    let inside = |entry: &mut Value| {
        let entries = about.and_then(|about| about.entries);
        normalize(entry, entries.map_or("", |entries| entries.name), entries);
    };
    match (policy, value) {
        ("set", Value::Array(members)) => {
            members.sort_by_key(Value::to_string);
            members.dedup();
        }
        ("list", Value::Array(items)) => items.iter_mut().for_each(inside),
        ("map", Value::Object(entries)) => entries.values_mut().for_each(inside),
        ("nested", value) => {
            let fields = about.and_then(|about| about.fields).map_or(&[][..], |fields| fields());
            normalize_fields(value, fields);
        }
        _ => {}
    }
}

/// As [`normalize`], for every field of a struct. Absent fields become `null`, as serde reads them.
pub(super) fn normalize_fields(state: &mut Value, fields: &'static [FieldInfo]) {
    let Some(state) = state.as_object_mut() else { return };
    for info in fields {
        normalize(state.entry(info.name).or_insert(Value::Null), info.policy, info.about);
    }
}

/// Replaces every text by its readable content.
fn to_plain(value: &mut Value) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(to_plain),
        #[cfg(feature = "text")]
        Value::Object(members) if members.len() == 1 && members.contains_key("yjs") => {
            *value = super::text::plain(value)?.into();
            Ok(())
        }
        Value::Object(members) => members.values_mut().try_for_each(to_plain),
        _ => Ok(()),
    }
}

/// `a + sign * b`, within the bounds.
fn sum(a: &Value, sign: i8, b: &Value, bounds: Bounds) -> Option<Value> {
    match bounds {
        Bounds::Integer(min, max) => {
            let total = (integer(a)? + i128::from(sign) * integer(b)?).clamp(min, max);
            i64::try_from(total).map(Value::from).or_else(|_| u64::try_from(total).map(Value::from)).ok()
        }
        Bounds::Float => {
            Some(Value::from((a.as_f64()? + f64::from(sign) * b.as_f64()?).clamp(f64::MIN, f64::MAX)))
        }
    }
}

fn integer(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
}

/// Finds the range of the number at `key` by trying to decode values.
fn bounds<S: SharedState>(key: &str) -> Bounds {
    let fits = |value: &str| S::decode(FieldPath::new(key), None, JsonText(value)).is_ok();
    if fits("0.5") && !fits("[]") {
        return Bounds::Float;
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

/// The text of a key that is a string or a number.
pub(super) fn key_text(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}
