//! The operations of merge policies on JSON values, for fields whose type the server does not know but whose policy and
//! shape a client has declared.
//!
//! They follow the rules of the typed policies, at a higher cost: a change reads and writes each value that it changes
//! once, as a whole. A position after an item that no longer exists is the front of the list.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use crate::authority::state::exact_json::Json;
use crate::authority::state::items::{At, Items, Key};
use crate::authority::state::untyped_number::{computed, counts, is_at_bound};
use crate::core::{Code, Invalid, Reject, transfer};
use crate::core::{FieldPath, FieldSchema, WireUpdate};
use crate::merge::MAX_KEY;

/// The declaration of a field, or of an entry or member inside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declared<'a> {
    /// The policy as in a schema: `lww`, `counter`, `list(id, nested)`.
    pub(super) policy: &'a str,
    /// The shape as in a schema: `[{done: bool, id: u32}]`.
    pub(super) shape: &'a str,
    /// The fields of a nested struct, or of the nested structs that are the entries, as far as they are declared.
    pub(super) fields: &'a BTreeMap<String, FieldSchema>,
}

impl<'a> From<&'a FieldSchema> for Declared<'a> {
    fn from(field: &'a FieldSchema) -> Self {
        let FieldSchema { policy, shape, fields, .. } = field;
        Self { policy, shape, fields }
    }
}

/// The fields of what has none.
static NONE: BTreeMap<String, FieldSchema> = BTreeMap::new();

/// The longest description of the fields of entries that is kept, in bytes of JSON.
const MAX_FIELDS: usize = 4 << 10;

/// The field, without the fields of its entries if their description is too long: the policies inside the entries are
/// not known then.
pub(super) fn bounded(mut field: FieldSchema) -> FieldSchema {
    if serde_json::to_string(&field.fields).map_or(true, |json| json.len() > MAX_FIELDS) {
        field.fields.clear();
    }
    field
}

/// Applies an update at `path` inside a field. Returns the operation's value if it differs from the received one, and
/// the item that a `take` has removed.
///
/// # Errors
/// The policy has no such operation, or a value is of the wrong form. `at` may then be partly changed.
pub(super) fn apply(
    declared: Declared<'_>,
    at: &mut Json,
    mut path: FieldPath<'_>,
    op: Option<&str>,
    value: &Json,
) -> Result<Option<Json>, Reject> {
    let unknown = || {
        let message =
            format!("a `{}` field has no operation `{}` here", declared.policy, op.unwrap_or("set"));
        Err(Reject::new(Code::UnknownOp, message))
    };
    let (name, _) = split(declared.policy);
    let Some(segment) = path.next_segment() else {
        return match (name, op) {
            ("list" | "set", None) if !value.is_array() => Err(wrong("an array", value)),
            // An optional struct may be absent. A shape does not tell whether a struct is optional.
            ("nested", None) if value.is_null() => {
                *at = Json::Null;
                Ok(None)
            }
            ("map" | "nested", None) if !value.is_object() => Err(wrong("an object", value)),
            ("counter", None | Some("add" | "sub")) if !counts(&value.to_string(), declared.shape) => {
                Err(wrong(declared.shape, value))
            }
            (_, None) => {
                *at = value.clone();
                Ok(None)
            }
            // A client of an earlier version declares no policies inside a nested struct. They are inferred from the
            // operations.
            ("counter" | "lww", Some(op @ ("add" | "sub"))) => {
                let before = if at.is_null() { "0".to_owned() } else { at.to_string() };
                let by = value.to_string();
                let result = computed(&before, op, &by, declared.shape);
                let result = result.ok_or_else(|| wrong("a number", value))?;
                if is_at_bound(&before, result.get(), &by, declared.shape) {
                    return Err(Invalid::at_bound().into());
                }
                *at = Json::read(result.get()).map_err(|_| wrong("a number", value))?;
                Ok(None)
            }
            // A list's key is in its policy, which is not declared here.
            ("lww", Some("insert")) if value.get("item").is_some() => {
                let message =
                    "the room does not know the key of a list inside an item: set the list as a whole";
                Err(Reject::new(Code::UnknownOp, message))
            }
            ("set" | "lww", Some(op @ ("insert" | "remove"))) => {
                let members = items(at, Key::Whole)?;
                let key = value.to_string();
                while let Some(known) = members.find(&key) {
                    members.remove(known);
                }
                if op == "insert" {
                    members.insert(members.last(), value.clone());
                }
                Ok(None)
            }
            ("list", Some("insert")) => insert(declared, items(at, declared.key())?, value),
            _ => unknown(),
        };
    };
    match name {
        "list" => in_list(declared, items(at, declared.key())?, &segment, path, op, value),
        "map" => in_map(declared, object(at)?, &segment, path, op, value),
        "nested" | "lww" => {
            // An optional struct that is absent has no members.
            let Some(members) = at.as_object_mut() else { return Err(gone()) };
            let inner = declared.member(&segment);
            if let Some(member) = members.get_mut(&*segment) {
                return apply(inner, member, path, op, value);
            }
            // Left out when the struct was written, by an older one or because it was empty.
            let mut member = inner.start();
            let rewritten = apply(inner, &mut member, path, op, value)?;
            members.insert(segment.into_owned(), member);
            Ok(rewritten)
        }
        _ => unknown(),
    }
}

/// The innermost declared field that a path leads to or into: its path, and the rest of the path.
pub(super) fn holder(path: &str, is_declared: impl Fn(&str) -> bool) -> Option<(&str, FieldPath<'_>)> {
    if is_declared(path) {
        return Some((path, FieldPath::END));
    }
    let outer = path.rmatch_indices('/').find(|(at, _)| is_declared(&path[..*at]));
    outer.map(|(at, _)| (&path[..at], FieldPath::new(&path[at + 1..])))
}

/// Applies an update to the value of a field. `declared` is the declaration of the field at `outer` in the value, and
/// `rest` is the path from there. `is_new`: the field has no value, and begins with `initial`. Returns what [`apply`]
/// returns.
///
/// # Errors
/// The policy has no such operation, or a value is of the wrong form. `at` may then be partly changed.
pub(super) fn change(
    declared: Declared<'_>,
    at: &mut Json,
    is_new: bool,
    initial: Option<&RawValue>,
    mut outer: FieldPath<'_>,
    rest: FieldPath<'_>,
    update: &WireUpdate<'_>,
) -> Result<Option<Box<RawValue>>, Reject> {
    let bad = |error: serde_json::Error| Reject::new(Code::WrongType, error.to_string());
    let in_field = |reject: Reject| reject.in_field(&*update.key);
    let value = Json::read(update.value.get()).map_err(bad).map_err(in_field)?;
    let (mut inner, mut has_value) = (at, !is_new);
    while let Some(name) = outer.next_segment() {
        let members = object(inner).map_err(in_field)?;
        has_value = members.contains_key(&*name);
        inner = members.entry(name.into_owned()).or_insert(Json::Null);
    }
    if !has_value && let Some(initial) = initial {
        *inner = Json::read(initial.get()).map_err(bad)?;
    }
    let rewritten = apply(declared, inner, rest, update.op.as_deref(), &value).map_err(in_field)?;
    rewritten.map(|json| to_raw_value(&json).map_err(bad)).transpose()
}

impl<'a> Declared<'a> {
    /// Whether the policy takes a value for the whole field.
    pub(super) fn takes(self, value: &RawValue) -> bool {
        let value = Json::read(value.get());
        value.is_ok_and(|value| apply(self, &mut Json::Null, FieldPath::END, None, &value).is_ok())
    }

    /// The declaration of the entries of a list or map.
    pub(super) fn entries(self) -> Self {
        let (name, arguments) = split(self.policy);
        let policy = match name {
            "list" => arguments.split_once(", ").map_or("lww", |(_, entries)| entries),
            _ if arguments.is_empty() => "lww",
            _ => arguments,
        };
        let shape = self.shape;
        let inside =
            |open: &str, close: &str| shape.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        let shape = inside("[", "]").or_else(|| members(inside("map<", ">")?).nth(1)).unwrap_or("");
        Self { policy, shape, fields: self.fields }
    }

    /// What operations act on where there is nothing yet.
    fn start(self) -> Json {
        match split(self.policy).0 {
            "counter" if self.shape.starts_with('f') => Json::from(serde_json::Value::from(0.0)),
            "counter" => Json::Number(0.into()),
            "set" | "list" => Json::Array(Vec::new()),
            "map" => Json::Object(BTreeMap::new()),
            // A struct with one member only might be one that nobody can read.
            _ => Json::Null,
        }
    }

    /// The declaration of a member of a nested struct.
    fn member(self, name: &str) -> Declared<'a> {
        let is_named = |field: &&FieldSchema| field.also.iter().any(|also| also == name);
        let field = self.fields.get(name).or_else(|| self.fields.values().find(is_named));
        if let Some(field) = field {
            return field.into();
        }
        let shape =
            self.shape.strip_prefix("option<").and_then(|rest| rest.strip_suffix('>')).unwrap_or(self.shape);
        let inside = shape.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or("");
        let shape = members(inside).find_map(|member| member.strip_prefix(name)?.strip_prefix(": "));
        Declared { policy: "lww", shape: shape.unwrap_or(""), fields: &NONE }
    }

    /// The name of the field that is the key of the items, if this is a list.
    pub(super) fn list_key(self) -> Option<&'a str> {
        (split(self.policy).0 == "list").then(|| self.key_name())
    }

    /// The name of the field that is the key of a list's items.
    fn key_name(self) -> &'a str {
        let (_, arguments) = split(self.policy);
        arguments.split_once(", ").map_or(arguments, |(key, _)| key)
    }

    /// The key of a list's items.
    fn key(self) -> Key {
        Key::Member(self.key_name().to_owned())
    }
}

/// A policy's name and its arguments, which are in parentheses.
fn split(policy: &str) -> (&str, &str) {
    match policy.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')').unwrap_or(rest)),
        None => (policy, ""),
    }
}

/// Splits a shape at its commas, except for those inside brackets.
fn members(shape: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(shape);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut depth = 0_usize;
        for (at, c) in text.char_indices() {
            match c {
                '[' | '{' | '(' | '<' => depth += 1,
                ']' | '}' | ')' | '>' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    rest = Some(text[at + 1..].trim_start());
                    return Some(&text[..at]);
                }
                _ => {}
            }
        }
        rest = None;
        Some(text)
    })
}

/// What the operation acts on does not exist.
fn gone() -> Reject {
    Invalid::gone().into()
}

/// Whether an operation was refused only because it had nothing to do. The log may have such operations, which
/// earlier versions of the server accepted.
pub(super) fn is_void(reject: &Reject) -> bool {
    matches!(reject.code, Code::Gone | Code::Exists | Code::AtBound)
}

fn wrong(expected: &str, found: &Json) -> Reject {
    let found: String = found.to_string().chars().take(60).collect();
    Reject::new(Code::WrongType, format!("expected {expected}, found {found}"))
}

/// The items of a list or the members of a set.
fn items(at: &mut Json, key: Key) -> Result<&mut Items, Reject> {
    if at.is_null() {
        *at = Json::Array(Vec::new());
    }
    if let Json::Array(array) = at {
        let array = std::mem::take(array);
        *at = Json::Items(Box::new(Items::new(array, key)));
    }
    match at {
        Json::Items(items) => Ok(items),
        other => Err(wrong("an array to be there", other)),
    }
}

fn object(at: &mut Json) -> Result<&mut BTreeMap<String, Json>, Reject> {
    if at.is_null() {
        *at = Json::Object(BTreeMap::new());
    }
    match at {
        Json::Object(entries) => Ok(entries),
        other => Err(wrong("an object to be there", other)),
    }
}

/// The item after which `value` places an item, and `value` with `after` set to null if the item it names does not
/// exist. `None`: at the front.
fn place(items: &Items, value: &Json) -> (Option<At>, Option<Json>) {
    match value.get("after").map(Json::as_str) {
        None => (items.last(), None),
        Some(None) => (None, None),
        Some(Some(anchor)) => match items.find(anchor) {
            Some(at) => (Some(at), None),
            None => {
                let mut rewritten = value.clone();
                rewritten.as_object_mut().map(|members| members.insert("after".to_owned(), Json::Null));
                (None, Some(rewritten))
            }
        },
    }
}

fn insert(declared: Declared<'_>, items: &mut Items, value: &Json) -> Result<Option<Json>, Reject> {
    let item = value.get("item").ok_or_else(|| wrong("an object with an `item`", value))?;
    let key = items.key_of(item).filter(|key| key.len() <= MAX_KEY);
    let key = key.ok_or_else(|| wrong(&format!("an item with a key in `{}`", declared.key_name()), item))?;
    let (after, rewritten) = place(items, value);
    match items.find(&key) {
        None => items.insert(after, item.clone()),
        Some(known) if items.get(known) == Some(item) => {}
        Some(_) => return Err(Invalid::exists().into()),
    }
    Ok(rewritten)
}

fn in_list(
    declared: Declared<'_>,
    items: &mut Items,
    key: &str,
    path: FieldPath<'_>,
    op: Option<&str>,
    value: &Json,
) -> Result<Option<Json>, Reject> {
    let at = items.find(key);
    match op {
        Some("delete") if path.is_end() => {
            at.map(|at| items.remove(at));
            Ok(None)
        }
        Some(transfer::TAKE) if path.is_end() => {
            at.and_then(|at| items.remove(at)).map(Some).ok_or_else(gone)
        }
        Some("move") if path.is_end() => {
            let at = at.ok_or_else(gone)?;
            if value.get("after").and_then(Json::as_str) == Some(key) {
                return Ok(None);
            }
            let item = items.remove(at).ok_or_else(gone)?;
            let (after, rewritten) = place(items, value);
            items.insert(after, item);
            Ok(rewritten)
        }
        _ => {
            let at = at.ok_or_else(gone)?;
            let item = items.get_mut(at).ok_or_else(gone)?;
            let rewritten = apply(declared.entries(), item, path, op, value)?;
            if items.get(at).and_then(|item| items.key_of(item)).as_deref() == Some(key) {
                return Ok(rewritten);
            }
            Err(Reject::new(Code::Invalid, format!("the item `{key}` keeps its key")))
        }
    }
}

fn in_map(
    declared: Declared<'_>,
    entries: &mut BTreeMap<String, Json>,
    key: &str,
    path: FieldPath<'_>,
    op: Option<&str>,
    value: &Json,
) -> Result<Option<Json>, Reject> {
    let inner = declared.entries();
    match (op, entries.get_mut(key)) {
        (Some("delete"), _) if path.is_end() => {
            entries.remove(key);
            Ok(None)
        }
        (_, Some(entry)) => apply(inner, entry, path, op, value),
        (None, None) if path.is_end() => {
            let mut entry = Json::Null;
            apply(inner, &mut entry, path, op, value)?;
            entries.insert(key.to_owned(), entry);
            Ok(None)
        }
        (_, None) => {
            let start = inner.start();
            if start.is_null() {
                return Err(gone());
            }
            let mut entry = start.clone();
            let rewritten = apply(inner, &mut entry, path, op, value)?;
            if entry != start {
                entries.insert(key.to_owned(), entry);
            }
            Ok(rewritten)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[track_caller]
    fn run(policy: &str, shape: &str, start: &str, updates: &[(&str, &str)], end: &str) {
        let json = |text: &str| Json::read(text).expect("JSON");
        let mut value = json(start);
        for (target, argument) in updates {
            let (path, op) = target.split_once('!').map_or((*target, None), |(path, op)| (path, Some(op)));
            let path = if path.is_empty() { FieldPath::END } else { FieldPath::new(path) };
            apply(Declared { policy, shape, fields: &NONE }, &mut value, path, op, &json(argument))
                .expect("an update that fits");
        }
        assert_eq!(value, json(end));
    }

    #[test]
    fn operations_do_what_the_typed_policies_do() {
        run("counter", "u8", "250", &[("!add", "4"), ("!add", "9")], "255");
        run("counter", "u8", "5", &[("!sub", "4"), ("!sub", "9"), ("!add", "2")], "2");
        run("counter", "f64", "0.5", &[("!sub", "1.5")], "-1.0");
        run("map(counter)", "map<string, u8>", r#"{"x":7}"#, &[("x!sub", "3"), ("y!sub", "0")], r#"{"x":4}"#);
        run("nested", "{n: i8}", r#"{"n":-100}"#, &[("n!sub", "100")], r#"{"n":-128}"#);
        run(
            "set",
            "[string]",
            "[\"a\"]",
            &[("!insert", "\"b\""), ("!insert", "\"b\""), ("!remove", "\"a\"")],
            "[\"b\"]",
        );
        run(
            "map(counter)",
            "map<string, i8>",
            "{}",
            &[("x!add", "100"), ("x!add", "100"), ("y!add", "0")],
            r#"{"x":127}"#,
        );
        run("map", "map<string, u8>", "{}", &[("x", "1"), ("y~1", "2"), ("x!delete", "null")], r#"{"y/":2}"#);
        let updates = [
            ("!insert", r#"{"item":{"id":1,"n":0}}"#),
            ("!insert", r#"{"after":null,"item":{"id":2,"n":0}}"#),
            ("!insert", r#"{"after":"2","item":{"id":3,"n":0}}"#),
            ("2!move", "{}"),
            ("3/n!add", "300"),
            ("1!delete", "null"),
            ("9!delete", "null"),
        ];
        run("list(id, nested)", "[{id: u32, n: u8}]", "[]", &updates, r#"[{"id":3,"n":255},{"id":2,"n":0}]"#);
        let ids = [
            ("!insert", r#"{"item":{"id":340282366920938463463374607431768211455}}"#),
            ("!insert", r#"{"item":{"id":340282366920938463463374607431768211454}}"#),
            ("340282366920938463463374607431768211455/done", "true"),
            ("340282366920938463463374607431768211455!move", "{}"),
        ];
        run(
            "list(id, nested)",
            "[{id: u128}]",
            "[]",
            &ids,
            r#"[{"id":340282366920938463463374607431768211454},{"id":340282366920938463463374607431768211455,"done":true}]"#,
        );
        let wide = [("!insert", "18446744073709551617"), ("!insert", "18446744073709551616")];
        run("set", "[u128]", "[]", &wide, "[18446744073709551617,18446744073709551616]");
        let lanes = [("a!insert", r#"{"item":{"id":"x"}}"#), ("a/x/done", "true"), ("b/x!delete", "null")];
        run(
            "map(list(id, nested))",
            "map<string, [{id: string}]>",
            "{}",
            &lanes,
            r#"{"a":[{"id":"x","done":true}]}"#,
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |policy: &str, path: FieldPath<'_>, op: Option<&str>, value: Value| {
            let mut at = Json::from(serde_json::json!([{"id": 1}]));
            apply(Declared { policy, shape: "", fields: &NONE }, &mut at, path, op, &value.into())
                .map_err(|reject| reject.code)
        };
        assert_eq!(refused("list(id)", FieldPath::END, Some("insert"), Value::from(1)), Err(Code::WrongType));
        assert_eq!(refused("list(id)", FieldPath::END, None, Value::from(1)), Err(Code::WrongType));
        assert_eq!(refused("list(id)", FieldPath::END, Some("add"), Value::from(1)), Err(Code::UnknownOp));
        assert_eq!(
            refused("list(id)", FieldPath::new("1"), None, serde_json::json!({"id": 2})),
            Err(Code::Invalid)
        );
        assert_eq!(refused("map", FieldPath::new("1"), None, Value::Null), Err(Code::WrongType));
        for (shape, start, op, by, is_refused) in [
            ("u8", "255", "add", "1", true),
            ("u8", "255", "add", "0", false),
            ("u8", "254", "add", "3", false),
            ("u8", "0", "sub", "1", true),
            ("i8", "-128", "add", "-1", true),
            ("", "9223372036854775807", "add", "1", true),
            ("f64", "1e300", "add", "1.0", false),
            ("f64", "1.7976931348623157e308", "add", "1.0", true),
            ("f32", "-3.4028235e38", "sub", "1.0", true),
        ] {
            let mut at = Json::read(start).expect("a number");
            let by = Json::read(by).expect("a number");
            let applied = apply(
                Declared { policy: "counter", shape, fields: &NONE },
                &mut at,
                FieldPath::END,
                Some(op),
                &by,
            );
            let expected = if is_refused { Err(Code::AtBound) } else { Ok(None) };
            assert_eq!(applied.map_err(|reject| reject.code), expected, "{start} {op} {by} of {shape}");
        }
        let other = serde_json::json!({"item": {"id": 1, "n": 2}});
        assert_eq!(refused("list(id)", FieldPath::END, Some("insert"), other), Err(Code::Exists));
        let nested = "list(id, nested)";
        assert_eq!(refused(nested, FieldPath::new("9/n"), None, Value::from(1)), Err(Code::Gone));
        assert_eq!(
            refused(nested, FieldPath::new("9"), Some("move"), serde_json::json!({})),
            Err(Code::Gone)
        );
        assert_eq!(
            refused(nested, FieldPath::new("9"), Some("take"), serde_json::json!({})),
            Err(Code::Gone)
        );
        assert_eq!(refused(nested, FieldPath::new("9"), Some("delete"), Value::Null), Ok(None));
        let mut at = Json::from(serde_json::json!([{"id": 1}]));
        let insert = Json::from(serde_json::json!({"after": "7", "item": {"id": 2}}));
        let list = Declared { policy: "list(id)", shape: "", fields: &NONE };
        let rewritten = apply(list, &mut at, FieldPath::END, Some("insert"), &insert).expect("taken");
        assert_eq!(rewritten, Some(Json::from(serde_json::json!({"after": null, "item": {"id": 2}}))));
    }
}
