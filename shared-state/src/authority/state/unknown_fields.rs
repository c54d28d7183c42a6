//! The unknown fields of a typed room: those that the server's struct does not have.
//!
//! A field is unknown because a client's struct has more fields than the server's and the client has declared it, or
//! because an earlier version of the server's struct had it. Only declared fields can be written. The values are JSON
//! and change by the rules of their declared policies. Validation rules are not checked, since the server does not have
//! them. Called by [`Typed`](super::Typed).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::authority::state::changed_paths::WriteCheck;
use crate::authority::state::staged::{self, MAX_OPERATED, Staged};
use crate::authority::state::untyped_number::{computed, counts, is_arithmetic};
use crate::authority::state::untyped_ops;
use crate::core::schema::{join, parts};
use crate::core::shape::MAX_SHAPE;
use crate::core::{Code, Reject, transfer};
use crate::core::{FieldInfo, FieldPath, FieldPathBuf, FieldSchema, SchemaError, WireUpdate};
use crate::proto::{Declaration, Violation, push_string};
use crate::schema::resolve::at;

/// The greatest number of unknown fields in a room.
pub const UNKNOWN_FIELDS: usize = 256;

/// The greatest size of the unknown fields of a room, in bytes: their paths and their values as JSON.
pub const UNKNOWN_FIELDS_BYTES: usize = 1 << 20;

/// The longest path of a declared field, and the longest name of a policy, in bytes.
const MAX_PATH: usize = 256;

#[derive(Clone, Debug)]
pub(super) struct UnknownFields {
    /// The fields of the struct.
    of_struct: &'static [FieldInfo],
    /// The unknown fields by their paths, in which the struct's fields have their own names and not aliases.
    fields: BTreeMap<String, Field>,
    /// The size of the paths and values, in bytes.
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Field {
    /// The client's declaration; `None`: an earlier struct had the field.
    declared: Option<FieldSchema>,
    value: Option<Box<RawValue>>,
    changed: u64,
    /// Whether the log or a snapshot has the declaration.
    stored: bool,
}

/// The new values of the fields that a change updates, by their paths, while its operations are staged.
pub(super) type StagedFields<'a> = BTreeMap<String, Staged<'a>>;

/// The new values of the fields that a change updates, by their paths, not applied yet.
pub(super) type Values = BTreeMap<String, Box<RawValue>>;

impl UnknownFields {
    pub(super) const fn new(of_struct: &'static [FieldInfo]) -> Self {
        Self { of_struct, fields: BTreeMap::new(), bytes: 0 }
    }

    /// The path with the struct's own names in place of their aliases.
    pub(super) fn own_path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        own_path(self.of_struct, path)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Adds a declaration of an unknown field. Ignores a declaration of a field that the struct has.
    ///
    /// # Errors
    /// The field is declared differently, its path is inside or around another field, or there are too many.
    pub(super) fn declare(&mut self, path: &str, declaration: &Declaration) -> Result<(), Violation> {
        let refuse = |error: SchemaError| Err(Violation::new(Code::IncompatibleSchema, error.to_string()));
        let Declaration { policy, shape, initial, .. } = declaration;
        if path.len() > MAX_PATH || policy.len() > MAX_PATH || shape.len() > MAX_SHAPE {
            let expected =
                format!("a path and a policy of {MAX_PATH} bytes and a shape of {MAX_SHAPE} at most");
            return refuse(SchemaError::new(&path.chars().take(40).collect::<String>(), expected, "more"));
        }
        let path = &*own_path(self.of_struct, path);
        match place(self.of_struct, FieldPath::new(path)) {
            Place::Inside => return Ok(()),
            Place::Below => return refuse(SchemaError::new(path, "a field without parts", "a part of it")),
            Place::Outside => {}
        }
        self.split(path);
        let declared = untyped_ops::bounded(declaration.field());
        let (count, bytes) = (self.fields.len(), self.bytes);
        if let Some(field) = self.fields.get_mut(path) {
            return match &field.declared {
                Some(known) => match known.fits(path, &declared) {
                    Ok(()) => Ok(()),
                    Err(error) => refuse(error),
                },
                None => {
                    field.declared = Some(declared);
                    Ok(())
                }
            };
        }
        let within =
            |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
        if let Some(other) = self.fields.keys().find(|other| within(other, path) || within(path, other)) {
            return refuse(SchemaError::new(
                path,
                "a field of its own",
                format!("one within, or around, `{other}`"),
            ));
        }
        let cost = path.len() + initial.as_ref().map_or(0, |json| json.get().len());
        if count >= UNKNOWN_FIELDS || bytes + cost > UNKNOWN_FIELDS_BYTES {
            let expected = format!(
                "{UNKNOWN_FIELDS} fields and {UNKNOWN_FIELDS_BYTES} bytes at most that the server does not know"
            );
            return refuse(SchemaError::new(path, expected, format!("{} and {}", count + 1, bytes + cost)));
        }
        let initial =
            initial.clone().filter(|json| serde_json::from_str::<serde_json::Value>(json.get()).is_ok());
        self.bytes += cost;
        let field = Field { declared: Some(declared), value: initial, changed: 0, stored: false };
        self.fields.insert(path.to_owned(), field);
        Ok(())
    }

    /// If `path` leads into a lost struct that is stored as one value, splits the value: each member is then stored as
    /// a field of its own.
    fn split(&mut self, path: &str) {
        let outer = |(at, _): &(usize, &str)| {
            self.fields.get(&path[..*at]).is_some_and(|field| field.declared.is_none())
        };
        let Some((at, _)) = path.match_indices('/').find(outer) else { return };
        let Some(value) = self.fields.get(&path[..at]).and_then(|field| field.value.clone()) else { return };
        let Ok(members) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(value.get()) else {
            return;
        };
        let Some(whole) = self.fields.remove(&path[..at]) else { return };
        self.bytes -= at + value.get().len();
        for (name, value) in members {
            let inner = join(&path[..at], &name);
            // A member that is stored on its own was written later and is newer.
            if !self.fields.contains_key(&inner) {
                self.restore(inner, &value, whole.changed);
            }
        }
        // The path may lead into a nested struct, which is split next.
        self.split(path);
    }

    /// Whether the field at this path is declared.
    pub(super) fn has_declared(&self, path: &str) -> bool {
        self.fields.get(&*self.own_path(path)).is_some_and(|field| field.declared.is_some())
    }

    /// Whether there are as many fields as a room takes.
    pub(super) fn is_full(&self) -> bool {
        self.fields.len() >= UNKNOWN_FIELDS
    }

    /// Forgets a declared field that nobody has written. Returns whether none is declared at the path now.
    pub(super) fn forget_declared(&mut self, path: &str) -> bool {
        let path = self.own_path(path).into_owned();
        let Some(field) = self.fields.get(&path).filter(|field| field.declared.is_some()) else {
            return true;
        };
        if field.stored || field.changed > 0 {
            return false;
        }
        self.bytes -= path.len() + field.value.as_ref().map_or(0, |value| value.get().len());
        self.fields.remove(&path);
        true
    }

    /// The declared fields.
    pub(super) fn declared(&self) -> BTreeMap<String, FieldSchema> {
        let declared = self.fields.iter().filter_map(|(path, field)| Some((path, field.declared.as_ref()?)));
        declared.map(|(path, declared)| (path.clone(), declared.clone())).collect()
    }

    /// Whether clients may write at a path.
    pub(super) fn is_declared(&self, path: &str) -> bool {
        self.holder(&self.own_path(path)).is_some()
    }

    /// The declared field that a path leads to or into: its path, and the rest of the path.
    fn holder<'p>(&self, path: &'p str) -> Option<(&'p str, FieldPath<'p>)> {
        untyped_ops::holder(path, |at| self.fields.get(at).is_some_and(|field| field.declared.is_some()))
    }

    /// Stages an update of an unknown field together with the other updates of its change. Returns the operation's
    /// value if it differs from the received one.
    ///
    /// # Errors
    /// The field has no such operation, or the value is of the wrong type.
    pub(super) fn stage<'a>(
        &'a self,
        staged: &mut StagedFields<'a>,
        update: &WireUpdate<'_>,
    ) -> Result<Option<Box<RawValue>>, Reject> {
        let own = self.own_path(&update.key);
        if let Some((field, rest)) = self.holder(&own)
            && let Some(declared) = self.fields.get(field).and_then(|field| field.declared.as_ref())
            && !matches!(declared.policy.as_str(), "lww" | "counter" | "nested")
        {
            return self.stage_entry(staged, update, field, declared, rest);
        }
        let path = &*own;
        let refuse = |code, message: String| Err(Reject::new(code, message).in_field(path));
        let field = self.fields.get(path);
        let staged_before = staged.get(path).map(Staged::text);
        let before = || staged_before.as_deref().or_else(|| Some(field?.value.as_ref()?.get()));
        let declared = field.and_then(|field| field.declared.as_ref());
        let counter = declared.filter(|declared| declared.policy == "counter");
        if let Some(FieldSchema { shape, .. }) = counter
            && !counts(update.value.get(), shape)
        {
            let message = format!("expected {shape}, found {}", update.value.get());
            return refuse(Code::WrongType, message);
        }
        let value = match update.op.as_deref() {
            None => update.value.to_owned(),
            Some(op) if is_arithmetic(Some(op)) && (counter.is_some() || declared.is_none()) => {
                let shape = counter.map_or("", |counter| counter.shape.as_str());
                match computed(before().unwrap_or("0"), op, update.value.get(), shape) {
                    Some(result) => result,
                    None => {
                        let message = "only a number can be added to a number or subtracted from it";
                        return refuse(Code::WrongType, message.to_owned());
                    }
                }
            }
            Some(op) => {
                let policy = declared.map_or("unknown", |declared| declared.policy.as_str());
                let message = format!("`{op}` of a `{policy}` field that the server does not know");
                return refuse(Code::UnknownOp, message);
            }
        };
        // Refuses numbers that JSON can write but no program can represent, such as 1e999.
        if let Err(error) = serde_json::from_str::<serde_json::Value>(value.get()) {
            return refuse(Code::WrongType, error.to_string());
        }
        staged.insert(path.to_owned(), Staged::Text(Cow::Owned(value)));
        Ok(None)
    }

    /// Stages an update of a list, map or set, or of one of its entries.
    fn stage_entry<'a>(
        &'a self,
        staged: &mut StagedFields<'a>,
        update: &WireUpdate<'_>,
        field: &str,
        declared: &FieldSchema,
        rest: FieldPath<'_>,
    ) -> Result<Option<Box<RawValue>>, Reject> {
        let known = self.fields.get(field).and_then(|field| field.value.as_deref());
        let declared = untyped_ops::Declared::from(declared);
        let rewritten = staged::change(staged, field.to_owned(), known, MAX_OPERATED, |tree, is_new| {
            untyped_ops::change(declared, tree, is_new, None, FieldPath::END, rest, update)
        });
        let rewritten = rewritten.map_err(|reject| reject.in_field(&*update.key))?;
        Ok(rewritten.filter(|_| update.op.as_deref() != Some(transfer::TAKE)))
    }

    /// Checks that the unknown fields stay within [`UNKNOWN_FIELDS_BYTES`] with the new values.
    pub(super) fn check(&self, values: &Values) -> Result<(), Reject> {
        let size = self.size_with(values);
        if size > UNKNOWN_FIELDS_BYTES && size > self.bytes {
            let message = format!(
                "the fields that the server does not know would have {size} bytes, {UNKNOWN_FIELDS_BYTES} at most"
            );
            return Err(Reject::new(Code::StateTooLarge, message));
        }
        Ok(())
    }

    /// Asks about the paths that the new values change, at the paths of the updates or inside them.
    pub(super) fn check_paths(
        &self,
        check: WriteCheck<'_>,
        values: &Values,
        updates: &[WireUpdate<'_>],
    ) -> Result<(), Reject> {
        let declared = |at: &str| Some(untyped_ops::Declared::from(self.fields.get(at)?.declared.as_ref()?));
        for (field, new) in values {
            let old = self.fields.get(field).and_then(|field| field.value.as_deref());
            let own = updates.iter().map(|update| self.own_path(&update.key));
            let here: Vec<_> =
                own.filter(|own| self.holder(own).map_or(&**own, |(holder, _)| holder) == field).collect();
            check.untyped(field, here.iter().map(|path| &**path), (old, Some(new)), &declared)?;
        }
        Ok(())
    }

    fn size_with(&self, values: &Values) -> usize {
        let mut size = self.bytes;
        for (path, value) in values {
            size += value.get().len();
            match self.fields.get(path) {
                Some(field) => size -= field.value.as_ref().map_or(0, |value| value.get().len()),
                None => size += path.len(),
            }
        }
        size
    }

    pub(super) fn commit(&mut self, values: Values, version: u64) {
        self.bytes = self.size_with(&values);
        for (path, value) in values {
            self.set_within(&path, &value, version);
            let field = self.fields.entry(path).or_default();
            (field.value, field.changed) = (Some(value), version);
        }
    }

    /// Updates the fields inside `path` that are stored on their own, when the log sets a lost struct as a whole.
    fn set_within(&mut self, path: &str, value: &RawValue, version: u64) {
        let rest = |inner: &str| Some(inner.strip_prefix(path)?.strip_prefix('/')?.to_owned());
        let inner: Vec<_> =
            self.fields.keys().filter_map(|inner| Some((inner.clone(), rest(inner)?))).collect();
        for (inner, rest) in inner {
            let (Some(field), new) =
                (self.fields.get_mut(&inner), at(value.to_owned(), FieldPath::new(&rest)))
            else {
                continue;
            };
            let length = |value: &Option<Box<RawValue>>| value.as_ref().map_or(0, |value| value.get().len());
            self.bytes = self.bytes + length(&new) - length(&field.value);
            (field.value, field.changed) = (new, version);
        }
    }

    /// Restores a stored value that the struct does not have.
    pub(super) fn restore(&mut self, path: String, value: &RawValue, changed: u64) {
        self.commit(Values::from([(path, value.to_owned())]), changed);
    }

    /// Marks every value as changed at version `at`.
    pub(super) fn mark_all_changed(&mut self, at: u64) {
        self.fields.values_mut().filter(|field| field.value.is_some()).for_each(|field| field.changed = at);
    }

    /// The version that last changed an unknown field at, inside or around a path; `None` if there is no such field.
    pub(super) fn changed_at(&self, path: &str) -> Option<u64> {
        let path = self.own_path(path);
        let within = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let there = self.fields.iter().filter(|(other, _)| within(&path, other) || within(other, &path));
        there.map(|(_, field)| field.changed).max()
    }

    /// The unknown fields whose path begins with `name`.
    fn under<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a Field)> {
        let top = move |path: &str| FieldPath::new(path).next_segment().is_some_and(|first| first == name);
        self.fields.iter().map(|(path, field)| (path.as_str(), field)).filter(move |(path, _)| top(path))
    }

    /// The values of the unknown fields whose path begins with `name`, each after its path.
    pub(super) fn values_under<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.under(name).filter_map(|(path, field)| Some((path, field.value.as_ref()?.get())))
    }

    /// The first names of the paths of all unknown fields that have values.
    pub(super) fn tops(&self) -> Vec<Cow<'_, str>> {
        let valued = self.fields.iter().filter(|(_, field)| field.value.is_some());
        let mut tops: Vec<_> = valued.filter_map(|(path, _)| FieldPath::new(path).next_segment()).collect();
        tops.dedup();
        tops
    }

    /// Appends a set for each field whose version satisfies `wanted` to a JSON array that is not closed yet.
    pub(super) fn write_sets(&self, wanted: impl Fn(u64) -> bool, first: &mut bool, out: &mut String) {
        for (path, field) in &self.fields {
            if let Some(value) = field.value.as_ref().filter(|_| wanted(field.changed)) {
                out.push_str(if std::mem::take(first) { "{\"key\":" } else { ",{\"key\":" });
                push_string(out, path);
                out.push_str(",\"value\":");
                out.push_str(value.get());
                out.push('}');
            }
        }
    }

    /// The declarations of the fields that `updates` write and that are not in the log yet, as a JSON object. Each
    /// declaration's `initial` is the field's value before the updates.
    pub(super) fn unstored(&self, updates: &[WireUpdate<'_>]) -> Option<String> {
        let mut new = BTreeMap::new();
        for update in updates {
            let own = self.own_path(&update.key);
            let field = self.holder(&own).map_or(&*own, |(field, _)| field);
            if let Some(Field { declared: Some(declared), value, stored: false, .. }) = self.fields.get(field)
            {
                new.insert(field.to_owned(), Declaration::new(declared.clone(), value.clone()));
            }
        }
        (!new.is_empty()).then(|| serde_json::to_string(&new).expect("declarations are strings and JSON"))
    }

    /// The log has the declarations that [`unstored`](Self::unstored) returned.
    pub(super) fn mark_stored(&mut self, updates: &[WireUpdate<'_>]) {
        for update in updates {
            let own = own_path(self.of_struct, &update.key);
            let field = self.holder(&own).map_or(&*own, |(field, _)| field).to_owned();
            if let Some(field) = self.fields.get_mut(&field) {
                field.stored = true;
            }
        }
    }

    /// Appends the declarations and versions of the fields for a snapshot.
    pub(super) fn write(&self, out: &mut String) {
        let stored = self.fields.iter().map(|(path, field)| {
            (path, StoredField { declared: field.declared.clone(), changed: field.changed })
        });
        let stored: BTreeMap<_, _> = stored.collect();
        out.push_str(&serde_json::to_string(&stored).expect("declarations and versions are JSON"));
    }

    /// Restores what [`write`](Self::write) wrote. Called after the values are restored.
    pub(super) fn restore_all(&mut self, stored: &str) -> Result<(), String> {
        let stored: BTreeMap<String, StoredField> = serde_json::from_str(stored)
            .map_err(|error| format!("the declarations of unknown fields are not an object: {error}"))?;
        for (path, StoredField { declared, changed }) in stored {
            if let Some(declared) = declared {
                // A declaration that no longer fits this struct is ignored.
                let _ = self.declare(&path, &Declaration::new(declared, None));
            }
            if let Some(field) = self.fields.get_mut(&*own_path(self.of_struct, &path)) {
                (field.changed, field.stored) = (changed, true);
            }
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct StoredField {
    #[serde(flatten)]
    declared: Option<FieldSchema>,
    #[serde(default)]
    changed: u64,
}

/// A path with the struct's own names in place of their aliases.
pub(super) fn own_path<'a>(mut fields: &'static [FieldInfo], path: &'a str) -> Cow<'a, str> {
    let mut own = FieldPathBuf::new();
    let mut rest = FieldPath::new(path);
    while let Some(name) = rest.next_segment() {
        let info = fields.iter().find(|info| is_named(info, &name));
        own.push(info.map_or(&*name, |info| info.name));
        fields = info.and_then(parts).unwrap_or(&[]);
    }
    if own.as_str() == path { Cow::Borrowed(path) } else { Cow::Owned(own.into_string()) }
}

fn is_named(info: &FieldInfo, name: &str) -> bool {
    info.name == name || info.aliases.contains(&name)
}

/// Whether the struct does not have the field at a path, and the path does not lead into a field without parts.
pub(super) fn is_outside(of_struct: &'static [FieldInfo], path: &str) -> bool {
    matches!(place(of_struct, FieldPath::new(path)), Place::Outside)
}

/// The relation of a path to the struct.
enum Place {
    /// The struct has the field.
    Inside,
    /// The path leads into a field of the struct that has no parts.
    Below,
    /// The struct, or the nested struct that the path leads into, does not have the field.
    Outside,
}

fn place(mut fields: &'static [FieldInfo], mut path: FieldPath<'_>) -> Place {
    while let Some(name) = path.next_segment() {
        let Some(info) = fields.iter().find(|info| is_named(info, &name)) else { return Place::Outside };
        match parts(info) {
            _ if path.is_end() => return Place::Inside,
            Some(parts) => fields = parts,
            None => return Place::Below,
        }
    }
    Place::Inside
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::state::staged::into_texts;

    const INNER: &[FieldInfo] = &[FieldInfo::new("columns", "lww")];
    const FIELDS: &[FieldInfo] = &[
        FieldInfo::new("title", "lww").aliases(&["name"]),
        FieldInfo::new("layout", "nested").aliases(&["place"]).parts(|| INNER),
    ];

    fn declaration(policy: &str, shape: &str, initial: &str) -> Declaration {
        let initial = RawValue::from_string(initial.to_owned()).ok();
        let field = FieldSchema { policy: policy.into(), shape: shape.into(), ..FieldSchema::default() };
        Declaration::new(field, initial)
    }

    fn declared(unknown: &mut UnknownFields, path: &str, shape: &str) -> Result<(), String> {
        unknown.declare(path, &declaration("lww", shape, "null")).map_err(|violation| violation.message)
    }

    fn staged(unknown: &UnknownFields, update: &str) -> Result<Values, Code> {
        let mut staged = StagedFields::new();
        let update: WireUpdate<'_> = serde_json::from_str(update).expect("an update");
        unknown.stage(&mut staged, &update).map_err(|reject| reject.code)?;
        let values = into_texts(staged).map_err(|reject| reject.code)?;
        unknown.check(&values).map_err(|reject| reject.code)?;
        Ok(values)
    }

    #[test]
    fn a_declaration_must_fit() {
        let mut unknown = UnknownFields::new(FIELDS);
        assert_eq!(declared(&mut unknown, "layout/wide", "bool"), Ok(()));
        assert_eq!(declared(&mut unknown, "layout/wide", "bool"), Ok(()));
        let error = "`layout/wide`: expected bool (lww), found u8 (lww)";
        assert_eq!(declared(&mut unknown, "layout/wide", "u8"), Err(error.into()));
        assert_eq!(declared(&mut unknown, "name", "anything"), Ok(()), "the struct has it");
        for path in ["title/x", "layout/columns/x", "layout/wide/x"] {
            assert!(declared(&mut unknown, path, "u8").is_err(), "{path}");
        }
        assert_eq!(unknown.declared().len(), 1);
        assert_eq!(own_path(FIELDS, "place/wide/name"), "layout/wide/name");
        assert!(unknown.is_declared("place/wide") && declared(&mut unknown, "place/wide", "u8").is_err());
        for number in 1..UNKNOWN_FIELDS {
            assert_eq!(declared(&mut unknown, &number.to_string(), "u8"), Ok(()));
        }
        assert!(declared(&mut unknown, "more", "u8").is_err());
        assert!(declared(&mut UnknownFields::new(FIELDS), &"x".repeat(MAX_PATH + 1), "u8").is_err());
        assert!(declared(&mut UnknownFields::new(FIELDS), "x", &"x".repeat(MAX_SHAPE + 1)).is_err());
        let long = declaration("lww", "string", &format!("\"{}\"", "x".repeat(UNKNOWN_FIELDS_BYTES)));
        assert!(UnknownFields::new(FIELDS).declare("x", &long).is_err());
    }

    #[test]
    fn a_struct_that_was_lost_is_taken_apart_for_those_who_have_it() {
        let mut unknown = UnknownFields::new(FIELDS);
        let whole = RawValue::from_string(r#"{"dark":true,"in":{"x":1,"y":[2]}}"#.to_owned()).expect("JSON");
        unknown.restore("theme".to_owned(), &whole, 7);
        assert_eq!(declared(&mut unknown, "theme/in/x", "u8"), Ok(()));
        let values: Vec<_> = unknown.values_under("theme").collect();
        assert_eq!(values, [("theme/dark", "true"), ("theme/in/x", "1"), ("theme/in/y", "[2]")]);
        assert_eq!(unknown.bytes, values.iter().map(|(path, value)| path.len() + value.len()).sum::<usize>());
        assert_eq!(unknown.changed_at("theme"), Some(7));
    }

    #[test]
    fn bytes_of_unknown_fields_are_counted() {
        let mut unknown = UnknownFields::new(FIELDS);
        assert_eq!(declared(&mut unknown, "x", "string"), Ok(()));
        let set = |size: usize| format!(r#"{{"key":"x","value":"{}"}}"#, "x".repeat(size));
        assert!(matches!(staged(&unknown, &set(UNKNOWN_FIELDS_BYTES)), Err(Code::StateTooLarge)));
        let fits = staged(&unknown, &set(UNKNOWN_FIELDS_BYTES - 10)).expect("it fits");
        unknown.commit(fits, 1);
        assert_eq!(unknown.bytes, UNKNOWN_FIELDS_BYTES - 7);
        let fits = staged(&unknown, &set(0)).expect("it fits");
        unknown.commit(fits, 2);
        assert_eq!((unknown.bytes, unknown.changed_at("x")), (3, Some(2)));
    }

    #[test]
    fn counters_are_added_to_and_other_fields_are_not() {
        let mut unknown = UnknownFields::new(FIELDS);
        assert_eq!(declared(&mut unknown, "x", "u8"), Ok(()));
        assert_eq!(unknown.declare("n", &declaration("counter", "u8", "250")), Ok(()));
        let add = staged(&unknown, r#"{"key":"n","op":"add","value":4}"#).expect("a counter");
        assert_eq!(add["n"].get(), "254");
        unknown.commit(add, 1);
        let add = staged(&unknown, r#"{"key":"n","op":"add","value":4}"#).expect("a counter");
        assert_eq!(add["n"].get(), "255");
        for (update, code) in [
            (r#"{"key":"x","op":"add","value":4}"#, Code::UnknownOp),
            (r#"{"key":"n","op":"push","value":4}"#, Code::UnknownOp),
            (r#"{"key":"n","op":"add","value":"4"}"#, Code::WrongType),
            (r#"{"key":"n","value":"4"}"#, Code::WrongType),
            (r#"{"key":"n","op":"add","value":-1}"#, Code::WrongType),
            (r#"{"key":"n","op":"sub","value":256}"#, Code::WrongType),
            (r#"{"key":"x","op":"sub","value":4}"#, Code::UnknownOp),
            (r#"{"key":"n","op":"add","value":0.5}"#, Code::WrongType),
            (r#"{"key":"n","value":256}"#, Code::WrongType),
            (r#"{"key":"x","value":1e999}"#, Code::WrongType),
        ] {
            assert_eq!(staged(&unknown, update).map(drop), Err(code), "{update}");
        }
    }

    #[test]
    fn sums_are_those_of_the_type() {
        for (before, by, shape, after) in [
            ("1", "2", "i64", "3"),
            ("9223372036854775807", "1", "i64", "9223372036854775807"),
            ("9223372036854775807", "1", "u64", "9223372036854775808"),
            ("1", "0.5", "f64", "1.5"),
            ("1", "2", "f64", "3.0"),
            ("0.1", "0.2", "f32", "0.3"),
            ("1e308", "1.7e308", "f64", "1.7976931348623157e+308"),
        ] {
            assert_eq!(
                computed(before, "add", by, shape).map(|sum| sum.get().to_owned()).as_deref(),
                Some(after)
            );
        }
        assert!(computed("\"a\"", "add", "1", "").is_none());
    }
}
