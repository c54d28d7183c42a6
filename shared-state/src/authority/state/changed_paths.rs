//! Which paths a change has changed, so that the program is asked about each of them, however the change is written.
//!
//! A value can be written by its own path, or as a part of something larger: an item, a map, a whole field. The paths
//! that a write changes are those at which the value before differs from the value after: each of them is visited, from
//! the outermost to the innermost. A value that appears or disappears changes every path inside it. Called by the
//! states after they have computed a change and before it counts.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::authority::permissions::Permissions;
use crate::authority::state::exact_json::Json;
use crate::authority::state::items::key_of;
use crate::authority::state::untyped_ops::Declared;
use crate::core::{Code, FieldInfo, FieldPath, FieldPathBuf, PolicyInfo, Reject, WireUpdate, roles, work};
use crate::proto::Declaration;

/// About how many bytes of a value are walked in a step of [work].
const WALKED: usize = 32;

/// One path that a client's change changes, with the values there; given to
/// [`authorize_change`](crate::server::ServerBuilder::authorize_change).
#[derive(Clone, Copy, Debug)]
pub struct PathChange<'a> {
    path: &'a str,
    op: Option<&'a str>,
    old: Option<&'a Json>,
    new: Option<&'a Json>,
}

impl<'a> PathChange<'a> {
    /// The path, in which fields have their own names and not aliases: `cards/7/votes/bob`.
    #[must_use]
    pub const fn path(&self) -> &'a str {
        self.path
    }

    /// The segments of the path, unescaped.
    #[must_use]
    pub fn segments(&self) -> Vec<String> {
        segments(self.path)
    }

    /// The operation that changes the value, as `add` of a counter, `edit` of a text or `move` of an item. `None`: the
    /// value is set, inserted or removed, by itself or as a part of something larger, or the room is untyped.
    #[must_use]
    pub const fn op(&self) -> Option<&'a str> {
        self.op
    }

    /// The value before the change, read as a `T`; `None` if there was none or it is not a `T`. Costs the value.
    #[must_use]
    pub fn before<T: DeserializeOwned>(&self) -> Option<T> {
        read(self.old?)
    }

    /// The value after the change, as [`before`](Self::before).
    #[must_use]
    pub fn after<T: DeserializeOwned>(&self) -> Option<T> {
        read(self.new?)
    }

    /// Whether there was a value at the path before the change.
    #[must_use]
    pub const fn existed(&self) -> bool {
        self.old.is_some()
    }

    /// Whether there is a value at the path after the change.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.new.is_some()
    }
}

fn read<T: DeserializeOwned>(json: &Json) -> Option<T> {
    serde_json::from_str(&json.to_string()).ok()
}

/// Asks the permissions of a change's author about the paths that it changes.
#[derive(Clone, Copy)]
pub struct WriteCheck<'a> {
    permissions: Option<&'a dyn Permissions>,
    /// Set if the author may not read every field: whether a rule that sees all of them has refused the change.
    concealed: Option<&'a Cell<bool>>,
}

impl std::fmt::Debug for WriteCheck<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteCheck").field("asks", &self.permissions.is_some()).finish()
    }
}

/// Two writers are the same whatever they may do.
impl PartialEq for WriteCheck<'_> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for WriteCheck<'_> {}

impl<'a> WriteCheck<'a> {
    /// Allows everything.
    pub const NONE: Self = Self { permissions: None, concealed: None };

    /// Asks these permissions. `concealed` is set for an author who may not read every field, and becomes true if the
    /// change is refused for a reason that the author may not know.
    pub(in crate::authority) const fn new(
        permissions: Option<&'a dyn Permissions>,
        concealed: Option<&'a Cell<bool>>,
    ) -> Self {
        Self { permissions, concealed }
    }

    /// The refusal of a rule that sees the whole state, as the author may know it: without its message and field, which
    /// could tell the values of fields that the author may not read.
    pub(super) fn concealed(self, reject: Reject) -> Reject {
        let Some(concealed) = self.concealed else { return reject };
        concealed.set(true);
        let code = if reject.code == Code::RulesFailed { Code::RulesFailed } else { Code::Invalid };
        Reject::new(code, "the change breaks a rule of the room")
    }

    /// Asks about the declaration of a field, whose initial value counts as written.
    pub(in crate::authority) fn declaration(
        self,
        path: &str,
        declaration: &Declaration,
    ) -> Result<(), Reject> {
        let Declaration { policy, shape, fields, initial } = declaration;
        let declared = |at: &str| (at == path).then_some(Declared { policy, shape, fields });
        self.untyped(path, std::iter::once(path), (None, initial.as_deref()), &declared)
    }

    /// Whether anybody is to be asked, so that it is worth to find the paths.
    pub(super) fn asks(self) -> bool {
        self.permissions.is_some_and(Permissions::asks_paths)
    }

    /// Whether the values are needed for operations, too.
    pub(super) fn wants_values(self) -> bool {
        self.permissions.is_some_and(Permissions::wants_values)
    }

    /// Asks about one changed path. `asked` is the path that was asked about already, as the client wrote it.
    fn ask(self, change: &PathChange<'_>, asked: &str) -> Result<(), Reject> {
        let Some(permissions) = self.permissions else { return Ok(()) };
        let may = if change.path == asked { Ok(()) } else { permissions.write(change.path) };
        may.and_then(|()| permissions.change(change))
            .map_err(|message| Reject::new(Code::Forbidden, message).in_field(change.path))
    }

    /// Asks about an operation that a typed state has applied. `applied` and `inverse` are the operation and its
    /// inverse, by which the value before is known, as [`encode_plain`](crate::core::encode_plain) writes them; `values`
    /// are the values before and after an operation, if they are wanted; `asked` is the path as the client wrote it.
    pub(super) fn applied(
        self,
        fields: &'static [FieldInfo],
        (applied, inverse): (&str, &str),
        (before, after): (Option<Json>, Option<Json>),
        asked: &str,
    ) -> Result<(), Reject> {
        /// The item of an `insert` or a `return`.
        #[derive(Deserialize)]
        struct Inserted<'a> {
            #[serde(borrow)]
            item: &'a RawValue,
        }
        let unreadable = |error: serde_json::Error| Reject::new(Code::WrongType, error.to_string());
        let applied: WireUpdate<'_> = serde_json::from_str(applied).map_err(unreadable)?;
        let inverse: WireUpdate<'_> = serde_json::from_str(inverse).map_err(unreadable)?;
        let item = |update: &WireUpdate<'_>| {
            serde_json::from_str::<Inserted<'_>>(update.value.get()).ok().and_then(|value| json(value.item))
        };
        let (op, back) = (applied.op.as_deref(), inverse.op.as_deref());
        let (path, old, new) = match (op, back) {
            // The operation had no effect.
            (_, Some("nothing")) => return Ok(()),
            (None, None) if applied.key == inverse.key => {
                (&applied.key, json(inverse.value), json(applied.value))
            }
            // The value was absent. If the inverse is of another form, every part counts as changed.
            (None, _) => (&applied.key, None, json(applied.value)),
            (Some("insert"), Some("delete")) => (&inverse.key, None, item(&applied)),
            (Some("delete" | "take"), Some("insert" | "return")) => (&applied.key, item(&inverse), None),
            (Some("delete" | "take"), None) => (&applied.key, json(inverse.value), None),
            (Some(op), _) => {
                let (old, new) = (before.as_ref(), after.as_ref());
                let change = PathChange { path: &applied.key, op: Some(op), old, new };
                return self.ask(&change, asked);
            }
        };
        let declared = |_: &str| None;
        let structure = Structure::at(fields, path);
        let walk = Walk { check: self, declared: &declared, within: None, asked };
        walk.differences(path, structure, old.as_ref(), new.as_ref())
    }

    /// Asks about a field of which the room knows only what clients have declared, after updates at `keys`: the paths
    /// that differ and are at one of the keys or inside it. `declared` finds the declaration of the field at a path.
    pub(super) fn untyped<'d, 'k>(
        self,
        field: &str,
        keys: impl Iterator<Item = &'k str>,
        (old, new): (Option<&RawValue>, Option<&RawValue>),
        declared: &dyn Fn(&str) -> Option<Declared<'d>>,
    ) -> Result<(), Reject> {
        let bytes = [old, new].iter().flatten().map(|json| json.get().len()).sum::<usize>();
        let (old, new) = (old.and_then(json), new.and_then(json));
        let keys: BTreeSet<&str> = keys.collect();
        for key in keys {
            // Each walk finds the items of the lists around the key.
            work::spend(bytes / WALKED);
            work::check()?;
            let within = canonical(key);
            let walk = Walk { check: self, declared, within: Some(&within), asked: key };
            walk.differences(field, Structure::Plain, old.as_ref(), new.as_ref())?;
        }
        Ok(())
    }
}

/// The value at a path, given the value of the field that the path begins with.
pub(super) fn value_at(fields: &'static [FieldInfo], path: &str, field: &Json) -> Option<Json> {
    let segments = segments(path);
    let (first, rest) = segments.split_first()?;
    let (mut at, mut structure) = (field, Structure::Fields(fields).part(first));
    for segment in rest {
        at = match structure.key() {
            Some(key) => items(Some(at), key).get(segment.as_str()).copied()?,
            None => members(Some(at)).get(segment.as_str()).copied()?,
        };
        structure = structure.part(segment);
    }
    Some(at.clone())
}

/// `None` if the text is not JSON that a program can hold, which is refused elsewhere.
fn json(value: &RawValue) -> Option<Json> {
    Json::read(value.get()).ok()
}

fn segments(path: &str) -> Vec<String> {
    let mut rest = FieldPath::new(path);
    std::iter::from_fn(|| rest.next_segment().map(std::borrow::Cow::into_owned)).collect()
}

/// A path as [`FieldPathBuf`] writes it. A client may leave characters unescaped that need no escape to be understood.
fn canonical(path: &str) -> String {
    let mut written = FieldPathBuf::new();
    segments(path).iter().for_each(|segment| written.push(segment));
    written.into_string()
}

/// What is known of the value at a path: by which member the items of a list are addressed.
#[derive(Clone, Copy)]
enum Structure<'d> {
    /// A struct.
    Fields(&'static [FieldInfo]),
    /// A value of a policy.
    Policy(&'static PolicyInfo),
    /// A value that a client has declared.
    Declared(Declared<'d>),
    /// Any JSON, of which the members of objects have paths.
    Plain,
    /// A value of a typed room that has no parts of its own, whatever its JSON is.
    Leaf,
}

impl<'d> Structure<'d> {
    /// The structure of the value at a path of a struct.
    fn at(fields: &'static [FieldInfo], path: &str) -> Self {
        segments(path).iter().fold(Self::Fields(fields), |at, segment| at.part(segment))
    }

    fn of_field(field: &'static FieldInfo) -> Self {
        match (field.about, field.parts) {
            (Some(about), _) => Self::Policy(about).or_leaf(),
            (None, Some(parts)) => Self::Fields(parts()),
            (None, None) => Self::Leaf,
        }
    }

    fn or_leaf(self) -> Self {
        match self {
            Self::Policy(PolicyInfo { fields: None, entries: None, .. }) => Self::Leaf,
            at => at,
        }
    }

    /// The structure of a member, an item or an entry.
    fn part(self, name: &str) -> Self {
        match self {
            Self::Fields(fields) => {
                roles::named(fields, name).map_or(Self::Leaf, |at| Self::of_field(&fields[at]))
            }
            Self::Policy(PolicyInfo { fields: Some(fields), .. }) => Self::Fields(fields()).part(name),
            Self::Policy(PolicyInfo { entries: Some(entries), .. }) => Self::Policy(entries).or_leaf(),
            Self::Declared(declared) => Self::Declared(declared.entries()),
            Self::Plain => Self::Plain,
            Self::Policy(_) | Self::Leaf => Self::Leaf,
        }
    }

    /// The member of an item that is its key, if this is a list.
    fn key(self) -> Option<&'d str> {
        match self {
            Self::Policy(about) => about.name_of_key(),
            Self::Declared(declared) => declared.list_key(),
            Self::Fields(_) | Self::Plain | Self::Leaf => None,
        }
    }
}

struct Walk<'a, 'd> {
    check: WriteCheck<'a>,
    declared: &'a dyn Fn(&str) -> Option<Declared<'d>>,
    /// If set, only paths at this path or inside it are asked about.
    within: Option<&'a str>,
    asked: &'a str,
}

impl<'d> Walk<'_, 'd> {
    /// Asks about a path and the paths inside it at which two values differ.
    fn differences(
        &self,
        path: &str,
        structure: Structure<'d>,
        old: Option<&Json>,
        new: Option<&Json>,
    ) -> Result<(), Reject> {
        if old == new {
            return Ok(());
        }
        let structure = (self.declared)(path).map_or(structure, Structure::Declared);
        let is_within = |within: &str| {
            path.strip_prefix(within).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.within.is_none_or(is_within) {
            self.check.ask(&PathChange { path, op: None, old, new }, self.asked)?;
        }
        let (old, new) = match (structure, structure.key()) {
            (Structure::Leaf, _) => return Ok(()),
            (_, Some(key)) => (items(old, key), items(new, key)),
            (_, None) => (members(old), members(new)),
        };
        let names: BTreeSet<&str> = old.keys().chain(new.keys()).map(|name| &**name).collect();
        names.into_iter().try_for_each(|name| {
            let mut inner = String::from(path);
            inner.push('/');
            inner.push_str(FieldPathBuf::of(name).as_str());
            self.differences(&inner, structure.part(name), old.get(name).copied(), new.get(name).copied())
        })
    }
}

type Parts<'j> = BTreeMap<std::borrow::Cow<'j, str>, &'j Json>;

fn members(json: Option<&Json>) -> Parts<'_> {
    let Some(Json::Object(members)) = json else { return Parts::new() };
    members.iter().map(|(name, member)| (name.into(), member)).collect()
}

/// The items of a list by their keys. Items without a key have no path.
fn items<'j>(json: Option<&'j Json>, key: &str) -> Parts<'j> {
    let Some(Json::Array(items)) = json else { return Parts::new() };
    items.iter().filter_map(|item| Some((key_of(item, key)?, item))).collect()
}
