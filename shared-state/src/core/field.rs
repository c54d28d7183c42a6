//! Typed field keys: `Document::TITLE` names a field, its type and its merge policy.

use std::collections::BTreeMap;
use std::fmt;

use crate::core::Lww;
use crate::core::MergePolicy;
use crate::core::{FieldSchema, RuleInfo, SharedState, Timing};

/// The index of a shared field in [`SharedState::FIELDS`].
pub type FieldId = usize;

/// A field as it is described at run time.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FieldInfo {
    /// The name on the wire.
    pub name: &'static str,
    /// The name in the struct, if it is another.
    pub(crate) spelled: Option<&'static str>,
    /// The merge policy's name: `"lww"` (the last writer wins), `"counter"`, `"nested"`, ...
    pub policy: &'static str,
    /// Only the server writes it.
    pub read_only: bool,
    /// The role that a client needs in order to be sent the field. See [`Roles`](crate::core::Roles).
    pub read: Option<&'static str>,
    /// The role that a client needs in order to write the field.
    pub write: Option<&'static str>,
    /// When a client sends the field's updates.
    pub timing: Timing,
    /// The field's type as the struct spells it.
    pub type_name: &'static str,
    /// Other names that are accepted for the field.
    pub aliases: &'static [&'static str],
    /// The rules that a value of the field has to keep.
    pub rules: &'static [RuleInfo],
    /// The field's documentation.
    pub docs: &'static str,
    /// The fields inside the value, or inside one of its entries, if updates can address them. It is a
    /// function so that a struct can contain itself.
    pub parts: Option<fn() -> &'static [FieldInfo]>,
    /// More about the policy, if its operations can address parts of the value.
    pub about: Option<&'static PolicyInfo>,
}

/// A merge policy as it is described at run time.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PolicyInfo {
    /// The policy's name.
    pub name: &'static str,
    /// For a list: the field of an item that is its key, as the item's struct spells it.
    pub key: Option<&'static str>,
    /// For a list: the name that the key has in the JSON of an item, where it is not a nested struct's.
    pub(crate) key_name: Option<fn() -> &'static str>,
    /// For a list or a map: the policy of the entries.
    pub entries: Option<&'static PolicyInfo>,
    /// For a nested struct: its fields. It is a function so that a struct can contain itself.
    pub fields: Option<fn() -> &'static [FieldInfo]>,
    /// For a nested struct: whether the struct itself has a rule about changes.
    pub change_rule: bool,
    /// For a nested struct: the schema of its fields, given the depth at which it is nested.
    pub(crate) schema: Option<fn(usize) -> BTreeMap<String, FieldSchema>>,
}

impl PolicyInfo {
    /// A policy with this name, whose values have no parts.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            key: None,
            key_name: None,
            entries: None,
            fields: None,
            change_rule: false,
            schema: None,
        }
    }

    /// Sets the field of an item that is its key.
    #[must_use]
    pub const fn key(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }

    pub(crate) const fn key_name(mut self, name: fn() -> &'static str) -> Self {
        self.key_name = Some(name);
        self
    }

    /// For a list: the name that the key has in the JSON of an item.
    #[must_use]
    pub fn name_of_key(&self) -> Option<&'static str> {
        let key = self.key?;
        let nested = self.entries.and_then(|entries| entries.fields);
        let field = nested.and_then(|fields| fields().iter().find(|info| info.spelled() == key));
        field.map(|info| info.name).or_else(|| self.key_name.map(|name| name())).or(Some(key))
    }

    /// Sets the policy of the entries.
    #[must_use]
    pub const fn entries(mut self, entries: &'static PolicyInfo) -> Self {
        self.entries = Some(entries);
        self
    }

    /// Sets the fields of the values.
    #[must_use]
    pub const fn fields(mut self, fields: fn() -> &'static [FieldInfo]) -> Self {
        self.fields = Some(fields);
        self
    }

    /// Sets whether the struct in the values has a rule about changes.
    #[must_use]
    pub const fn change_rule(mut self, change_rule: bool) -> Self {
        self.change_rule = change_rule;
        self
    }

    pub(crate) const fn schema(mut self, schema: fn(usize) -> BTreeMap<String, FieldSchema>) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Whether a struct inside the values, at any depth, has a rule about changes.
    pub(crate) fn has_change_rule(&self) -> bool {
        self.searched(&mut Vec::new())
    }

    /// `seen` ends the search in a struct that contains itself.
    fn searched(&self, seen: &mut Vec<*const FieldInfo>) -> bool {
        self.change_rule
            || self.entries.is_some_and(|entries| entries.searched(seen))
            || self.fields.is_some_and(|fields| any_change_rule(fields(), seen))
    }

    /// The fields of the values, or else of the entries, at whatever depth of lists and maps they lie.
    pub(crate) const fn parts(&self) -> Option<fn() -> &'static [FieldInfo]> {
        match (self.fields, self.entries) {
            (Some(fields), _) => Some(fields),
            (None, Some(entries)) => entries.parts(),
            (None, None) => None,
        }
    }
}

/// Whether `S`, or a struct inside it at any depth, has a rule about changes.
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
    /// A field that everyone may write and that is sent at once.
    #[must_use]
    pub const fn new(name: &'static str, policy: &'static str) -> Self {
        Self {
            name,
            spelled: None,
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

    /// A field whose value is set as a whole (the last writer wins), with its type as the struct spells it.
    #[must_use]
    pub const fn plain(name: &'static str, type_name: &'static str) -> Self {
        Self::new(name, "lww").type_name(type_name)
    }

    /// Sets the name in the struct, if it is not the name on the wire.
    #[must_use]
    pub const fn spelled_as(mut self, spelled: &'static str) -> Self {
        self.spelled = Some(spelled);
        self
    }

    /// The field's name in the struct.
    #[must_use]
    pub const fn spelled(&self) -> &'static str {
        match self.spelled {
            Some(spelled) => spelled,
            None => self.name,
        }
    }

    /// Reserves the field for the server's writes.
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Restricts the field to readers with this role.
    #[must_use]
    pub const fn read(mut self, role: &'static str) -> Self {
        self.read = Some(role);
        self
    }

    /// Restricts the field to writers with this role, and the server.
    #[must_use]
    pub const fn write(mut self, role: &'static str) -> Self {
        self.write = Some(role);
        self
    }

    /// Sets the field's type, as the struct spells it.
    #[must_use]
    pub const fn type_name(mut self, type_name: &'static str) -> Self {
        self.type_name = type_name;
        self
    }

    /// Sets the other names that are accepted for the field.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Sets the rules.
    #[must_use]
    pub const fn rules(mut self, rules: &'static [RuleInfo]) -> Self {
        self.rules = rules;
        self
    }

    /// Sets the documentation.
    #[must_use]
    pub const fn docs(mut self, docs: &'static str) -> Self {
        self.docs = docs;
        self
    }

    /// Sets the fields inside the value.
    #[must_use]
    pub const fn parts(mut self, parts: fn() -> &'static [FieldInfo]) -> Self {
        self.parts = Some(parts);
        self
    }

    /// Describes the policy, and the fields inside the value with it.
    #[must_use]
    pub const fn about(mut self, about: &'static PolicyInfo) -> Self {
        self.parts = about.parts();
        self.about = Some(about);
        self
    }

    /// Sets the timing.
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

/// A typed key for one field of `S`. The compiler knows the field's type `T` and its merge policy `P`, so a
/// key of another struct or a value of another type does not typecheck.
///
/// The derive makes one constant for each field. A key has the size of three words, is `Copy`, and holds
/// functions that are known at compile time.
pub struct Field<S: SharedState, T, P: MergePolicy<T> = Lww> {
    id: FieldId,
    get: fn(&S) -> &T,
    update: fn(P::Op) -> S::Update,
}

/// The type `T` of a field with the policy `P`, named by way of the policy. If the type lacks a trait, the
/// compiler then reports the same error wherever generated code names the type, and so reports it only once.
#[doc(hidden)]
pub type Typed<T, P> = <<P as MergePolicy<T>>::Op as Is<T>>::This;

/// Implemented by every type for every `T`, with `This = T`. Naming `T` by way of `P::Op` makes the compiler
/// check `P: MergePolicy<T>` first.
#[doc(hidden)]
pub trait Is<T> {
    type This;
}

impl<Op, T> Is<T> for Op {
    type This = T;
}

/// The key of a field, [`Field<S, T, P>`](Field), in the form that the derive writes.
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
