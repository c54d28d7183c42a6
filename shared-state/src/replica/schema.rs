//! Replicas whose struct differs from the room's: which fields the room is asked to keep for this client, and
//! how names and nested structs are translated. With equal structs nothing is translated. Called when a state
//! or delta arrives and when a change is sent.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::core::Rejected;
use crate::core::Versions;
use crate::core::schema::{join, parts};
use crate::core::{Code, Reject};
use crate::core::{FieldInfo, FieldPath, HashedSchema, Schema, SharedState, WireUpdate, encode_update};
use crate::proto::{Declaration, JoinRequest, Outcomes, Resume, RoomSchema, Violation, client};
use crate::replica::pending::{Pending, PendingUpdate};
use crate::replica::{Phase, Replica};
use crate::schema::SchemaDiff;
use crate::schema::resolve;

/// How deep nested structs are split into fields; a struct may nest itself.
const DEPTH: usize = 8;

/// What is known of the room's schema, and how it differs from this client's.
pub(super) struct SchemaNegotiation {
    own: Arc<HashedSchema>,
    /// The hash of the room's schema; `None` before the first state arrived.
    room: Option<u64>,
    /// The differences; `None` if there are none.
    pub(super) differences: Option<SchemaDiff>,
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
}

impl<S: SharedState> Replica<S> {
    /// Compares the room's schema with this client's. Returns whether the state or delta that came with it
    /// can be used. It cannot if the room lacks fields of this client that were not declared yet: they are
    /// declared by joining again.
    ///
    /// # Errors
    /// The schemas are incompatible. Everything pending was refused.
    pub(super) fn meet(
        &mut self,
        schema: Option<Box<RoomSchema>>,
        same_history: bool,
        outcomes: &Outcomes,
    ) -> Result<bool, Violation> {
        let negotiation = &mut self.negotiation;
        if negotiation.refusal.is_some() {
            return Ok(false);
        }
        let fresh = std::mem::replace(&mut negotiation.fresh, false);
        let Some(room) = schema else {
            if fresh {
                negotiation.room = Some(negotiation.own.hash);
                negotiation.differences = None;
                negotiation.declare.clear();
            }
            return Ok(true);
        };
        let differences = match SchemaDiff::between(&negotiation.own.schema, &room.schema, &room.kept) {
            Ok(differences) => differences,
            Err(error) => {
                if same_history {
                    let refused = self.settle(outcomes.clone());
                    self.report(refused);
                }
                let violation = Violation::new(
                    Code::IncompatibleSchema,
                    format!("this program and the room have different structs: {error}"),
                );
                self.frames.push_back(client::leave(&self.room));
                self.refuse(&violation);
                return Err(violation);
            }
        };
        let declare: BTreeMap<_, _> = differences
            .unknown()
            .map(|(room_path, _, own, field)| {
                let (policy, shape) = (field.policy.clone(), field.shape.clone());
                (room_path, Declaration { policy, shape, initial: resolve::value_at(&self.initial, own) })
            })
            .collect();
        let asked = &self.negotiation.declare;
        let complete = differences.unknown().all(|(path, kept, ..)| kept || asked.contains_key(&path));
        self.negotiation.declare = declare;
        self.negotiation.differences = Some(differences);
        if complete {
            self.negotiation.room = Some(room.hash);
        } else {
            self.rejoin();
        }
        Ok(complete)
    }

    /// The room cannot be used. Everything pending is refused, and so is every write until the next
    /// connection, or for good if this client was kicked.
    pub(super) fn refuse(&mut self, violation: &Violation) {
        let reject = Reject::new(violation.code, violation.message.clone());
        self.phase = Phase::Offline;
        self.negotiation.refusal = Some(reject.clone());
        for held in std::mem::take(&mut self.held) {
            self.queue.push(Pending { id: held.id, updates: vec![held.update], reads: None, sent: None });
        }
        let mut refused = Vec::new();
        while let Some(change) = self.queue.take(0) {
            let fields = self.forget(&change);
            refused.push((change.id, Rejected(reject.clone()), fields));
        }
        self.view = self.confirmed.clone();
        self.report(refused);
    }

    /// Why the room cannot be used, if it cannot: its struct is incompatible with this one, or this client
    /// was put out.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Reject> {
        self.negotiation.refusal.as_ref()
    }
}

/// Writes an update with the room's names. A nested struct that is different in the room is set field by
/// field, so that fields that only one side has keep their values. The same holds for a set of an entry that
/// the room has (`confirmed`).
pub(super) fn written<S: SharedState>(
    differences: &SchemaDiff,
    initial: &S,
    confirmed: &S,
    update: &PendingUpdate<S>,
    out: &mut Vec<String>,
) {
    let text = update.encoded.as_str();
    // Its text was made by this replica, so it can be read.
    let Ok(wire) = serde_json::from_str::<WireUpdate<'_>>(text) else { return };
    let is_struct = wire.op.is_none() && wire.value.get().starts_with('{');
    if is_struct && differences.is_partial(&wire.key) {
        let now = resolve::value_at(confirmed, &wire.key);
        if now.is_some() || is_in_list::<S>(&wire.key) {
            let now = now.as_deref().map_or("{}", RawValue::get);
            return entry_fields(S::FIELDS, &wire, now, |field| out.push(renamed(differences, &field)));
        }
    }
    let place = resolve::nested_indices(S::FIELDS, FieldPath::new(&wire.key));
    let (Some((path, parts)), true) = (place, is_struct && differences.differs_inside(&wire.key)) else {
        return out.push(renamed(differences, text));
    };
    let mut state = initial.clone();
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
    for info in parts.iter().filter(|info| about.key != Some(info.name)) {
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

/// The text of an update with the room's path.
fn renamed(differences: &SchemaDiff, text: &str) -> String {
    let renamed = serde_json::from_str::<WireUpdate<'_>>(text).ok().and_then(|wire| {
        let key = differences.to_room(&wire.key)?;
        serde_json::to_string(&Set { key: &key, op: wire.op.as_deref(), value: wire.value }).ok()
    });
    renamed.unwrap_or_else(|| text.to_owned())
}
