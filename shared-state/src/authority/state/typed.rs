//! The state of a room whose struct the server knows: every update is decoded by the struct and checked by its rules.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};

use crate::authority::change::field_of;
use crate::authority::source::ChangeSource;
use crate::authority::state::changed_paths::{self, WriteCheck};
use crate::authority::state::exact_json::Json;
use crate::authority::state::moved::Moved;
use crate::authority::state::rewritten::Rewritten;
use crate::authority::state::room_state::{RoomState, Writer};
use crate::authority::state::size::StateSize;
use crate::authority::state::staged::{Staged, into_texts};
use crate::authority::state::text_client_ids::TextClientIds;
use crate::authority::state::unknown_fields;
use crate::authority::state::unknown_fields::{StagedFields, UnknownFields};
use crate::authority::state::untyped_ops;
use crate::authority::state::verdict::{OnChange, ProposedChange, Verdict};
use crate::core::json_text::JsonText;
use crate::core::schema::join;
use crate::core::{
    Author, FieldInfo, FieldPath, FieldPathBuf, FieldSchema, HashedSchema, MAX_DIFFERENCES, Schema,
    SharedState, UpdateError, UpdateErrorKind, WireUpdate, canonical_update, decode_update, encode_plain,
    encode_update, has_change_rule,
};
use crate::core::{Code, Reject};
use crate::core::{StoredVersions, Versions, take_back, text_scope, transfer, work};
use crate::proto::{Declaration, Violation, push_string};
use crate::schema::SchemaDiff;
use crate::schema::resolve;

/// The state of a typed room.
#[derive(Clone)]
pub struct Typed<S: SharedState> {
    state: S,
    versions: Versions,
    text_client_ids: TextClientIds,
    moved: Moved,
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

    /// Decodes an update that a different struct has written.
    fn read_written(&self, writer: &SchemaDiff, update: &WireUpdate<'_>) -> Result<S::Update, UpdateError> {
        let read = resolve::read(writer, &self.state, &self.state, update)?;
        read.ok_or_else(|| UpdateError::unknown_field(S::NAME, &update.key))
    }

    /// Handles an update that the struct cannot decode: stages an update of an unknown field, and reads a value in the
    /// log that an older struct has written.
    fn read_other<'a>(
        &'a self,
        update: &WireUpdate<'_>,
        by: Writer<'_>,
        staged: &mut StagedFields<'a>,
        error: UpdateError,
    ) -> Result<Read<S>, Reject> {
        match (error.kind, by) {
            (UpdateErrorKind::UnknownField, Writer::Log) => {
                if unknown_fields::is_outside(S::FIELDS, &update.key)
                    && let Err(reject) = self.unknown.stage(staged, update)
                    && !untyped_ops::is_void(&reject)
                {
                    // The operation cannot be applied without the struct that had the field.
                    let path = self.unknown.own_path(&update.key).into_owned();
                    staged.insert(path, Staged::Text(Cow::Borrowed(RawValue::NULL)));
                }
                Ok(Read::UnknownFields(None))
            }
            (UpdateErrorKind::UnknownField, _) if self.unknown.is_declared(&update.key) => {
                self.unknown.stage(staged, update).map(Read::UnknownFields)
            }
            (UpdateErrorKind::WrongType, Writer::Log) if update.op.is_none() => {
                Ok(Read::Own(self.read_fitted(&update.key, update.value)?.ok_or(error)?))
            }
            _ => Err(error.into()),
        }
    }

    /// Decodes the set of a whole nested struct that an older struct without some fields has written. The missing
    /// fields keep their values.
    fn read_fitted(&self, key: &str, value: &RawValue) -> Result<Option<S::Update>, UpdateError> {
        let key = &*self.unknown.own_path(key);
        let writer = resolve::Writer { named: &|_| None, lacks: &|_| true };
        let Some(value) = resolve::resolved_in(&self.state, key, value, &writer) else { return Ok(None) };
        S::decode(FieldPath::new(key), None, JsonText::of(&value)).map(Some)
    }

    /// Stages the members of a nested struct's value in the log that the struct no longer has.
    fn stage_lost(&self, update: &WireUpdate<'_>, staged: &mut StagedFields<'_>) {
        if let Some(parts) = resolve::nested_at(S::FIELDS, FieldPath::new(&update.key))
            && update.op.is_none()
        {
            resolve::unknown(parts, &self.unknown.own_path(&update.key), update.value, &mut |path, value| {
                staged.insert(path, Staged::Text(Cow::Owned(value.to_owned())));
            });
        }
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

    /// Applies updates one after another, each as its policy resolves it, and collects their inverses. Returns the
    /// applied updates as JSON if one differs from the received update.
    fn apply_decoded(
        &mut self,
        decoded: Vec<Read<S>>,
        wire: &[WireUpdate<'_>],
        by: Writer<'_>,
        inverses: &mut Vec<S::Update>,
    ) -> Result<Option<String>, Reject> {
        let check = by.path_check();
        let mut carried: Option<(String, Box<RawValue>)> = None;
        // A legacy client sets whole fields, but intends only the changes inside them.
        let expands = matches!(by, Writer::Client(ChangeSource::Legacy { .. }, ..));
        let mut rewritten = Rewritten::new(wire);
        for (at, update) in decoded.into_iter().enumerate() {
            let update = match update {
                Read::Own(update) => update,
                Read::UnknownFields(value) => {
                    rewritten.take(at, value.as_deref());
                    continue;
                }
            };
            let update = match carried.take_if(|(to, _)| is_insert_into(&wire[at], to)) {
                Some((_, item)) => {
                    let carried = Self::carrying(&wire[at], &item);
                    let changed = carried
                        .filter(|carried| text_scope::with_history(|| *carried != update))
                        .inspect(|_| rewritten.differs(at));
                    changed.unwrap_or(update)
                }
                None => update,
            };
            let parts = if expands { self.state.decompose(&update) } else { None };
            let parts = parts.filter(|parts| parts.len() <= MAX_DIFFERENCES);
            if parts.is_some() {
                rewritten.differs(at);
            }
            for update in parts.unwrap_or_else(|| vec![update]) {
                work::check()?;
                self.state.check_op(&update)?;
                let found = self.state.resolve(&self.versions, &update);
                if found.is_some() {
                    rewritten.differs(at);
                }
                let update = found.unwrap_or(update);
                if rewritten.has_differed() {
                    rewritten.push(encode_update::<S>(&update)?.as_str().to_owned());
                }
                let Some(check) = check else {
                    inverses.push(self.state.apply(update));
                    continue;
                };
                let applied = encode_plain::<S>(&update)?;
                let before = self.value_before_or_after(check, &update);
                let inverse = self.state.apply(update.clone());
                let inverse_text = encode_plain::<S>(&inverse);
                inverses.push(inverse);
                let after = self.value_before_or_after(check, &update);
                check.applied(S::FIELDS, (&applied, &inverse_text?), (before, after), &wire[at].key)?;
            }
            if let Some(to) = destination(&wire[at]) {
                let item = inverses.last().and_then(transfer::item_of::<S>);
                carried = item.map(|item| (to, item));
            }
        }
        Ok(rewritten.into_json())
    }

    /// The value at the path of an operation, if the check wants to know it. Costs the field.
    fn value_before_or_after(&self, check: WriteCheck<'_>, update: &S::Update) -> Option<Json> {
        let mut path = FieldPathBuf::new();
        if !check.wants_values() || S::address(update, &mut path).is_none() {
            return None;
        }
        let field = Json::read(&resolve::field_json(&self.state, S::field(update))).ok()?;
        changed_paths::value_at(S::FIELDS, path.as_str(), &field)
    }

    /// The insertion of an item that the same change has taken from another list: the item as it was there, whatever
    /// the client has seen of it. `None` if the list has items of another type.
    fn carrying(insert: &WireUpdate<'_>, item: &RawValue) -> Option<S::Update> {
        let value = transfer::with_item(insert.value, item)?;
        decode_update::<S>(&WireUpdate { value: &value, ..insert.clone() }).ok()
    }

    /// Records which items a change has moved from one list to another, or put at a path, alone or with what is
    /// around them.
    fn note_moves(&mut self, touched: &[S::Update], version: u64) {
        for inverse in touched {
            match transfer::moved::<S>(inverse) {
                Some((path, Some(to))) => self.moved.note(&path, &to, version),
                Some((path, None)) if !self.moved.is_empty() => {
                    for former in self.moved.within(&path) {
                        if !transfer::is_missing(&mut self.state, &former) {
                            self.moved.forget(&former);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Where an update at `path` leads that is addressed to an item which has moved. `inserted` are the lists into which
    /// the same change has inserted something before. `None`: the address is right.
    fn forwarded_key(&mut self, path: &str, op: Option<&str>, inserted: &HashSet<&str>) -> Option<String> {
        let mut key: Option<String> = None;
        // One item leads to where it is at once, but the lists around it may have moved as well. An item that was
        // removed where it is may lead in a circle.
        let mut followed = Vec::new();
        loop {
            let at = key.as_deref().unwrap_or(path);
            let former: Vec<_> =
                self.moved.on(at).map(|(path, now)| (path.to_owned(), now.to_owned())).collect();
            let next = former.into_iter().filter(|(former, _)| !followed.contains(former)).find_map(
                |(former, now)| {
                    let rest = &at[former.len()..];
                    // A place in the list that an item has left means nothing in the other one.
                    if rest.is_empty() && op == Some("move") {
                        return None;
                    }
                    let list = former.rsplit_once('/').map_or("", |(list, _)| list);
                    (!inserted.contains(list) && transfer::is_missing(&mut self.state, &former))
                        .then(|| (format!("{now}{rest}"), former))
                },
            );
            let Some((next, former)) = next else { return key };
            key = Some(next);
            followed.push(former);
        }
    }

    /// The value of a set without the items that have moved to other lists since `base`, which its author did not know:
    /// there is one of each in the end. `None`: the value has none.
    fn without_moved(&mut self, update: &WireUpdate<'_>, base: u64) -> Option<Box<RawValue>> {
        if update.op.is_some() || self.moved.is_empty() {
            return None;
        }
        let left = self.moved.left(&update.key, base);
        // The paths of a later update of this change may be wrong on this state, as after the insertion of a list.
        let set = if left.is_empty() { None } else { decode_update::<S>(update).ok() }?;
        let without = transfer::set_without(&mut self.state, &set, &left)?;
        let encoded = encode_update::<S>(&without).ok()?;
        let WireUpdate { value, .. } = serde_json::from_str(encoded.as_str()).ok()?;
        Some(value.to_owned())
    }

    /// Checks the size of the state, which contains a change of `written` bytes already.
    fn check_size(&mut self, written: usize, by: Writer<'_>) -> Result<(), Reject> {
        if by == Writer::Server {
            self.size.add(written);
            return Ok(());
        }
        let mut size = self.size;
        size.check(written, || self.measured())?;
        self.size = size;
        Ok(())
    }

    /// The bytes of the state as it is sent.
    fn measured(&self) -> usize {
        let mut data = String::new();
        self.write_data(&mut data);
        data.len()
    }

    /// Applies the updates of a verdict after those in `json`, a JSON array. Returns all of them as a JSON array.
    fn amend(
        &mut self,
        updates: Vec<S::Update>,
        mut json: String,
        inverses: &mut Vec<S::Update>,
    ) -> Result<String, Reject> {
        json.pop();
        let first = inverses.len();
        for update in transfer::expanded(&mut self.state, updates)? {
            match self.state.check_op(&update) {
                // What the program counts beside the client's change is no reason to refuse that.
                Err(invalid) if invalid.is_at_bound() => continue,
                checked => checked?,
            }
            let update = self.state.resolve(&self.versions, &update).unwrap_or(update);
            if !json.ends_with('[') {
                json.push(',');
            }
            json.push_str(canonical_update::<S>(&update)?.1.as_str());
            inverses.push(self.state.apply(update));
        }
        json.push(']');
        inverses[first..].iter().try_for_each(|touched| self.state.check(touched))?;
        if S::HAS_RULE {
            self.state.check_rule()?;
        }
        Ok(json)
    }
}

/// The bytes of updates on the wire, or of what was made of them.
fn bytes_of(updates: &[WireUpdate<'_>], rewritten: Option<&str>) -> usize {
    let of_one = |update: &WireUpdate<'_>| update.key.len() + update.value.get().len();
    rewritten.map_or_else(|| updates.iter().map(of_one).sum(), str::len)
}

/// The list that an update moves an item to, if it takes one from a list.
fn destination(update: &WireUpdate<'_>) -> Option<String> {
    let takes = update.op.as_deref() == Some(transfer::TAKE);
    let value = takes.then_some(update.value)?;
    let transfer::Destination { to } = serde_json::from_str(value.get()).ok()?;
    Some(to.into_owned())
}

/// Whether an update inserts an item into the list at a path.
fn is_insert_into(update: &WireUpdate<'_>, list: &str) -> bool {
    update.op.as_deref() == Some("insert") && update.key == list
}

/// A decoded update.
enum Read<S: SharedState> {
    /// An update of a field of the struct.
    Own(S::Update),
    /// An update of an unknown field, with the operation's value if that differs from the received one.
    UnknownFields(Option<Box<RawValue>>),
}

impl<S: SharedState> Read<S> {
    fn own(&self) -> Option<&S::Update> {
        match self {
            Self::Own(update) => Some(update),
            Self::UnknownFields(_) => None,
        }
    }
}

impl<S: SharedState> RoomState for Typed<S> {
    fn apply(
        &mut self,
        updates: &[WireUpdate<'_>],
        by: Writer<'_>,
        version: u64,
    ) -> Result<Option<String>, Reject> {
        let mut decoded = Vec::with_capacity(updates.len());
        let mut staged = StagedFields::new();
        for update in updates {
            let read = match (&self.writer, by) {
                (Some(writer), Writer::Log) => self.read_written(writer, update),
                _ => decode_update::<S>(update),
            };
            match read {
                Ok(typed) => decoded.push(Read::Own(typed)),
                Err(error) => decoded.push(self.read_other(update, by, &mut staged, error)?),
            }
            if by == Writer::Log {
                self.stage_lost(update, &mut staged);
            }
        }
        let mut staged = into_texts(staged)?;
        if by == Writer::Log {
            let mut inverses = Vec::with_capacity(decoded.len());
            for read in decoded {
                let Read::Own(update) = read else { continue };
                if let Some(client) = &self.logged_by {
                    let (_, claims) = text_scope::claims(|| self.state.check_op(&update));
                    self.text_client_ids.bind(&claims, client);
                }
                let touched = self.state.apply(update);
                S::record(&mut self.versions, &touched, version);
                inverses.push(touched);
            }
            self.note_moves(&inverses, version);
            self.unknown.commit(staged, version);
            self.size.add(bytes_of(updates, None));
            return Ok(None);
        }
        if !staged.is_empty() {
            self.unknown.check(&staged)?;
            if let Some(check) = by.path_check() {
                self.unknown.check_paths(check, &staged, updates)?;
            }
        }
        if matches!(by, Writer::Client(..))
            && let Some(update) = decoded.iter().filter_map(Read::own).find(|update| S::read_only(update))
        {
            let field = S::FIELDS[S::field(update)].name;
            return Err(Reject::new(Code::ReadOnly, "only the server writes this field").in_field(field));
        }
        let asked = match by {
            Writer::Client(author, user, _) if self.change_rule || self.on_change.is_some() => {
                let author = Author::new(author.name());
                let author = match user {
                    Some(user) => author.with_user(user),
                    None => author,
                };
                Some((author, self.state.clone()))
            }
            _ => None,
        };
        let on_change = self.on_change.clone().filter(|_| asked.is_some());
        let received: Vec<S::Update> = match &on_change {
            Some(_) => decoded.iter().filter_map(Read::own).cloned().collect(),
            None => Vec::new(),
        };
        let mut inverses = Vec::with_capacity(decoded.len());
        let (taken, claims) = text_scope::claims(|| self.apply_decoded(decoded, updates, by, &mut inverses));
        let verdict = taken.and_then(|rewritten| {
            if !claims.is_empty() {
                self.text_client_ids.check(&claims, by)?;
            }
            inverses.iter().try_for_each(|touched| self.state.check(touched))?;
            // What follows sees the whole state, also the fields that the author may not read.
            let conceal = |reject: Reject| match by.check() {
                Some(check) => check.concealed(reject),
                None => reject,
            };
            if S::HAS_RULE {
                self.state.check_rule().map_err(Reject::from).map_err(conceal)?;
            }
            let Some((author, before)) = asked else { return Ok(rewritten) };
            self.state.check_change(&before, &author).map_err(Reject::from).map_err(conceal)?;
            let Some(on_change) = on_change else { return Ok(rewritten) };
            let change =
                ProposedChange { before: &before, after: &self.state, updates: &received, author: &author };
            let verdict = on_change(&change).map_err(conceal)?;
            let (updates, json) = match verdict {
                Verdict::Accept => return Ok(rewritten),
                Verdict::Add(more) if more.is_empty() => return Ok(rewritten),
                Verdict::Add(more) => {
                    let written = || serde_json::to_string(updates).expect("names and JSON are JSON");
                    (more, rewritten.unwrap_or_else(written))
                }
                Verdict::Replace(others) if others.is_empty() => {
                    return Err(conceal(Reject::new(Code::Invalid, "nothing is left of the change")));
                }
                Verdict::Replace(others) => {
                    take_back(&mut self.state, std::mem::take(&mut inverses));
                    staged.clear();
                    (others, "[]".to_owned())
                }
            };
            let amended = self.amend(updates, json, &mut inverses);
            // The error is the program's and not the client's.
            amended.map(Some).map_err(|reject| conceal(Reject { code: Code::RulesFailed, ..reject }))
        });
        let verdict = verdict.and_then(|rewritten| {
            self.check_size(bytes_of(updates, rewritten.as_deref()), by)?;
            Ok(rewritten)
        });
        match verdict {
            Ok(_) => {
                inverses.iter().for_each(|touched| S::record(&mut self.versions, touched, version));
                self.note_moves(&inverses, version);
                if let Writer::Client(author, ..) = by
                    && !claims.is_empty()
                {
                    self.text_client_ids.bind(&claims, author.name());
                }
                if !staged.is_empty() {
                    self.unknown.commit(staged, version);
                }
            }
            Err(_) => take_back(&mut self.state, inverses),
        }
        verdict
    }

    fn forwarded(&mut self, updates: &[WireUpdate<'_>], base: u64) -> Result<Option<String>, Reject> {
        let has_transfers = updates.iter().any(|update| update.op.as_deref() == Some(transfer::TRANSFER));
        if self.moved.is_empty() && !has_transfers {
            return Ok(None);
        }
        let mut inserted = HashSet::new();
        let mut destinations = Vec::with_capacity(updates.len());
        let mut forwarded = updates.to_vec();
        let mut differs = false;
        for (update, forwarded) in updates.iter().zip(&mut forwarded) {
            work::check()?;
            let to = destination(update).and_then(|to| self.forwarded_key(&to, None, &inserted));
            let to = to.and_then(|to| to_raw_value(&transfer::Destination { to: to.into() }).ok());
            if let Some(key) = self.forwarded_key(&update.key, update.op.as_deref(), &inserted) {
                forwarded.key = Cow::Owned(key);
                differs = true;
            }
            differs |= to.is_some();
            destinations.push(to);
            if update.op.as_deref() == Some("insert") {
                inserted.insert(&*update.key);
            }
        }
        for (update, to) in forwarded.iter_mut().zip(&destinations) {
            if let Some(to) = to {
                update.value = to;
            }
        }
        let without: Vec<_> = forwarded.iter().map(|update| self.without_moved(update, base)).collect();
        for (update, without) in forwarded.iter_mut().zip(&without) {
            if let Some(without) = without {
                update.value = without;
                differs = true;
            }
        }
        if has_transfers {
            let decoded: Result<Vec<_>, _> = forwarded.iter().map(decode_update::<S>).collect();
            // What the struct does not know is left to `apply`.
            if let Ok(decoded) = decoded {
                let expanded = transfer::expanded(&mut self.state, decoded)?;
                let texts: Result<Vec<_>, _> = expanded.iter().map(encode_update::<S>).collect();
                let texts: Vec<_> = texts?.iter().map(|text| text.as_str().to_owned()).collect();
                return Ok(Some(format!("[{}]", texts.join(","))));
            }
        }
        Ok(differs.then(|| serde_json::to_string(&forwarded).expect("paths and JSON are JSON")))
    }

    fn limit_size(&mut self, limit: usize) {
        self.size.set_limit(limit, self.measured());
    }

    fn check_initial(&self) -> Result<(), Reject> {
        (0..S::FIELDS.len()).try_for_each(|field| {
            canonical_update::<S>(&self.state.current(field)).map(drop).map_err(Reject::from)
        })
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
        self.size.add(data.len());
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
