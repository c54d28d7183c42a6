//! The conversion of JSON values and updates between two versions of a struct, known as schema resolution in
//! Avro.
//!
//! It is slow and not used on the common path: only for a client whose struct differs from the room's, and
//! for a room that is loaded.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::core::json_text::JsonText;
use crate::core::schema::{join, parts};
use crate::core::{
    FieldId, FieldInfo, FieldPath, SharedState, UpdateError, UpdateErrorKind, WireUpdate, text_scope,
    transfer,
};
use crate::schema::SchemaDiff;

type Members<'v> = BTreeMap<Cow<'v, str>, &'v RawValue>;

fn members(value: &RawValue) -> Option<Members<'_>> {
    serde_json::from_str(value.get()).ok()
}

/// How the writer of a value names the fields of its reader.
pub(crate) struct Writer<'a> {
    /// The writer's path for one of the reader's, if the two differ.
    pub(crate) named: &'a dyn Fn(&str) -> Option<String>,
    /// Whether the writer does not have this field of the reader. The field then keeps the reader's value.
    pub(crate) lacks: &'a dyn Fn(&str) -> bool,
}

/// Converts the value of a nested struct from its writer's version to its reader's: the members get the
/// reader's names, and members that the writer lacks are taken from `now`, the reader's current value. `None`
/// if the value is not an object.
pub(crate) fn resolved(
    fields: &'static [FieldInfo],
    path: &str,
    value: &RawValue,
    now: &RawValue,
    writer: &Writer<'_>,
) -> Option<Box<RawValue>> {
    let (found, now) = (members(value)?, members(now)?);
    let mut out = String::from("{");
    for info in fields {
        let own = join(path, info.name);
        let theirs = (writer.named)(&own);
        let theirs = theirs.as_deref().and_then(last).unwrap_or(Cow::Borrowed(info.name));
        let aliases = info.aliases.iter().map(|alias| Cow::Borrowed(*alias));
        let written = std::iter::once(theirs).chain(aliases).find_map(|name| found.get(&*name).copied());
        let before = now.get(info.name).copied();
        let inner = match (parts(info), written, before) {
            (Some(fields), Some(written), Some(before)) => resolved(fields, &own, written, before, writer),
            _ => None,
        };
        let fits = inner.as_deref().or(written).or_else(|| before.filter(|_| (writer.lacks)(&own)));
        if let Some(value) = fits {
            push_member(&mut out, info.name, value.get());
        }
    }
    out.push('}');
    RawValue::from_string(out).ok()
}

/// As [`resolved`], for the nested struct at `path` in `state`. `None` if there is no nested struct, or the
/// value is not an object.
pub(crate) fn resolved_in<S: SharedState>(
    state: &S,
    path: &str,
    value: &RawValue,
    writer: &Writer<'_>,
) -> Option<Box<RawValue>> {
    let fields = nested_at(S::FIELDS, FieldPath::new(path))?;
    let mut inner = FieldPath::new(path);
    let field = S::field_named(&inner.next_segment()?)?;
    let now = at(RawValue::from_string(text_scope::with_history(|| field_json(state, field))).ok()?, inner)?;
    resolved(fields, path, value, &now, writer)
}

/// The last segment of a path, unescaped.
fn last(path: &str) -> Option<Cow<'_, str>> {
    FieldPath::new(path.rsplit_once('/').map_or(path, |(_, last)| last)).next_segment()
}

/// Calls `each` with the members of a nested struct's value that the struct does not have, and their paths.
pub(crate) fn unknown<'v>(
    fields: &'static [FieldInfo],
    path: &str,
    value: &'v RawValue,
    each: &mut dyn FnMut(String, &'v RawValue),
) {
    for (name, value) in members(value).unwrap_or_default() {
        let known =
            fields.iter().find(|info| info.name == name || info.aliases.iter().any(|alias| *alias == name));
        match known {
            None => each(join(path, &name), value),
            Some(info) => {
                if let Some(fields) = parts(info) {
                    unknown(fields, &join(path, info.name), value, each);
                }
            }
        }
    }
}

/// The object `json` with `value` at `path`. Objects that are missing along the path are added.
pub(crate) fn inserted(json: &str, mut path: FieldPath<'_>, value: &str) -> String {
    let Some(name) = path.next_segment() else { return value.to_owned() };
    let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(json).unwrap_or_default();
    let inner = members.get(&name).map_or("{}", |member| member.get());
    let inner = if path.is_end() { value.to_owned() } else { inserted(inner, path, value) };
    let mut out = String::from("{");
    for (name, value) in members.iter().filter(|(other, _)| **other != name) {
        push_member(&mut out, name, value.get());
    }
    push_member(&mut out, &name, &inner);
    out.push('}');
    out
}

/// The value at `path` in the object `json`.
pub(crate) fn at(json: Box<RawValue>, mut path: FieldPath<'_>) -> Option<Box<RawValue>> {
    let Some(name) = path.next_segment() else { return Some(json) };
    let member = members(&json)?.get(&name).copied()?.to_owned();
    at(member, path)
}

/// The JSON of one field of a state.
pub(crate) fn field_json<S: SharedState>(state: &S, field: usize) -> String {
    struct One<'a, S>(&'a S, usize);
    impl<S: SharedState> serde::Serialize for One<'_, S> {
        fn serialize<Ser: serde::Serializer>(&self, serializer: Ser) -> Result<Ser::Ok, Ser::Error> {
            self.0.encode_field(self.1, serializer)
        }
    }
    // A state that was decoded from JSON has a JSON form.
    serde_json::to_string(&One(state, field)).unwrap_or_else(|_| "null".to_owned())
}

/// Decodes an update from a client with another struct. `state` is the state to which the update will be
/// applied. `None` if the update is to a field that is not known here.
pub(crate) fn read<S: SharedState>(
    differences: &SchemaDiff,
    initial: &S,
    state: &S,
    update: &WireUpdate<'_>,
) -> Result<Option<S::Update>, UpdateError> {
    let renamed = differences.to_own(&update.key);
    let key = renamed.as_deref().unwrap_or(&update.key);
    let op = update.op.as_deref();
    let resolved = match op {
        None if differences.differs_inside(key) => {
            let named = |path: &str| differences.to_room(path);
            let lacks = |path: &str| differences.is_unknown(path);
            resolved_in(state, key, update.value, &Writer { named: &named, lacks: &lacks })
        }
        _ => transfer::renamed_destination(op, update.value, |to| differences.to_own(to)),
    };
    match S::decode(FieldPath::new(key), op, JsonText::of(resolved.as_deref().unwrap_or(update.value))) {
        Ok(update) => Ok(Some(update)),
        Err(error) if error.kind == UpdateErrorKind::UnknownField => Ok(None),
        // The room does not know the field's type and stores any value for it. A value that cannot be read
        // counts as the initial value.
        Err(error) if op.is_none() && differences.is_unknown(key) => {
            let initial = value_at(initial, key).ok_or(error)?;
            S::decode(FieldPath::new(key), None, JsonText::of(&initial)).map(Some)
        }
        Err(error) => Err(error),
    }
}

/// The JSON of the value at a path of names.
pub(crate) fn value_at<S: SharedState>(state: &S, path: &str) -> Option<Box<RawValue>> {
    let mut path = FieldPath::new(path);
    let field = S::field_named(&path.next_segment()?)?;
    at(RawValue::from_string(text_scope::with_history(|| field_json(state, field))).ok()?, path)
}

/// The fields of the nested struct at a path of names; `None` if there is no nested struct.
pub(crate) fn nested_at(fields: &'static [FieldInfo], path: FieldPath<'_>) -> Option<&'static [FieldInfo]> {
    nested_indices(fields, path).map(|(_, fields)| fields)
}

/// As [`nested_at`], with the path as indices.
pub(crate) fn nested_indices(
    mut fields: &'static [FieldInfo],
    mut path: FieldPath<'_>,
) -> Option<(Vec<FieldId>, &'static [FieldInfo])> {
    let mut indices = Vec::new();
    while let Some(name) = path.next_segment() {
        let named = |info: &FieldInfo| info.name == name || info.aliases.iter().any(|alias| *alias == name);
        let index = fields.iter().position(named)?;
        fields = parts(&fields[index])?;
        indices.push(index);
    }
    Some((indices, fields))
}

fn push_member(out: &mut String, name: &str, value: &str) {
    if out.len() > 1 {
        out.push(',');
    }
    // A string always has a JSON form.
    out.push_str(&serde_json::to_string(name).unwrap_or_default());
    out.push(':');
    out.push_str(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: &[FieldInfo] = &[FieldInfo::new("x", "lww"), FieldInfo::new("y", "lww").aliases(&["z"])];
    const FIELDS: &[FieldInfo] =
        &[FieldInfo::new("a", "lww"), FieldInfo::new("in", "nested").parts(|| INNER)];

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("it is JSON")
    }

    #[test]
    fn a_value_is_made_to_fit() {
        let fit = |value: &str, lacks: &dyn Fn(&str) -> bool| {
            let writer = Writer { named: &|path| (path == "n/a").then(|| "n/b".to_owned()), lacks };
            let now = raw(r#"{"a":1,"in":{"x":2,"y":3}}"#);
            resolved(FIELDS, "n", &raw(value), &now, &writer).expect("it is an object").get().to_owned()
        };
        assert_eq!(fit(r#"{"b":7,"in":{"z":8},"q":9}"#, &|_| true), r#"{"a":7,"in":{"x":2,"y":8}}"#);
        assert_eq!(fit(r#"{"in":{"y":8}}"#, &|path| path == "n/in/x"), r#"{"in":{"x":2,"y":8}}"#);
        assert_eq!(fit(r#"{"b":7}"#, &|path| path == "n/in"), r#"{"a":7,"in":{"x":2,"y":3}}"#);
    }

    #[test]
    fn what_is_not_known_is_found_at_any_depth() {
        let mut found = Vec::new();
        let value = raw(r#"{"a":1,"b/c":2,"in":{"y":1,"z":1,"w":[4]}}"#);
        unknown(FIELDS, "n", &value, &mut |path, value| found.push(format!("{path}={value}")));
        assert_eq!(found, ["n/b~1c=2", "n/in/w=[4]"]);
    }

    #[test]
    fn values_are_put_where_they_belong() {
        assert_eq!(
            inserted(r#"{"a":1,"b":{"c":2}}"#, FieldPath::new("b/d"), "3"),
            r#"{"a":1,"b":{"c":2,"d":3}}"#
        );
        assert_eq!(inserted("{}", FieldPath::new("b/d"), "3"), r#"{"b":{"d":3}}"#);
        assert_eq!(inserted(r#"{"a":1}"#, FieldPath::new("a"), "3"), r#"{"a":3}"#);
        let found = at(raw(r#"{"b":{"c":2}}"#), FieldPath::new("b/c"));
        assert_eq!(found.map(|value| value.get().to_owned()).as_deref(), Some("2"));
    }
}
