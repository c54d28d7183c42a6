//! The state of a room as JSON that an older version of the struct has written. It is the input of the struct's
//! migration.
//!
//! The older struct no longer exists, so its updates are applied by their operations and by the schema in the log: a
//! set replaces the value at its path, an `add` adds to the number there within the bounds of its type, and the
//! entries of lists, maps and sets are changed by the rules of their policies. Called when a room is loaded.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::authority::state::exact_json::Json;
use crate::authority::state::untyped_number::computed;
use crate::authority::state::untyped_ops;
use crate::core::{FieldPath, FieldPathBuf, FieldSchema, Schema, WireUpdate};
use crate::proto::Declaration;

/// The JSON state of an older version of a struct.
pub(in crate::authority) struct Migration {
    /// The version of the struct that wrote the state.
    pub(in crate::authority) version: u32,
    schema: Option<Schema>,
    data: Json,
}

impl Migration {
    /// Starts from a whole state.
    pub(in crate::authority) fn new(
        version: u32,
        schema: Option<Schema>,
        data: &str,
    ) -> Result<Self, String> {
        match Json::read(data) {
            Ok(data) if data.is_object() => Ok(Self { version, schema, data }),
            Ok(_) => Err("the state is not an object".to_owned()),
            Err(error) => Err(format!("the state is not an object: {error}")),
        }
    }

    /// The whole state.
    pub(in crate::authority) fn into_data(self) -> Value {
        self.data.into()
    }

    /// Gives an unknown field its declared initial value if it has no value.
    pub(in crate::authority) fn begin(
        &mut self,
        path: &str,
        declaration: &Declaration,
    ) -> Result<(), String> {
        let at = at(&mut self.data, path);
        if at.is_null()
            && let Some(initial) = &declaration.initial
        {
            *at = Json::read(initial.get()).map_err(|error| format!("`{path}`: {error}"))?;
        }
        Ok(())
    }

    /// The shape of the field at a path; empty if it is not known.
    fn shape(&self, path: &str) -> String {
        let mut fields = self.schema.as_ref().map(|schema| &schema.fields);
        let (mut path, mut shape) = (FieldPath::new(path), "");
        while let Some(name) = path.next_segment() {
            let named = fields.and_then(|fields| {
                fields
                    .iter()
                    .find(|(own, field)| **own == *name || field.also.iter().any(|also| **also == *name))
            });
            (shape, fields) = named.map_or(("", None), |(_, field)| (&field.shape, Some(&field.fields)));
        }
        shape.to_owned()
    }

    /// Applies an update that the same version of the struct has written.
    pub(in crate::authority) fn apply(&mut self, update: &WireUpdate<'_>) -> Result<(), String> {
        let fail = |error: &dyn std::fmt::Display| format!("`{}`: {error}", update.key);
        let found = self.schema.as_ref().and_then(|schema| entries(schema, &update.key));
        if let Some((path, rest, field)) = found {
            let value = Json::read(update.value.get()).map_err(|error| fail(&error))?;
            let list = at(&mut self.data, &path);
            let applied = untyped_ops::apply(field.into(), list, rest, update.op.as_deref(), &value);
            return match applied {
                Err(reject) if !untyped_ops::is_void(&reject) => Err(fail(&reject.message)),
                _ => Ok(()),
            };
        }
        let shape = self.shape(&update.key);
        let at = at(&mut self.data, &update.key);
        let value = match update.op.as_deref() {
            None => update.value.to_owned(),
            Some(op @ ("add" | "sub")) => {
                let before = if at.is_null() { "0".to_owned() } else { at.to_string() };
                let result = computed(&before, op, update.value.get(), &shape);
                result.ok_or_else(|| fail(&"only a number can be added to a number or subtracted from it"))?
            }
            Some(op) => {
                let message = format!(
                    "`{op}` cannot be applied without the struct that wrote it: let the older program open the room \
                     and shut down in order, which stores a snapshot"
                );
                return Err(fail(&message));
            }
        };
        *at = Json::read(value.get()).map_err(|error| fail(&error))?;
        Ok(())
    }
}

/// The list, map or set that a path leads to or into: its path, the rest of the path, and its schema.
fn entries<'s, 'p>(schema: &'s Schema, path: &'p str) -> Option<(String, FieldPath<'p>, &'s FieldSchema)> {
    let mut fields = &schema.fields;
    let mut rest = FieldPath::new(path);
    let mut at = FieldPathBuf::new();
    while let Some(name) = rest.next_segment() {
        let also = |field: &FieldSchema| field.also.iter().any(|also| **also == *name);
        let (own, field) = fields.iter().find(|(own, field)| **own == *name || also(field))?;
        at.push(own);
        if ["list", "map", "set"].iter().any(|entries| field.policy.starts_with(entries)) {
            return Some((at.into_string(), rest, field));
        }
        fields = &field.fields;
    }
    None
}

fn at<'d>(data: &'d mut Json, path: &str) -> &'d mut Json {
    let mut at = data;
    let mut path = FieldPath::new(path);
    while let Some(name) = path.next_segment() {
        if !at.is_object() {
            // The optional struct was `None` and gets a value now.
            *at = Json::Object(BTreeMap::new());
        }
        at = at.as_object_mut().expect("it is an object").entry(name.into_owned()).or_default();
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_read_by_their_operations() {
        let schema = r#"{"fields":{"views":{"policy":"counter","shape":"u8"}}}"#;
        let schema = serde_json::from_str(schema).expect("a schema");
        let data = r#"{"title":"a","views":3,"layout":{"columns":2},"part":null}"#;
        let mut migration = Migration::new(1, Some(schema), data).expect("it is an object");
        for update in [
            r#"{"key":"title","value":"b"}"#,
            r#"{"key":"views","op":"add","value":254}"#,
            r#"{"key":"views","op":"add","value":-1}"#,
            r#"{"key":"views","op":"sub","value":10}"#,
            r#"{"key":"layout/columns","value":5}"#,
            r#"{"key":"part/of","op":"add","value":0.5}"#,
            r#"{"key":"new~1name","value":[1]}"#,
        ] {
            let update: WireUpdate<'_> = serde_json::from_str(update).expect("an update");
            assert_eq!(migration.apply(&update), Ok(()));
        }
        let json = r#"{"layout":{"columns":5},"new/name":[1],"part":{"of":0.5},"title":"b","views":244}"#;
        assert_eq!(migration.data, Json::read(json).expect("JSON"));
        let update: WireUpdate<'_> =
            serde_json::from_str(r#"{"key":"list","op":"insert","value":1}"#).expect("an update");
        assert!(migration.apply(&update).is_err());
    }
}
