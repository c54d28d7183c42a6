//! Replicas whose struct differs from the room's: which fields the room is asked to keep for this client, and
//! how names and nested structs are translated in both directions. With equal structs nothing is translated.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::core::schema::{join, parts};
use crate::core::{
    Code, FieldInfo, FieldPath, FieldPathBuf, HashedSchema, Reject, Schema, SharedState, UpdateError,
    UpdateErrorKind, Versions, WireUpdate, decode_update, encode_update, transfer,
};
use crate::proto::{Declaration, Denied, Frame, JoinRequest, Resume, RoomSchema, Violation, client};
use crate::replica::change::{Change, PendingUpdate, Sent};
use crate::replica::states::States;
use crate::schema::SchemaDiff;
use crate::schema::resolve;

/// How deep nested structs are split into fields; a struct may nest itself.
const DEPTH: usize = 8;

/// Whether a state or delta can be used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Use,
    /// The room cannot be used.
    Ignore,
    /// The room lacks fields of this client that were not declared yet: join again to declare them.
    JoinAgain,
}

/// What is known of the room's schema, and how it differs from this client's.
pub(super) struct SchemaNegotiation {
    own: Arc<HashedSchema>,
    /// The hash of the room's schema; `None` before the first state arrived.
    room: Option<u64>,
    /// The differences; `None` if there are none.
    differences: Option<SchemaDiff>,
    /// The fields that the room is asked to keep for this client, by path.
    declare: BTreeMap<String, Declaration>,
    /// Whether no state has arrived yet over the current connection.
    fresh: bool,
    /// Why the room cannot be used, if it cannot.
    pub(super) refusal: Option<Reject>,
}

impl SchemaNegotiation {
    pub(super) fn new<S: SharedState>() -> Self {
        Self {
            own: Schema::of::<S>(),
            room: None,
            differences: None,
            declare: BTreeMap::new(),
            fresh: true,
            refusal: None,
        }
    }

    /// A new connection begins; its server may run another program.
    pub(super) fn begin(&mut self) {
        self.fresh = true;
        self.refusal = None;
    }

    /// The hash of the room's schema, if it is known.
    pub(super) const fn room(&self) -> Option<u64> {
        self.room
    }

    /// The request to join.
    pub(super) fn request(&self, resume: Option<Resume>) -> JoinRequest {
        let (schema, declare) = (Some(self.own.hash), self.declare.clone());
        JoinRequest { resume, schema, declare, ..JoinRequest::default() }
    }

    /// Compares the room's schema, which came with a state or delta, with this client's. No schema came if
    /// it is equal, or has not changed since the last one over this connection.
    ///
    /// # Errors
    /// The schemas are incompatible.
    pub(super) fn compare<S: SharedState>(
        &mut self,
        room: Option<Box<RoomSchema>>,
        initial: &S,
    ) -> Result<Verdict, Violation> {
        if self.refusal.is_some() {
            return Ok(Verdict::Ignore);
        }
        let fresh = std::mem::replace(&mut self.fresh, false);
        let Some(room) = room else {
            if fresh {
                self.room = Some(self.own.hash);
                self.differences = None;
                self.declare.clear();
            }
            return Ok(Verdict::Use);
        };
        let differences =
            SchemaDiff::between(&self.own.schema, &room.schema, &room.kept).map_err(|error| {
                let message = format!("this program and the room have different structs: {error}");
                Violation::new(Code::IncompatibleSchema, message)
            })?;
        let complete = differences.unknown().all(|(path, kept, ..)| kept || self.declare.contains_key(&path));
        let declare = differences.unknown().map(|(room_path, _, own, field)| {
            (room_path, Declaration::new(field.clone(), resolve::value_at(initial, own)))
        });
        self.declare = declare.collect();
        self.differences = Some(differences);
        if !complete {
            return Ok(Verdict::JoinAgain);
        }
        self.room = Some(room.hash);
        Ok(Verdict::Use)
    }

    /// How the room's struct differs from this client's; `None`: nothing is translated.
    pub(super) const fn differences(&self) -> Option<&SchemaDiff> {
        self.differences.as_ref()
    }

    /// Reads updates of the room, whose struct differs. Fields of a newer struct are left out.
    pub(super) fn decode<S: SharedState>(
        &self,
        states: &States<S>,
        updates: &[WireUpdate<'_>],
    ) -> Result<Vec<S::Update>, Violation> {
        let mut decoded = Vec::with_capacity(updates.len());
        for update in updates {
            let read = self.decode_one(&states.initial, &states.confirmed, update);
            decoded.extend(read.map_err(|error| wrong_type(&error, "an update"))?);
        }
        Ok(decoded)
    }

    /// Reads the state of a snapshot. Fields that it lacks have their initial value, and so have those that
    /// are not shared.
    pub(super) fn decode_state<S: SharedState>(&self, initial: &S, data: &RawValue) -> Result<S, Violation> {
        let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(data.get())
            .map_err(|error| Violation::new(Code::BadMessage, format!("expected a state: {error}")))?;
        let mut state = initial.clone();
        for (key, value) in fields {
            let path = FieldPathBuf::of(&key);
            let update = WireUpdate { key: path.as_str().into(), op: None, value };
            let read = self.decode_one(initial, &state, &update);
            if let Some(update) = read.map_err(|error| wrong_type(&error, "the state"))? {
                state.apply(update);
            }
        }
        Ok(state)
    }

    /// Reads an update on top of `state`; `None` if it is of a field of a newer struct.
    fn decode_one<S: SharedState>(
        &self,
        initial: &S,
        state: &S,
        update: &WireUpdate<'_>,
    ) -> Result<Option<S::Update>, UpdateError> {
        match &self.differences {
            None => known(decode_update::<S>(update)),
            Some(differences) => {
                known(resolve::read(differences, initial, state, update)).map(Option::flatten)
            }
        }
    }

    /// What the server denies, with this struct's names.
    pub(super) fn own_names(&self, mut denied: Denied) -> Denied {
        if let Some(differences) = &self.differences {
            for path in [&mut denied.hidden, &mut denied.locked, &mut denied.refused].into_iter().flatten() {
                *path = differences.to_own(path).unwrap_or_else(|| std::mem::take(path));
            }
        }
        denied
    }
}

/// The frame of a change, in the room's struct.
pub(super) fn frame<S: SharedState>(
    differences: &SchemaDiff,
    room: &str,
    change: &Change<S>,
    sent: Sent,
    states: &States<S>,
) -> Frame {
    let mut texts = Vec::new();
    for update in &change.updates {
        translate(differences, states, update, &mut texts);
    }
    let there = |path: &str| differences.to_room(path).unwrap_or_else(|| path.to_owned());
    let reads: Option<Vec<String>> =
        change.unchanged().map(|reads| reads.map(|read| there(&read.path)).collect());
    let reads: Option<Vec<&str>> = reads.as_ref().map(|reads| reads.iter().map(String::as_str).collect());
    let (Sent { seq, base }, again) = (sent, change.sent.is_some());
    client::change(room, seq, base, again, texts.iter().map(String::as_str), reads.as_deref())
}

/// Leaves out what belongs to a field of a newer struct.
pub(super) fn known<U>(read: Result<U, UpdateError>) -> Result<Option<U>, UpdateError> {
    match read {
        Err(error) if error.kind == UpdateErrorKind::UnknownField => Ok(None),
        read => read.map(Some),
    }
}

pub(super) fn wrong_type(error: &UpdateError, place: &str) -> Violation {
    Violation::new(Code::WrongType, format!("`{}` in {place}: {error}", error.field))
}

/// Writes an update with the room's names. A nested struct that is different in the room is set field by
/// field, so that fields that only one side has keep their values. The same holds for a set of an entry that
/// the room has.
fn translate<S: SharedState>(
    differences: &SchemaDiff,
    states: &States<S>,
    update: &PendingUpdate<S>,
    out: &mut Vec<String>,
) {
    let text = update.encoded.as_str();
    // Its text was made by this replica, so it can be read.
    let Ok(wire) = serde_json::from_str::<WireUpdate<'_>>(text) else { return };
    let is_struct = wire.op.is_none() && wire.value.get().starts_with('{');
    if is_struct && differences.is_partial(&wire.key) {
        let now = resolve::value_at(&states.confirmed, &wire.key);
        if now.is_some() || is_in_list::<S>(&wire.key) {
            let now = now.as_deref().map_or("{}", RawValue::get);
            return entry_fields(S::FIELDS, &wire, now, |field| out.push(renamed(differences, &field)));
        }
    }
    let place = resolve::nested_indices(S::FIELDS, FieldPath::new(&wire.key));
    let (Some((path, parts)), true) = (place, is_struct && differences.differs_inside(&wire.key)) else {
        return out.push(renamed(differences, text));
    };
    let mut state = states.initial.clone();
    state.apply(update.typed.clone());
    let mut track = Versions::default();
    let at = path.iter().fold(&mut track, |track, index| track.part_mut(*index, 1));
    touch_fields(at, parts, DEPTH);
    let mut fields = Vec::new();
    state.delta(&track, 0, &mut fields);
    for field in fields {
        // It is part of a value that has a JSON form, so it has one too.
        if let Ok(encoded) = encode_update::<S>(&field) {
            out.push(renamed(differences, encoded.as_str()));
        }
    }
}

/// Whether a path leads to an item of a list. A set can only change an item, never insert one.
fn is_in_list<S: SharedState>(path: &str) -> bool {
    let field = FieldPath::new(path).next_segment().and_then(|name| S::field_named(&name));
    field.is_some_and(|field| S::FIELDS[field].about.is_some_and(|about| about.key.is_some()))
}

/// Calls `each` with a set of every field of an entry. Read-only fields are left out if they are equal in
/// `now`, because the room would refuse the change.
fn entry_fields(
    fields: &'static [FieldInfo],
    wire: &WireUpdate<'_>,
    now: &str,
    mut each: impl FnMut(String),
) {
    let field = FieldPath::new(&wire.key).next_segment().unwrap_or_default();
    let info = fields.iter().find(|info| info.name == field);
    let Some((about, parts)) = info.and_then(|info| Some((info.about?, (info.parts?)()))) else { return };
    let values: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(wire.value.get()).unwrap_or_default();
    let now: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(now).unwrap_or_default();
    let key = about.name_of_key();
    for info in parts.iter().filter(|info| key != Some(info.name)) {
        let Some(value) = values.get(info.name) else { continue };
        if info.read_only && now.get(info.name).is_some_and(|now| now.get() == value.get()) {
            continue;
        }
        let set = Set { key: &join(&wire.key, info.name), op: None, value };
        // A path and a JSON value always have a JSON form.
        each(serde_json::to_string(&set).unwrap_or_default());
    }
}

/// An update to be serialized.
#[derive(serde::Serialize)]
struct Set<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<&'a str>,
    value: &'a RawValue,
}

fn touch_fields(track: &mut Versions, fields: &'static [FieldInfo], depth: usize) {
    for (index, info) in fields.iter().enumerate() {
        let part = track.part_mut(index, 1);
        match parts(info).filter(|_| depth > 1) {
            Some(parts) => touch_fields(part, parts, depth - 1),
            None => part.set_whole(1),
        }
    }
}

/// The text of an update with the room's paths.
fn renamed(differences: &SchemaDiff, text: &str) -> String {
    let renamed = serde_json::from_str::<WireUpdate<'_>>(text).ok().and_then(|wire| {
        let (key, op) = (differences.to_room(&wire.key), wire.op.as_deref());
        let moved = transfer::renamed_destination(op, wire.value, |to| differences.to_room(to));
        if key.is_none() && moved.is_none() {
            return None;
        }
        let (key, value) = (key.as_deref().unwrap_or(&wire.key), moved.as_deref().unwrap_or(wire.value));
        serde_json::to_string(&Set { key, op, value }).ok()
    });
    renamed.unwrap_or_else(|| text.to_owned())
}
