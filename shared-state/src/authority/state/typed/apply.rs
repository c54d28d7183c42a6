//! How a change is decided: its updates are decoded and applied one after another, the rules see the state that they
//! make, and a change that is refused is taken back.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::authority::source::ChangeSource;
use crate::authority::state::changed_paths::{self, WriteCheck};
use crate::authority::state::exact_json::Json;
use crate::authority::state::rewritten::Rewritten;
use crate::authority::state::room_state::Writer;
use crate::authority::state::staged::{Staged, into_texts};
use crate::authority::state::typed::Typed;
use crate::authority::state::typed::moves::{destination, is_insert_into};
use crate::authority::state::unknown_fields::{self, StagedFields};
use crate::authority::state::untyped_ops;
use crate::authority::state::verdict::{ProposedChange, Verdict};
use crate::core::json_text::JsonText;
use crate::core::{
    Author, Code, FieldPath, FieldPathBuf, Invalid, MAX_DIFFERENCES, Reject, SharedState, UpdateError,
    UpdateErrorKind, WireUpdate, canonical_update, decode_update, encode_plain, encode_update, take_back,
    text_scope, transfer, work,
};
use crate::schema::{SchemaDiff, resolve};

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

impl<S: SharedState> Typed<S> {
    /// Decodes, checks and applies a change, or takes all of it back: see [`RoomState::apply`](super::RoomState::apply).
    pub(super) fn decide(
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
                Ok(typed) => {
                    if matches!(by, Writer::Client(..)) {
                        self.limits.check_paths::<S>(update, &typed)?;
                    }
                    decoded.push(Read::Own(typed));
                }
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
        let takes = updates.iter().zip(decoded.windows(2));
        for (_, pair) in takes.filter(|(update, _)| update.op.as_deref() == Some(transfer::TAKE)) {
            if let (Some(take), Some(insert)) = (pair[0].own(), pair[1].own())
                && let Some(item) = transfer::move_of::<S>(take)
                && !item.is_insert::<S>(insert)
            {
                let message = "an item that moves keeps its key";
                return Err(Reject::from(Invalid::new("key", message)).in_field(item.from));
            }
        }
        if self.size.is_over() && matches!(by, Writer::Client(..)) {
            self.size.set(self.measured());
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

    /// Decodes an update that a different struct has written.
    pub(super) fn read_written(
        &self,
        writer: &SchemaDiff,
        update: &WireUpdate<'_>,
    ) -> Result<S::Update, UpdateError> {
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
    pub(super) fn read_fitted(&self, key: &str, value: &RawValue) -> Result<Option<S::Update>, UpdateError> {
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

    /// Checks the size of the state, which contains a change of `written` bytes already.
    fn check_size(&mut self, written: usize, by: Writer<'_>) -> Result<(), Reject> {
        let mut size = self.size;
        if by == Writer::Server {
            size.add(written);
        } else {
            size.check(written, || self.measured())?;
        }
        self.size = size;
        Ok(())
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
