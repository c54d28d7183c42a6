//! A room whose type the server does not know: any JSON object, field by field.
//!
//! Fields are set as wholes, last writer wins. The limits are the server's: bytes of the whole state, names of
//! fields; depth was checked when the frame came in.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::authority::{RoomState, Writer};
use crate::protocol::{Code, Reject, push_string};
use crate::state::WireUpdate;

/// The state of an untyped room.
#[derive(Clone, Debug)]
pub struct Untyped {
    fields: BTreeMap<String, Value>,
    size: usize,
    limit: usize,
}

#[derive(Clone, Debug)]
struct Value {
    json: Box<RawValue>,
    changed: u64,
}

impl Untyped {
    /// An empty room of at most `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { fields: BTreeMap::new(), size: 0, limit }
    }

    /// One field's value as JSON text.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(|value| value.json.get())
    }

    fn cost(key: &str, json: &RawValue) -> usize {
        key.len() + json.get().len() + 4
    }
}

impl RoomState for Untyped {
    fn apply(
        &mut self,
        updates: &[WireUpdate<'_>],
        by: Writer<'_>,
        version: u64,
    ) -> Result<Option<String>, Reject> {
        let mut size = self.size;
        // The last update of a key counts; each is checked.
        let mut latest: BTreeMap<&str, &RawValue> = BTreeMap::new();
        for update in updates {
            let key = &*update.key;
            let reject = |code, message: &str| Err(Reject::new(code, message).in_field(key));
            if let Some(op) = &update.op {
                return reject(
                    Code::UnknownOp,
                    &format!("a field of an untyped room has no operation `{op}`"),
                );
            }
            if key.is_empty() || key.contains(['/', '~']) || key == "__proto__" {
                return reject(
                    Code::BadKey,
                    "a field's name is not empty, has no `/` or `~`, and is not reserved",
                );
            }
            let before = latest.insert(key, update.value);
            let before = before.or_else(|| self.fields.get(key).map(|value| &*value.json));
            size += Self::cost(key, update.value);
            size -= before.map_or(0, |json| Self::cost(key, json));
        }
        // Numbers that JSON can write but no program can hold are refused here, for everybody.
        for (key, json) in &latest {
            if let Err(error) = serde_json::from_str::<serde_json::Value>(json.get()) {
                return Err(Reject::new(Code::WrongType, error.to_string()).in_field(*key));
            }
        }
        if matches!(by, Writer::Client(_)) && size > self.limit && size > self.size {
            let message = format!("the room would hold {size} bytes, {} at most", self.limit);
            return Err(Reject::new(Code::StateTooLarge, message));
        }
        self.size = size;
        for (key, json) in latest {
            let value = Value { json: json.to_owned(), changed: version };
            match self.fields.get_mut(key) {
                Some(field) => *field = value,
                None => {
                    self.fields.insert(key.to_owned(), value);
                }
            }
        }
        Ok(None)
    }

    fn changed(&self, key: &str) -> Result<u64, Reject> {
        Ok(self.fields.get(key).map_or(0, |value| value.changed))
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

    fn write_track(&self, out: &mut String) {
        let versions: BTreeMap<&str, u64> =
            self.fields.iter().map(|(key, value)| (key.as_str(), value.changed)).collect();
        out.push_str(&serde_json::to_string(&versions).unwrap_or_else(|_| "{}".to_owned()));
    }

    fn restore(&mut self, data: &str, track: &str) -> Result<(), String> {
        let fields: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(data).map_err(|error| format!("the state is not an object: {error}"))?;
        let versions: BTreeMap<Cow<'_, str>, u64> = serde_json::from_str(track)
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

    fn as_any(&self) -> &dyn Any {
        self
    }
}
