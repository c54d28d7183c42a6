//! The state of a room whose struct the server knows: every update is decoded by the struct and checked by its rules.

mod apply;
mod moves;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};

use crate::authority::change::field_of;
use crate::authority::state::moved::Moved;
use crate::authority::state::room_state::{RoomState, Writer};
use crate::authority::state::size::StateSize;
use crate::authority::state::text_client_ids::TextClientIds;
use crate::authority::state::unknown_fields::UnknownFields;
use crate::authority::state::verdict::OnChange;
use crate::core::json_text::JsonText;
use crate::core::schema::join;
use crate::core::{
    Code, FieldInfo, FieldPath, FieldSchema, HashedSchema, Reject, Schema, SharedState, StoredVersions,
    UpdateErrorKind, Versions, WireUpdate, canonical_update, encode_update, has_change_rule, text_scope,
    transfer,
};
use crate::proto::{ClientLimits, Declaration, Limits, Violation, push_string};
use crate::schema::{SchemaDiff, resolve};

/// The state of a typed room.
#[derive(Clone)]
pub struct Typed<S: SharedState> {
    state: S,
    versions: Versions,
    text_client_ids: TextClientIds,
    moved: Moved,
    limits: ClientLimits,
    size: StateSize,
    /// The author of the changes that are applied from the log.
    logged_by: Option<String>,
    /// Fields that the struct does not have.
    unknown: UnknownFields,
    /// The difference to the struct that wrote the stored data, if it was another one.
    writer: Option<SchemaDiff>,
    on_change: Option<Arc<OnChange<S>>>,
    /// Whether the struct, or a struct inside it, has a rule over changes.
    change_rule: bool,
}

impl<S: SharedState + fmt::Debug> fmt::Debug for Typed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<S: SharedState> Typed<S> {
    /// The state of a room that begins with `initial`.
    #[must_use]
    pub fn new(initial: S) -> Self {
        Self {
            state: initial,
            versions: Versions::default(),
            text_client_ids: TextClientIds::default(),
            moved: Moved::default(),
            limits: ClientLimits::default(),
            size: StateSize::default(),
            logged_by: None,
            unknown: UnknownFields::new(S::FIELDS),
            writer: None,
            on_change: None,
            change_rule: has_change_rule::<S>(),
        }
    }

    /// The same room with the program's `on_change`, which accepts, amends or refuses each client's change that
    /// satisfies the rules of the struct. Each such change then costs a clone of the state.
    #[must_use]
    pub fn with_on_change(mut self, on_change: Arc<OnChange<S>>) -> Self {
        self.on_change = Some(on_change);
        self
    }

    /// The state.
    #[must_use]
    pub const fn get(&self) -> &S {
        &self.state
    }

    /// Appends a field's value, including the unknown fields inside it. Returns whether there is such a field.
    fn push_field(&self, name: &str, out: &mut String) -> bool {
        let field = S::field_named(name);
        let name = field.map_or(name, |field| S::FIELDS[field].name);
        let mut unknown = self.unknown.values_under(name).peekable();
        let value = field.map(|field| resolve::field_json(&self.state, field));
        if unknown.peek().is_none() {
            out.push_str(value.as_deref().unwrap_or("null"));
            return field.is_some();
        }
        let value = unknown.fold(value.unwrap_or_else(|| "{}".to_owned()), |json, (path, value)| {
            let mut path = FieldPath::new(path);
            path.next_segment();
            resolve::inserted(&json, path, value)
        });
        out.push_str(&value);
        true
    }

    /// The bytes of the state as it is sent.
    fn measured(&self) -> usize {
        let mut data = String::new();
        self.write_data(&mut data);
        data.len()
    }
}

impl<S: SharedState> RoomState for Typed<S> {
    fn apply(
        &mut self,
        updates: &[WireUpdate<'_>],
        by: Writer<'_>,
        version: u64,
    ) -> Result<Option<String>, Reject> {
        self.decide(updates, by, version)
    }

    fn forwarded(
        &mut self,
        updates: &[WireUpdate<'_>],
        knows: &dyn Fn(u64) -> bool,
    ) -> Result<Option<String>, Reject> {
        self.forward(updates, knows)
    }

    fn set_limits(&mut self, limits: &Limits) {
        self.limits = limits.into();
        self.size.set_limit(limits.state, self.measured());
    }

    fn check_initial(&mut self) -> Result<(), Reject> {
        for field in 0..S::FIELDS.len() {
            let current = self.state.current(field);
            let (read, _) = canonical_update::<S>(&current)?;
            if text_scope::with_history(|| read != current) {
                self.state.apply(read);
            }
        }
        Ok(())
    }

    fn changed(&self, key: &str) -> Result<u64, Reject> {
        let unknown = self.unknown.changed_at(key);
        self.versions.changed_at(S::FIELDS, FieldPath::new(key)).max(unknown).ok_or_else(|| {
            let message = format!("`{}` has no field `{key}`", S::NAME);
            Reject::new(Code::UnknownField, message).in_field(key)
        })
    }

    fn write_data(&self, out: &mut String) {
        text_scope::with_history(|| self.write_plain(out));
    }

    fn write_plain(&self, out: &mut String) {
        out.push('{');
        for (field, info) in S::FIELDS.iter().enumerate() {
            if field > 0 {
                out.push(',');
            }
            push_string(out, info.name);
            out.push(':');
            if self.unknown.is_empty() {
                out.push_str(&resolve::field_json(&self.state, field));
            } else {
                self.push_field(info.name, out);
            }
        }
        for name in self.unknown.tops().iter().filter(|name| S::field_named(name).is_none()) {
            out.push(',');
            push_string(out, name);
            out.push(':');
            self.push_field(name, out);
        }
        out.push('}');
    }

    fn fields(&self) -> &'static [FieldInfo] {
        S::FIELDS
    }

    fn logged_by(&mut self, client: Option<&str>) {
        self.logged_by = client.map(str::to_owned);
    }

    fn is_complete(&self) -> bool {
        true
    }

    fn write_delta(&self, since: u64, out: &mut String) {
        let mut updates = Vec::new();
        self.state.delta(&self.versions, since, &mut updates);
        out.push('[');
        let mut first = true;
        for update in &updates {
            // What was decoded from JSON has a JSON form.
            let Ok(encoded) = encode_update::<S>(update) else { continue };
            if !first {
                out.push(',');
            }
            first = false;
            out.push_str(encoded.as_str());
        }
        self.unknown.write_sets(|changed| changed > since, &mut first, out);
        out.push(']');
    }

    fn write_moves(&self, since: u64, out: &mut String) {
        let moves = self.moved.since(since).map(|(_, path, to)| {
            let value = to_raw_value(&transfer::Destination { to: to.into() }).expect("a path is JSON");
            (path, value)
        });
        let moves: Vec<_> = moves.collect();
        let op = || Some(Cow::Borrowed(transfer::TAKE));
        let takes: Vec<_> =
            moves.iter().map(|(path, value)| WireUpdate { key: (*path).into(), op: op(), value }).collect();
        if !takes.is_empty() {
            out.push_str(&serde_json::to_string(&takes).expect("paths and JSON are JSON"));
        }
    }

    fn write_field(&self, key: &str, out: &mut String) {
        self.push_field(key, out);
    }

    fn write_versions(&self, out: &mut String) {
        let stored = StoredTypedVersions {
            versions: self.versions.stored(S::FIELDS),
            o: self.text_client_ids.stored(),
            l: self.moved.stored(),
        };
        out.push_str(&serde_json::to_string(&stored).expect("versions by paths are JSON"));
    }

    fn restore(&mut self, data: &str, versions: &str) -> Result<(), String> {
        let fields: BTreeMap<Cow<'_, str>, &RawValue> =
            serde_json::from_str(data).map_err(|error| format!("the state is not an object: {error}"))?;
        let stored: StoredTypedVersions = serde_json::from_str(versions)
            .map_err(|error| format!("the versions cannot be read: {error}"))?;
        self.versions = Versions::restored(stored.versions, S::FIELDS);
        self.text_client_ids = TextClientIds::restored(stored.o);
        self.moved = Moved::restored(stored.l);
        let mut lost = Vec::new();
        for (key, value) in fields {
            let written = join("", &key);
            let renamed = self.writer.as_ref().and_then(|writer| writer.to_own(&written));
            let name = renamed.as_deref().map_or(Cow::Borrowed(&*key), field_of);
            let Some(field) = S::field_named(&name) else {
                lost.push((written, value));
                continue;
            };
            let path = join("", S::FIELDS[field].name);
            let read = match &self.writer {
                None => S::decode(FieldPath::new(&path), None, JsonText::of(value)),
                Some(writer) => {
                    self.read_written(writer, &WireUpdate { key: Cow::Borrowed(&written), op: None, value })
                }
            };
            let update = match read {
                Err(error) if error.kind == UpdateErrorKind::WrongType => {
                    self.read_fitted(&path, value).and_then(|update| update.ok_or(error))
                }
                read => read,
            };
            let update = update.map_err(|error| {
                format!("`{}` does not fit the field of `{}`: {error}", error.field, S::NAME)
            })?;
            self.state.apply(update);
            if let Some(parts) = resolve::nested_at(S::FIELDS, FieldPath::new(&path)) {
                resolve::unknown(parts, &path, value, &mut |path, value| lost.push((path, value)));
            }
        }
        // Unless `restore_unknown_fields` sets their versions, lost fields count as changed by the last change of the struct.
        let changed = self.versions.changed();
        for (path, value) in lost {
            self.unknown.restore(path, value, changed);
        }
        Ok(())
    }

    fn schema(&self) -> Option<Arc<HashedSchema>> {
        Some(Schema::of::<S>())
    }

    fn unknown_fields(&self) -> BTreeMap<String, FieldSchema> {
        self.unknown.declared()
    }

    fn declare(&mut self, path: &str, declaration: &Declaration) -> Result<(), Violation> {
        self.unknown.declare(path, declaration)
    }

    fn own_path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        self.unknown.own_path(path)
    }

    fn has_declared(&self, path: &str) -> bool {
        self.unknown.has_declared(path)
    }

    fn is_full(&self) -> bool {
        self.unknown.is_full()
    }

    fn forget_declared(&mut self, path: &str) -> bool {
        self.unknown.forget_declared(path)
    }

    fn unstored(&self, updates: &[WireUpdate<'_>]) -> Option<String> {
        if self.unknown.is_empty() { None } else { self.unknown.unstored(updates) }
    }

    fn mark_stored(&mut self, updates: &[WireUpdate<'_>]) {
        self.unknown.mark_stored(updates);
    }

    fn write_unwritten(&self, out: &mut String) {
        if out.ends_with(']') {
            out.pop();
            let mut first = out.ends_with('[');
            self.unknown.write_sets(|changed| changed == 0, &mut first, out);
            out.push(']');
        }
    }

    fn write_unknown_fields(&self, out: &mut String) {
        self.unknown.write(out);
    }

    fn restore_unknown_fields(&mut self, declarations: &str) -> Result<(), String> {
        self.unknown.restore_all(declarations)
    }

    fn written_with(&mut self, schema: &Schema) {
        let own = &Schema::of::<S>().schema;
        // If the schemas do not fit, each value is decoded on its own and may fail.
        self.writer = SchemaDiff::between(own, schema, &BTreeMap::new()).ok().filter(|_| own != schema);
    }

    fn struct_version(&self) -> u32 {
        S::VERSION
    }

    fn migrate(&mut self, from: u32, data: serde_json::Value, at: u64) -> Result<(), String> {
        let to = S::VERSION;
        let migrated = S::migrate(from, data).map_err(|error| {
            format!("the migration from version {from} to {to} of `{}`: {error}", S::NAME)
        })?;
        self.restore(&migrated.to_string(), "{}")
            .map_err(|error| format!("the result of the migration from version {from} to {to}: {error}"))?;
        self.mark_all_changed(at);
        Ok(())
    }

    fn mark_all_changed(&mut self, at: u64) {
        for field in 0..S::FIELDS.len() {
            self.versions.part_mut(field, at).set_whole(at);
        }
        self.unknown.mark_all_changed(at);
    }
}

/// The part of a snapshot that is stored besides the data.
#[derive(serde::Serialize, serde::Deserialize)]
struct StoredTypedVersions {
    #[serde(flatten)]
    versions: StoredVersions,
    /// The Yjs client ids, each with the client that owns it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    o: Vec<(u64, String)>,
    /// The items that have moved from one list to another: the version, the former path and the other list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    l: Vec<(u64, String, String)>,
}
