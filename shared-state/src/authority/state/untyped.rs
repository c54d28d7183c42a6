//! The state of a room whose struct the server does not know: a JSON object, field by field.
//!
//! A field is last writer wins and is set as a whole, unless a client has declared it with another policy: then the
//! operations of that policy are accepted too. A change with operations reads and writes each field that they change once,
//! as a whole, and a delta has whole fields. This module checks the size of the state and the names of fields; the depth of values is checked when a
//! frame is received.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::value::RawValue;

use crate::authority::state::rewritten::Rewritten;
use crate::authority::state::room_state::{RoomState, Writer};
use crate::authority::state::staged::{self, MAX_OPERATED, Staged, into_texts};
use crate::authority::state::untyped_ops;
use crate::core::{Code, Reject, transfer};
use crate::core::{FieldPath, FieldSchema, HashedSchema, Schema, WireUpdate};
use crate::proto::{Declaration, Limits, Violation, push_string};

/// The greatest number of declared fields.
const MAX_DECLARED: usize = 256;

/// The longest declaration of a field, in bytes.
const MAX_DECLARATION: usize = 2048;

/// The schema of an untyped room, which is empty.
static NOTHING: LazyLock<Arc<HashedSchema>> =
    LazyLock::new(|| Arc::new(HashedSchema::from(Schema::default())));

/// The state of an untyped room.
#[derive(Clone, Debug)]
pub struct Untyped {
    fields: BTreeMap<String, Value>,
    declared: BTreeMap<String, Declared>,
    /// The size of the fields' names and values, in bytes.
    size: usize,
    /// The greatest size that a client's change may produce, in bytes.
    limit: usize,
}

impl Default for Untyped {
    fn default() -> Self {
        Self::new()
    }
}

/// A field's value and the version that last changed it.
#[derive(Clone, Debug)]
struct Value {
    json: Box<RawValue>,
    changed: u64,
}

/// A field as a client has declared it.
#[derive(Clone, Debug)]
struct Declared {
    field: FieldSchema,
    /// The value on which the first operation acts. `None` once somebody has written the field.
    initial: Option<Box<RawValue>>,
    /// Whether the log or a snapshot has the declaration.
    stored: bool,
}

impl Untyped {
    /// The state of an empty room.
    #[must_use]
    pub const fn new() -> Self {
        Self { fields: BTreeMap::new(), declared: BTreeMap::new(), size: 0, limit: usize::MAX }
    }

    /// The field's value as JSON text.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(|value| value.json.get())
    }

    /// The declared field that a path leads to or into: its path, and the rest of the path.
    fn holder<'p>(&self, path: &'p str) -> Option<(&'p str, FieldPath<'p>)> {
        untyped_ops::holder(path, |at| self.declared.contains_key(at))
    }

    /// How the field at a path is declared.
    fn declaration(&self, path: &str) -> Option<untyped_ops::Declared<'_>> {
        Some(untyped_ops::Declared::from(&self.declared.get(path)?.field))
    }

    /// The size of the values that fields begin with, in bytes.
    fn initial_bytes(&self) -> usize {
        let initial = self.declared.values().filter_map(|declared| declared.initial.as_ref());
        initial.map(|json| json.get().len()).sum()
    }

    /// Calls `change` with the declaration of each field that the updates write.
    fn each_declared(&mut self, updates: &[WireUpdate<'_>], change: impl Fn(&mut Declared)) {
        for update in updates {
            let holder = self.holder(&update.key).map(|(holder, _)| holder);
            if let Some(declared) = holder.and_then(|holder| self.declared.get_mut(holder)) {
                change(declared);
            }
        }
    }

    fn cost(key: &str, json: &RawValue) -> usize {
        key.len() + json.get().len() + 4
    }
}

/// Whether two JSON texts are the same value.
fn same(a: &RawValue, b: &RawValue) -> bool {
    let read = |json: &RawValue| serde_json::from_str::<serde_json::Value>(json.get()).ok();
    a.get() == b.get() || read(a).is_some_and(|a| read(b) == Some(a))
}

impl RoomState for Untyped {
    fn apply(
        &mut self,
        updates: &[WireUpdate<'_>],
        by: Writer<'_>,
        version: u64,
    ) -> Result<Option<String>, Reject> {
        let limit = if by == Writer::Log { usize::MAX } else { MAX_OPERATED };
        // Each update is checked, but only the last value of a field is stored.
        let mut latest: BTreeMap<Cow<'_, str>, Staged<'_>> = BTreeMap::new();
        let mut rewritten = Rewritten::new(updates);
        // The item that a `take` has removed, and the list that it moves to.
        let mut carried: Option<(Cow<'_, str>, Box<RawValue>)> = None;
        for (at, update) in updates.iter().enumerate() {
            let (key, rest) = place(&update.key);
            let reject = |code, message: &str| Err(Reject::new(code, message).in_field(&*update.key));
            if key.is_empty() || key.contains(['/', '~']) || key == "__proto__" {
                return reject(
                    Code::BadKey,
                    "a field's name is not empty, has no `/` or `~`, and is not reserved",
                );
            }
            let found = match self.holder(&update.key) {
                _ if rest.is_end() && update.op.is_none() => {
                    latest.insert(key, Staged::Text(Cow::Borrowed(update.value)));
                    None
                }
                Some((holder, rest)) => {
                    let (_, outer) = place(holder);
                    let Declared { field, initial, .. } = &self.declared[holder];
                    let declared = untyped_ops::Declared::from(field);
                    let inserts = update.op.as_deref() == Some("insert");
                    let item = carried.take_if(|(to, _)| inserts && *to == update.key);
                    let with_item = item.and_then(|(_, item)| transfer::with_item(update.value, &item));
                    let with_item = with_item.filter(|value| !same(value, update.value));
                    let value = with_item.as_deref().unwrap_or(update.value);
                    let update = &WireUpdate { value, ..update.clone() };
                    let known = self.fields.get(&*key).map(|value| &*value.json);
                    let changed = staged::change(&mut latest, key, known, limit, |tree, is_new| {
                        untyped_ops::change(declared, tree, is_new, initial.as_deref(), outer, rest, update)
                    });
                    match changed {
                        Ok(item) if update.op.as_deref() == Some(transfer::TAKE) => {
                            let to = transfer::destination(update.value.get());
                            carried = to.map(|to| Cow::Owned(to.into_owned())).zip(item);
                            None
                        }
                        Ok(found) => found.or(with_item),
                        Err(reject) if by == Writer::Log && untyped_ops::is_void(&reject) => continue,
                        Err(reject) => return Err(reject.in_field(&*update.key)),
                    }
                }
                None => match &update.op {
                    Some(op) => {
                        let message = format!(
                            "nobody has declared a policy of this field that has an operation `{op}`"
                        );
                        return reject(Code::UnknownOp, &message);
                    }
                    None => {
                        return reject(
                            Code::BadKey,
                            "nobody has declared a policy by which this field has parts",
                        );
                    }
                },
            };
            rewritten.take(at, found.as_deref());
        }
        let latest = into_texts(latest)?;
        if let Some(check) = by.path_check() {
            let mut paths: BTreeMap<Cow<'_, str>, Vec<&str>> = BTreeMap::new();
            for update in updates {
                paths.entry(place(&update.key).0).or_default().push(&update.key);
            }
            for (key, paths) in paths {
                let Some(new) = latest.get(&key) else { continue };
                let initial = || self.declared.get(&*key)?.initial.as_deref();
                let old = self.fields.get(&*key).map(|value| &*value.json).or_else(initial);
                check.untyped(&key, paths.into_iter(), (old, Some(new)), &|at| self.declaration(at))?;
            }
        }
        let mut size = self.size;
        for (key, json) in &latest {
            size += Self::cost(key, json);
            size -= self.fields.get(&**key).map_or(0, |value| Self::cost(key, &value.json));
        }
        if matches!(by, Writer::Client(..)) && size > self.limit && size > self.size {
            let message = format!("the room would hold {size} bytes, {} at most", self.limit);
            return Err(Reject::new(Code::StateTooLarge, message));
        }
        self.size = size;
        self.each_declared(updates, |declared| declared.initial = None);
        for (key, json) in latest {
            let value = Value { json, changed: version };
            match self.fields.get_mut(&*key) {
                Some(field) => *field = value,
                None => {
                    self.fields.insert(key.into_owned(), value);
                }
            }
        }
        Ok(rewritten.into_json())
    }

    fn set_limits(&mut self, limits: &Limits) {
        self.limit = limits.state;
    }

    fn changed(&self, key: &str) -> Result<u64, Reject> {
        let (field, _) = place(key);
        Ok(self.fields.get(&*field).map_or(0, |value| value.changed))
    }

    fn write_data(&self, out: &mut String) {
        out.push('{');
        for (index, (key, value)) in self.fields.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            push_string(out, key);
            out.push(':');
            out.push_str(value.json.get());
        }
        out.push('}');
    }

    fn is_complete(&self) -> bool {
        false
    }

    fn write_delta(&self, since: u64, out: &mut String) {
        out.push('[');
        let mut first = true;
        for (key, value) in self.fields.iter().filter(|(_, value)| value.changed > since) {
            out.push_str(if first { "{\"key\":" } else { ",{\"key\":" });
            first = false;
            push_string(out, key);
            out.push_str(",\"value\":");
            out.push_str(value.json.get());
            out.push('}');
        }
        out.push(']');
    }

    fn write_field(&self, key: &str, out: &mut String) {
        out.push_str(self.get(key).unwrap_or("null"));
    }

    fn write_versions(&self, out: &mut String) {
        let versions: BTreeMap<&str, u64> =
            self.fields.iter().map(|(key, value)| (key.as_str(), value.changed)).collect();
        out.push_str(&serde_json::to_string(&versions).expect("versions by names are JSON"));
    }

    fn restore(&mut self, data: &str, versions: &str) -> Result<(), String> {
        let fields: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(data).map_err(|error| format!("the state is not an object: {error}"))?;
        let versions: BTreeMap<Cow<'_, str>, u64> = serde_json::from_str(versions)
            .map_err(|error| format!("the versions are not an object: {error}"))?;
        self.size = fields.iter().map(|(key, json)| Self::cost(key, json)).sum();
        self.fields = fields
            .into_iter()
            .map(|(key, json)| {
                let changed = versions.get(key.as_str()).copied().unwrap_or_default();
                (key, Value { json, changed })
            })
            .collect();
        Ok(())
    }

    fn schema(&self) -> Option<Arc<HashedSchema>> {
        Some(NOTHING.clone())
    }

    fn unknown_fields(&self) -> BTreeMap<String, FieldSchema> {
        self.declared.iter().map(|(path, declared)| (path.clone(), declared.field.clone())).collect()
    }

    fn declare(&mut self, path: &str, declaration: &Declaration) -> Result<(), Violation> {
        let Declaration { policy, shape, initial, .. } = declaration;
        let refuse = |message: String| Err(Violation::new(Code::IncompatibleSchema, message));
        if let Some(known) = self.declared.get(path) {
            if known.field.policy == *policy {
                return Ok(());
            }
            return refuse(format!(
                "`{path}` is declared as `{}` already, found `{policy}`",
                known.field.policy
            ));
        }
        let length = path.len() + policy.len() + shape.len();
        if self.declared.len() >= MAX_DECLARED || length > MAX_DECLARATION {
            return refuse(format!(
                "a room takes {MAX_DECLARED} declarations of {MAX_DECLARATION} bytes, and `{path}` is one more or longer"
            ));
        }
        let field = untyped_ops::bounded(declaration.field());
        let initial =
            initial.as_ref().filter(|initial| untyped_ops::Declared::from(&field).takes(initial)).cloned();
        let size = self.size + self.initial_bytes() + initial.as_ref().map_or(0, |json| json.get().len());
        if size > self.limit {
            return refuse(format!("with `{path}` the room would hold {size} bytes, {} at most", self.limit));
        }
        self.declared.insert(path.to_owned(), Declared { field, initial, stored: false });
        Ok(())
    }

    fn has_declared(&self, path: &str) -> bool {
        self.declared.contains_key(path)
    }

    fn is_full(&self) -> bool {
        self.declared.len() >= MAX_DECLARED
    }

    fn forget_declared(&mut self, path: &str) -> bool {
        if self.declared.get(path).is_some_and(|declared| declared.stored) {
            return false;
        }
        self.declared.remove(path);
        true
    }

    fn unstored(&self, updates: &[WireUpdate<'_>]) -> Option<String> {
        let mut new = BTreeMap::new();
        for update in updates {
            let Some((holder, _)) = self.holder(&update.key) else { continue };
            if let Declared { field, initial, stored: false } = &self.declared[holder] {
                new.insert(holder.to_owned(), Declaration::new(field.clone(), initial.clone()));
            }
        }
        (!new.is_empty()).then(|| serde_json::to_string(&new).expect("declarations are strings and JSON"))
    }

    fn mark_stored(&mut self, updates: &[WireUpdate<'_>]) {
        self.each_declared(updates, |declared| declared.stored = true);
    }

    fn write_unknown_fields(&self, out: &mut String) {
        // The clients that declared the others declare them again when they join.
        let written = self.declared.iter().filter(|(_, declared)| declared.stored);
        let written = written.map(|(path, Declared { field, initial, .. })| {
            (path, Declaration::new(field.clone(), initial.clone()))
        });
        let written: BTreeMap<_, _> = written.collect();
        out.push_str(&serde_json::to_string(&written).expect("declarations are strings and JSON"));
    }

    fn restore_unknown_fields(&mut self, declarations: &str) -> Result<(), String> {
        let stored: BTreeMap<String, Declaration> = serde_json::from_str(declarations)
            .map_err(|error| format!("the declarations are not an object: {error}"))?;
        let stored = stored.into_iter().map(|(path, declaration)| {
            let field = declaration.field();
            (path, Declared { field, initial: declaration.initial, stored: true })
        });
        self.declared = stored.collect();
        Ok(())
    }
}

/// The field that a path leads to or into, and the rest of the path.
fn place(key: &str) -> (Cow<'_, str>, FieldPath<'_>) {
    let mut path = FieldPath::new(key);
    let field = path.next_segment().unwrap_or_default();
    (field, path)
}
