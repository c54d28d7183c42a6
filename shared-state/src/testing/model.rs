//! The reference: what a room's state must be after each change, worked out from the log alone, as JSON, one
//! change after another. It uses nothing of the replica, the authority or the policies.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::state::{Path, SharedState};

/// One entry of the log as the model reads it.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    /// The client that made it; `None`: the server.
    pub(super) client: Option<String>,
    pub(super) updates: Vec<Value>,
}

/// The log and the state after each of its entries.
pub(super) struct Model {
    pub(super) log: Vec<Logged>,
    /// `states[v]` is the state at version `v`.
    pub(super) states: Vec<Value>,
    bounds: BTreeMap<String, Bounds>,
}

/// What a number at a path can hold.
#[derive(Clone, Copy, Debug)]
enum Bounds {
    Integer(i128, i128),
    Float,
}

impl Model {
    pub(super) fn new(initial: Value) -> Self {
        Self { log: Vec::new(), states: vec![initial], bounds: BTreeMap::new() }
    }

    pub(super) fn version(&self) -> u64 {
        self.log.len() as u64
    }

    /// The store has another entry.
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

    /// Applies one update to a JSON state.
    pub(super) fn apply<S: SharedState>(&mut self, state: &mut Value, update: &Value) -> Result<(), String> {
        let key = update["key"].as_str().ok_or("an update without a key")?;
        let pointer = format!("/{key}");
        let around = pointer.match_indices('/').skip(1).map(|(end, _)| &pointer[..end]);
        if around.filter_map(|pointer| state.pointer(pointer)).any(Value::is_null) {
            // A struct that is absent: there is nothing inside to change.
            return Ok(());
        }
        let place = state.pointer_mut(&pointer).ok_or_else(|| format!("no place `{key}`"))?;
        *place = match update.get("op").and_then(Value::as_str) {
            None => update["value"].clone(),
            Some("add") => {
                let bounds = *self.bounds.entry(key.to_owned()).or_insert_with(|| bounds::<S>(key));
                sum(place, &update["value"], bounds).ok_or_else(|| format!("cannot add at `{key}`"))?
            }
            Some(op) => return Err(format!("an operation the model does not know: {op}")),
        };
        Ok(())
    }
}

fn sum(a: &Value, b: &Value, bounds: Bounds) -> Option<Value> {
    match bounds {
        Bounds::Integer(min, max) => {
            let total = (integer(a)? + integer(b)?).clamp(min, max);
            i64::try_from(total).map(Value::from).or_else(|_| u64::try_from(total).map(Value::from)).ok()
        }
        Bounds::Float => Some(Value::from((a.as_f64()? + b.as_f64()?).clamp(f64::MIN, f64::MAX))),
    }
}

fn integer(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
}

/// Finds out what the number at `key` can hold by trying.
fn bounds<S: SharedState>(key: &str) -> Bounds {
    let fits = |value: &str| {
        serde_json::from_str::<&serde_json::value::RawValue>(value)
            .is_ok_and(|value| S::decode(Path::new(key), None, value).is_ok())
    };
    if fits("0.5") {
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
