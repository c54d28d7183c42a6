//! Typed field keys: `Document::TITLE` names a field, its type and its merge policy.

use std::collections::BTreeMap;
use std::fmt;

use crate::core::Lww;
use crate::core::MergePolicy;
use crate::core::{FieldSchema, RuleInfo, SharedState, Timing};

/// The index of a shared field in [`SharedState::FIELDS`].
pub type FieldId = usize;

/// What is known of a field at run time.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FieldInfo {
    /// The name on the wire.
    pub name: &'static str,
    /// The merge policy's name: `"lww"` (the last writer wins), `"counter"`, `"nested"`, ...
    pub policy: &'static str,
    /// Only the server writes it.
    pub read_only: bool,
    /// The role that a client needs to be sent it. See [`Roles`](crate::core::Roles).
    pub read: Option<&'static str>,
    /// The role that a client needs to write it.
    pub write: Option<&'static str>,
    /// When a client sends it.
    pub timing: Timing,
    /// The field's type as the struct spells it.
    pub type_name: &'static str,
    /// Other names that are understood.
    pub aliases: &'static [&'static str],
    /// What has to hold of the value, beside its type.
    pub rules: &'static [RuleInfo],
    /// The field's documentation.
    pub docs: &'static str,
    /// The fields inside, or inside an entry, if updates can address them. A function, so that a struct may nest
    /// itself.
    pub parts: Option<fn() -> &'static [FieldInfo]>,
    /// More of the policy, if it is one whose operations reach into the value.
    pub about: Option<&'static PolicyInfo>,
}

/// What is known of a merge policy at run time.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PolicyInfo {
    /// Its name.
    pub name: &'static str,
    /// Of a list: the field of an item that is its key.
    pub key: Option<&'static str>,
    /// Of a list or a map: the policy of the entries.
    pub entries: Option<&'static PolicyInfo>,
    /// Of a nested struct: its fields. A function, so that a struct may nest itself.
    pub fields: Option<fn() -> &'static [FieldInfo]>,
    /// Of a nested struct: whether it has a rule of its own over changes.
    pub change_rule: bool,
    /// Of a nested struct: its fields as another program has to know them, at this depth.
    pub(crate) schema: Option<fn(usize) -> BTreeMap<String, FieldSchema>>,
}

impl PolicyInfo {
    /// A policy of this name whose values have no parts.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, key: None, entries: None, fields: None, change_rule: false, schema: None }
    }

    /// The same policy, with the field of an item that is its key.
    #[must_use]
    pub const fn key(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }

    /// The same policy, with the policy of its entries.
    #[must_use]
    pub const fn entries(mut self, entries: &'static PolicyInfo) -> Self {
        self.entries = Some(entries);
        self
    }

    /// The same policy, with the fields of its values.
    #[must_use]
    pub const fn fields(mut self, fields: fn() -> &'static [FieldInfo]) -> Self {
        self.fields = Some(fields);
        self
    }

    /// The same policy, of a struct that may have a rule over changes.
    #[must_use]
    pub const fn change_rule(mut self, change_rule: bool) -> Self {
        self.change_rule = change_rule;
        self
    }

    pub(crate) const fn schema(mut self, schema: fn(usize) -> BTreeMap<String, FieldSchema>) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Whether a struct in the values, however deep, has a rule over changes.
    pub(crate) fn has_change_rule(&self) -> bool {
        self.searched(&mut Vec::new())
    }

    /// `seen` keeps a struct that nests itself from being searched for ever.
    fn searched(&self, seen: &mut Vec<*const FieldInfo>) -> bool {
        self.change_rule
            || self.entries.is_some_and(|entries| entries.searched(seen))
            || self.fields.is_some_and(|fields| any_change_rule(fields(), seen))
    }

    /// The fields of the values, or of the entries, whatever they are in.
    pub(crate) const fn parts(&self) -> Option<fn() -> &'static [FieldInfo]> {
        match (self.fields, self.entries) {
            (Some(fields), _) => Some(fields),
            (None, Some(entries)) => entries.parts(),
            (None, None) => None,
        }
    }
}

/// Whether `S`, or a struct in it, however deep, has a rule over changes.
pub(crate) fn has_change_rule<S: SharedState>() -> bool {
    S::HAS_CHANGE_RULE || any_change_rule(S::FIELDS, &mut Vec::new())
}

fn any_change_rule(fields: &'static [FieldInfo], seen: &mut Vec<*const FieldInfo>) -> bool {
    if seen.contains(&fields.as_ptr()) {
        return false;
    }
    seen.push(fields.as_ptr());
    fields.iter().filter_map(|field| field.about).any(|about| about.searched(seen))
}

impl FieldInfo {
    /// A field that anyone may write and that is sent at once.
    #[must_use]
    pub const fn new(name: &'static str, policy: &'static str) -> Self {
        Self {
            name,
            policy,
            read_only: false,
            read: None,
            write: None,
            timing: Timing::IMMEDIATE,
            type_name: "",
            aliases: &[],
            rules: &[],
            docs: "",
            parts: None,
            about: None,
        }
    }

    /// A field that is set as a whole, the last writer winning, with its type as the struct spells it.
    #[must_use]
    pub const fn plain(name: &'static str, type_name: &'static str) -> Self {
        Self::new(name, "lww").type_name(type_name)
    }

    /// The same field, written by the server only.
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// The same field, sent only to clients with this role.
    #[must_use]
    pub const fn read(mut self, role: &'static str) -> Self {
        self.read = Some(role);
        self
    }

    /// The same field, written only by clients with this role, and by the server.
    #[must_use]
    pub const fn write(mut self, role: &'static str) -> Self {
        self.write = Some(role);
        self
    }

    /// The same field, with its type as the struct spells it.
    #[must_use]
    pub const fn type_name(mut self, type_name: &'static str) -> Self {
        self.type_name = type_name;
        self
    }

    /// The same field, with other names that are understood.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The same field, with rules.
    #[must_use]
    pub const fn rules(mut self, rules: &'static [RuleInfo]) -> Self {
        self.rules = rules;
        self
    }

    /// The same field, with its documentation.
    #[must_use]
    pub const fn docs(mut self, docs: &'static str) -> Self {
        self.docs = docs;
        self
    }

    /// The same field, with fields inside.
    #[must_use]
    pub const fn parts(mut self, parts: fn() -> &'static [FieldInfo]) -> Self {
        self.parts = Some(parts);
        self
    }

    /// The same field, with what is known of its policy.
    #[must_use]
    pub const fn about(mut self, about: &'static PolicyInfo) -> Self {
        self.parts = about.parts();
        self.about = Some(about);
        self
    }

    /// The same field, with a timing.
    #[must_use]
    pub const fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }
}

/// The policy as its attribute spells it: `list(key = id, nested)`.
impl fmt::Display for PolicyInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        let entries = self.entries.filter(|entries| !matches!(entries.name, "lww" | "member"));
        match (self.key, entries) {
            (Some(key), Some(entries)) => write!(f, "(key = {key}, {entries})"),
            (Some(key), None) => write!(f, "(key = {key})"),
            (None, Some(entries)) => write!(f, "({entries})"),
            (None, None) => Ok(()),
        }
    }
}

/// A typed key for one field of `S`: its type `T` and its merge policy `P` are known to the compiler, so a key
/// of another struct, or a value of another type, does not typecheck.
///
/// The derive makes one constant per field. A key is three words, copied freely, and its functions are known
/// at compile time.
pub struct Field<S: SharedState, T, P: MergePolicy<T> = Lww> {
    id: FieldId,
    get: fn(&S) -> &T,
    update: fn(P::Op) -> S::Update,
}

/// The type `T` of a field with the policy `P`, asked of the policy first: whatever the type lacks is then reported in the
/// same words wherever generated code names it, which the compiler does once.
#[doc(hidden)]
pub type Typed<T, P> = <<P as MergePolicy<T>>::Op as Is<T>>::This;

/// Any type is this one, if the other is one at all.
#[doc(hidden)]
pub trait Is<T> {
    type This;
}

impl<Op, T> Is<T> for Op {
    type This = T;
}

/// The key of a field, [`Field<S, T, P>`](Field), as the derive spells it.
pub type FieldOf<S, T, P = Lww> = Field<S, Typed<T, P>, P>;

impl<S: SharedState, T, P: MergePolicy<T>> Field<S, T, P> {
    /// Used by the derive.
    #[doc(hidden)]
    pub const fn new(id: FieldId, get: fn(&S) -> &T, update: fn(P::Op) -> S::Update) -> Self {
        Self { id, get, update }
    }

    /// The field's index in [`SharedState::FIELDS`].
    #[must_use]
    pub const fn id(self) -> FieldId {
        self.id
    }

    /// The field's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        S::FIELDS[self.id].name
    }

    /// The field's value in `state`.
    #[must_use]
    pub fn get(self, state: &S) -> &T {
        (self.get)(state)
    }

    /// The update that sets the whole field.
    #[must_use]
    pub fn set(self, value: T) -> S::Update {
        (self.update)(P::set(value))
    }

    /// The update that applies one operation of the field's policy.
    #[must_use]
    pub fn op(self, op: P::Op) -> S::Update {
        (self.update)(op)
    }
}

impl<S: SharedState, T, P: MergePolicy<T>> Clone for Field<S, T, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: SharedState, T, P: MergePolicy<T>> Copy for Field<S, T, P> {}

impl<S: SharedState, T, P: MergePolicy<T>> fmt::Debug for Field<S, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", S::NAME, self.name())
    }
}
