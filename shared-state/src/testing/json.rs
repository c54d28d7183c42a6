//! States as JSON, in the form that the model and the sampler read, and the comparison of two states.

use std::collections::BTreeMap;
use std::ops::Index;

use crate::authority::Json;
use crate::core::json_text::JsonText;
use crate::core::{FieldId, FieldPath, FieldPathBuf, PolicyInfo, SharedState, text_scope};
use crate::schema::resolve::field_json;

const NULL: &Json = &Json::Null;

impl Json {
    pub(super) const fn as_array(&self) -> Option<&Vec<Self>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(super) const fn as_array_mut(&mut self) -> Option<&mut Vec<Self>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn text(text: &str) -> Self {
        Self::String(text.to_owned())
    }

    /// The value with every array sorted.
    pub(super) fn unordered(&self) -> Self {
        match self {
            Self::Array(items) => {
                let mut items: Vec<Self> = items.iter().map(Self::unordered).collect();
                items.sort_by_cached_key(Self::to_string);
                Self::Array(items)
            }
            Self::Object(members) => Self::Object(
                members.iter().map(|(name, member)| (name.clone(), member.unordered())).collect(),
            ),
            other => other.clone(),
        }
    }
}

/// The member of an object; `null` if there is none.
impl Index<&str> for Json {
    type Output = Self;

    fn index(&self, name: &str) -> &Self {
        self.get(name).unwrap_or(NULL)
    }
}

/// The state with everything that the model needs, such as the history of texts.
pub(super) fn json<S: SharedState>(state: &S) -> Json {
    let mut followed = Followed::default();
    followed.json(state);
    followed.json
}

/// A state as [`json`] writes it, again and again: only the fields that have changed are read again.
#[derive(Default)]
pub(super) struct Followed {
    fields: Vec<String>,
    json: Json,
}

impl Followed {
    pub(super) fn json<S: SharedState>(&mut self, state: &S) -> &Json {
        if self.fields.is_empty() {
            (self.fields, self.json) = (vec![String::new(); S::FIELDS.len()], Json::Object(BTreeMap::new()));
        }
        for (field, known) in self.fields.iter_mut().enumerate() {
            let text = text_scope::with_history(|| field_json(state, field));
            if *known != text
                && let Some(members) = self.json.as_object_mut()
            {
                members.insert(S::FIELDS[field].name.to_owned(), Json::read(&text).unwrap_or_default());
                *known = text;
            }
        }
        &self.json
    }
}

/// The state that [`json`] wrote. `initial` is any state.
pub(super) fn read<S: SharedState>(initial: &S, json: &Json) -> Result<S, String> {
    let mut state = initial.clone();
    for field in 0..S::FIELDS.len() {
        state.apply(set::<S>(field, &json[S::FIELDS[field].name])?);
    }
    Ok(state)
}

/// The update that sets the value at a path.
fn set_at<S: SharedState>(path: &str, value: &Json) -> Result<S::Update, String> {
    let text = value.to_string();
    S::decode(FieldPath::new(path), None, JsonText(&text))
        .map_err(|error| format!("`{path}` cannot be {text}: {error}"))
}

/// The update that sets a field.
fn set<S: SharedState>(field: FieldId, value: &Json) -> Result<S::Update, String> {
    set_at::<S>(FieldPathBuf::of(S::FIELDS[field].name).as_str(), value)
}

/// Whether two updates are the same, given with their JSON. The values decide, because the JSON of a hash set has no
/// fixed order. A value that is not equal to itself, such as one with a NaN, is compared as JSON in any order.
pub(super) fn same_update<S: SharedState>(
    (a, a_json): (&S::Update, &Json),
    (b, b_json): (&S::Update, &Json),
) -> bool {
    let is_odd = |update: &S::Update| *update != update.clone();
    a_json == b_json
        || text_scope::with_history(|| a == b || is_odd(a) && a_json.unordered() == b_json.unordered())
}

/// Whether two values at a path are the same. Only values without parts are compared by their types, so that the
/// history of a text and the order of a list count wherever they are.
pub(super) fn same_at<S: SharedState>(
    path: &FieldPathBuf,
    policy: &str,
    about: Option<&'static PolicyInfo>,
    a: &Json,
    b: &Json,
) -> bool {
    if a == b {
        return true;
    }
    let entries = about.and_then(|about| about.entries);
    let entry = |key: &str, a: &Json, b: &Json| {
        let mut path = path.clone();
        path.push(key);
        same_at::<S>(&path, entries.map_or("", |entries| entries.name), entries, a, b)
    };
    match (policy, a, b) {
        ("nested", Json::Object(_), Json::Object(_)) => {
            let fields = about.and_then(|about| about.fields).map_or(&[][..], |fields| fields());
            if fields.iter().any(|info| a.get(info.name).is_some() != b.get(info.name).is_some()) {
                // One of the two leaves out a field that has its default.
                return same_set::<S>(path, a, b);
            }
            fields.iter().all(|info| {
                let mut path = path.clone();
                path.push(info.name);
                same_at::<S>(&path, info.policy, info.about, &a[info.name], &b[info.name])
            })
        }
        ("map", Json::Object(all_a), Json::Object(all_b)) => {
            all_a.keys().eq(all_b.keys()) && all_a.iter().all(|(key, a)| entry(key, a, &all_b[key]))
        }
        ("list", Json::Array(all_a), Json::Array(all_b)) => {
            let Some(field) = about.and_then(PolicyInfo::name_of_key) else { return false };
            all_a.len() == all_b.len()
                && all_a.iter().zip(all_b).all(|(a, b)| {
                    let key = key_text(&a[field]);
                    key == key_text(&b[field]) && entry(&key, a, b)
                })
        }
        ("text", ..) => false,
        _ => same_set::<S>(path, a, b),
    }
}

fn same_set<S: SharedState>(path: &FieldPathBuf, a: &Json, b: &Json) -> bool {
    match (set_at::<S>(path.as_str(), a), set_at::<S>(path.as_str(), b)) {
        (Ok(a_set), Ok(b_set)) => same_update::<S>((&a_set, a), (&b_set, b)),
        _ => false,
    }
}

/// Whether two values of a field are the same.
pub(super) fn same_value<S: SharedState>(field: FieldId, a: &Json, b: &Json) -> bool {
    let info = &S::FIELDS[field];
    same_at::<S>(&FieldPathBuf::of(info.name), info.policy, info.about, a, b)
}

/// The first field in which a state is not as expected, and how.
pub(super) fn difference<S: SharedState>(found: &Json, expected: &Json) -> Option<String> {
    let mut names = S::FIELDS.iter().map(|info| info.name).enumerate();
    let (_, name) = names.find(|(field, name)| !same_value::<S>(*field, &found[name], &expected[name]))?;
    Some(format!("`{name}` is {}, not {}", found[name], expected[name]))
}

/// As [`difference`], of what an app sees: texts without their history.
pub(super) fn difference_shown<S: SharedState>(found: &S, expected: &S) -> Option<String> {
    let same = |field: &FieldId| {
        let (a, b) = (found.current(*field), expected.current(*field));
        let json = |state: &S| Json::read(&field_json(state, *field)).unwrap_or_default();
        a == b
            || json(found) == json(expected)
            || a != a.clone() && json(found).unordered() == json(expected).unordered()
    };
    let field = (0..S::FIELDS.len()).find(|field| !same(field))?;
    let (name, [found, expected]) =
        (S::FIELDS[field].name, [found, expected].map(|state| field_json(state, field)));
    Some(format!("`{name}` is {found}, not {expected}"))
}

/// The text of a key that is a string, a number or a bool.
pub(super) fn key_text(key: &Json) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}
