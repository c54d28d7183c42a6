//! Random values of any type that serde can read: a deserializer that invents its input.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use fastrand::Rng;
use serde::de::{self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::authority::Json;
use crate::core::json_text::JsonText;
use crate::core::{FieldPath, FieldPathBuf, PolicyInfo, RuleInfo, SharedState, transfer};
use crate::testing::hints::{Hints, near};
use crate::testing::json::{json, key_text};

/// A deserializer that reads random values. Small numbers and short texts are more likely than large ones,
/// but the bounds of every number type occur.
pub struct Sampler<'r> {
    rng: &'r mut Rng,
    depth: u32,
    /// Texts that are drawn more often than others.
    words: &'r [String],
    hints: &'r Hints,
    /// Whether the value is the key of a map or the name of a field, which is a text in JSON.
    is_name: bool,
    /// Whether a struct is read without some of its fields.
    is_sparse: bool,
}

static NO_HINTS: LazyLock<Hints> = LazyLock::new(Hints::default);

impl<'r> Sampler<'r> {
    /// A sampler that draws from `rng`.
    pub fn new(rng: &'r mut Rng) -> Self {
        Self::with_hints(rng, &[], &NO_HINTS)
    }

    pub(super) fn with_hints(rng: &'r mut Rng, words: &'r [String], hints: &'r Hints) -> Self {
        let is_sparse = rng.u8(..4) == 0;
        Self { rng, depth: 0, words, hints, is_name: false, is_sparse }
    }

    fn inner(&mut self) -> Sampler<'_> {
        Sampler { rng: self.rng, depth: self.depth + 1, is_name: false, ..*self }
    }

    fn len(&mut self) -> usize {
        if self.depth > 3 { 0 } else { self.rng.usize(..4) }
    }

    fn text(&mut self) -> String {
        const PIECES: &[&str] =
            &["a", "B", "7", " ", "ü", "語", "😀", "\"", "\\", "/", "~", "\n", "<", "null", "__proto__"];
        if !self.words.is_empty() && self.rng.u8(..4) > 0 {
            return self.words[self.rng.usize(..self.words.len())].clone();
        }
        if !self.hints.texts.is_empty() && self.rng.bool() {
            return self.hints.texts[self.rng.usize(..self.hints.texts.len())].to_owned();
        }
        if self.rng.bool()
            && let Some(form) = self.hints.form(self.rng)
        {
            return form;
        }
        let length = match self.hints.length(self.rng).filter(|_| self.rng.bool()) {
            Some(length) => length,
            None if self.rng.u8(..20) == 0 => 40,
            None => self.rng.usize(..5),
        };
        (0..length).map(|_| PIECES[self.rng.usize(..PIECES.len())]).collect()
    }

    /// The name of a field or a variant, or any text.
    fn name(&mut self) -> String {
        let names = &self.hints.names;
        if names.is_empty() || self.rng.u8(..8) == 0 {
            return self.text();
        }
        names[self.rng.usize(..names.len())].clone()
    }
}

/// How many values are drawn for one update.
const TRIES: usize = 6;

/// A random update of an `S` whose current value is `state`. `None` if no drawn value was valid for the field. Existing
/// entries are chosen more often than absent ones, and some values are near the current one.
pub fn sample_update<S: SharedState>(rng: &mut Rng, state: &S) -> Option<S::Update> {
    let state = json(state);
    if S::FIELDS.is_empty() {
        return None;
    }
    let field = rng.usize(..S::FIELDS.len());
    let info = &S::FIELDS[field];
    let mut target = Target::default();
    target.path.push(info.name);
    target.rules = info.rules;
    aim(rng, info.policy, info.about, state.get(info.name), &mut target);
    let Target { path, op, words, value, rules } = target;
    let hints = Hints::of::<S>(field, rules);
    let path = path.as_str();
    (0..TRIES).find_map(|_| {
        if rng.u8(..3) == 0
            && let Some(value) = value.and_then(|value| near_value(rng, op, value))
        {
            return S::decode(FieldPath::new(path), op, JsonText(&value.to_string())).ok();
        }
        S::decode(FieldPath::new(path), op, Sampler::with_hints(rng, &words, &hints)).ok()
    })
}

/// The value of an operation, near the `current` one at its place. `None` for an operation without such a value.
fn near_value(rng: &mut Rng, op: Option<&str>, current: &Json) -> Option<Json> {
    match op {
        None => Some(near(rng, current)),
        Some("insert") => {
            let items = current.as_array().filter(|items| !items.is_empty())?;
            let at = rng.usize(..items.len());
            let item = near(rng, &items[at]);
            // An object is an item of a list or the member of a set.
            match item.is_object() && rng.bool() {
                true => Some(Json::Object([("item".to_owned(), item)].into())),
                false => Some(item),
            }
        }
        Some(_) => None,
    }
}

/// A list in a state.
struct FoundList {
    path: FieldPathBuf,
    keys: Vec<String>,
}

/// A random move of an item from one list of `state` to another. `None` if there is no item, no other list, or
/// the chosen lists have items of different types.
pub(super) fn sample_transfer<S: SharedState>(rng: &mut Rng, state: &S) -> Option<S::Update> {
    let shown = json(state);
    let mut lists = Vec::new();
    for info in S::FIELDS {
        find_lists(info.policy, info.about, shown.get(info.name), &FieldPathBuf::of(info.name), &mut lists);
    }
    let sources: Vec<&FoundList> = lists.iter().filter(|list| !list.keys.is_empty()).collect();
    if sources.is_empty() {
        return None;
    }
    let from = sources[rng.usize(..sources.len())];
    let to = &lists[rng.usize(..lists.len())];
    let mut path = from.path.clone();
    path.push(&from.keys[rng.usize(..from.keys.len())]);
    let mut value = BTreeMap::from([("to".to_owned(), Json::text(to.path.as_str()))]);
    let after = match rng.u8(..3) {
        0 => None,
        1 if !to.keys.is_empty() => Some(Json::text(&to.keys[rng.usize(..to.keys.len())])),
        _ => Some(Json::Null),
    };
    value.extend(after.map(|after| ("after".to_owned(), after)));
    if from.path == to.path {
        return None;
    }
    let value = Json::Object(value).to_string();
    let update = S::decode(FieldPath::new(path.as_str()), Some(transfer::TRANSFER), JsonText(&value)).ok()?;
    // A part of the state that is not there, or items of other types.
    transfer::expanded(&mut state.clone(), vec![update.clone()]).ok().map(|_| update)
}

fn find_lists(
    policy: &str,
    about: Option<&'static PolicyInfo>,
    value: Option<&Json>,
    path: &FieldPathBuf,
    lists: &mut Vec<FoundList>,
) {
    let entries = about.and_then(|about| about.entries);
    let mut inside = |name: &str, policy: &str, about: Option<&'static PolicyInfo>, value: Option<&Json>| {
        let mut path = path.clone();
        path.push(name);
        find_lists(policy, about, value, &path, lists);
    };
    match policy {
        "nested" if value.is_some_and(Json::is_object) => {
            for info in about.and_then(|about| about.fields).map_or(&[][..], |fields| fields()) {
                inside(info.name, info.policy, info.about, value.and_then(|value| value.get(info.name)));
            }
        }
        "list" | "map" => {
            let found = keys(about, value);
            for (key, value) in &found {
                inside(key, entries.map_or("", |entries| entries.name), entries, *value);
            }
            if policy == "list" {
                let keys = found.into_iter().map(|(key, _)| key).collect();
                lists.push(FoundList { path: path.clone(), keys });
            }
        }
        _ => {}
    }
}

/// The path and the operation of an update.
#[derive(Default)]
struct Target<'v> {
    path: FieldPathBuf,
    op: Option<&'static str>,
    /// The existing keys at that place.
    words: Vec<String>,
    /// The value at that place.
    value: Option<&'v Json>,
    /// The rules of the field there.
    rules: &'static [RuleInfo],
}

/// Draws a place and an operation, at a value or inside it.
fn aim<'v>(
    rng: &mut Rng,
    policy: &str,
    about: Option<&'static PolicyInfo>,
    value: Option<&'v Json>,
    target: &mut Target<'v>,
) {
    target.value = value;
    match policy {
        "counter" if rng.u8(..4) > 0 => target.op = Some(if rng.bool() { "add" } else { "sub" }),
        "nested" if rng.u8(..4) > 0 => {
            let fields = about.and_then(|about| about.fields).map_or(&[][..], |fields| fields());
            if !fields.is_empty() {
                let info = &fields[rng.usize(..fields.len())];
                target.path.push(info.name);
                target.rules = info.rules;
                aim(rng, info.policy, info.about, value.and_then(|value| value.get(info.name)), target);
            }
        }
        "text" if rng.u8(..8) > 0 => target.op = Some("splice"),
        "set" if rng.u8(..8) > 0 => {
            target.op = Some(if rng.bool() { "insert" } else { "remove" });
        }
        "list" | "map" if rng.u8(..8) > 0 => {
            let inside = keys(about, value);
            target.words = inside.iter().map(|(key, _)| key.clone()).collect();
            let (key, entry) = match inside.is_empty() || rng.u8(..6) == 0 {
                true => (rng.u8(..6).to_string(), None),
                false => inside[rng.usize(..inside.len())].clone(),
            };
            let entries = about.and_then(|about| about.entries);
            match rng.u8(..8) {
                0..=2 if policy == "list" => return target.op = Some("insert"),
                3 | 4 if policy == "list" => target.op = Some("move"),
                5 => target.op = Some("delete"),
                _ => {
                    target.path.push(&key);
                    return aim(rng, entries.map_or("", |entries| entries.name), entries, entry, target);
                }
            }
            target.path.push(&key);
        }
        _ => {}
    }
}

/// The entries of a list or a map, by key.
fn keys<'v>(about: Option<&PolicyInfo>, value: Option<&'v Json>) -> Vec<(String, Option<&'v Json>)> {
    match value {
        Some(Json::Array(items)) => {
            let key = about.and_then(PolicyInfo::name_of_key).unwrap_or_default();
            items.iter().map(|item| (key_text(&item[key]), Some(item))).collect()
        }
        Some(Json::Object(entries)) => {
            entries.iter().map(|(key, entry)| (key.clone(), Some(entry))).collect()
        }
        _ => Vec::new(),
    }
}

/// Why a type could not be sampled.
#[derive(Debug)]
pub struct SampleError(String);

impl fmt::Display for SampleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SampleError {}

impl de::Error for SampleError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
            let hint = self.hints.number(self.rng).and_then(|number| $type::try_from(number).ok());
            let number = match self.rng.u8(..12) {
                0 => $type::MIN,
                1 => $type::MAX,
                2 => self.rng.$type(..),
                _ => hint.unwrap_or_else(|| self.rng.$type(..30)),
            };
            visitor.$visit(number)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Sampler<'_> {
    type Error = SampleError;

    integers! {
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
        deserialize_i128 visit_i128 i128
        deserialize_u128 visit_u128 u128
    }

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, SampleError> {
        if self.is_name {
            return visitor.visit_string(self.name());
        }
        match self.rng.u8(..9) {
            0 => visitor.visit_unit(),
            1 => visitor.visit_bool(self.rng.bool()),
            // As JSON is read: a number that is not negative has no sign.
            2 => match self.rng.i64(-100..100) {
                number @ ..0 => visitor.visit_i64(number),
                number => visitor.visit_u64(number.unsigned_abs()),
            },
            3 => self.deserialize_f64(visitor),
            4 => visitor.visit_string(self.name()),
            5 => self.deserialize_seq(visitor),
            _ => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        visitor.visit_bool(self.rng.bool())
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        visitor.visit_f32(match self.rng.u8(..16) {
            0 => f32::MAX,
            1 => f32::MIN,
            2 => f32::MIN_POSITIVE,
            3 => -0.0,
            4 => 16_777_216.0,
            _ => self.rng.f32() * 8.0,
        })
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        let hint = self.hints.number(self.rng);
        #[allow(clippy::cast_precision_loss)] // A value near a bound.
        visitor.visit_f64(match self.rng.u8(..16) {
            0 => f64::MAX,
            1 => f64::MIN,
            2 => f64::MIN_POSITIVE,
            3 => -0.0,
            4 => 5e-324,
            _ => hint.map_or_else(|| self.rng.f64() * 8.0, |number| number as f64),
        })
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        visitor.visit_char(self.rng.char(..))
    }

    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, SampleError> {
        visitor.visit_string(self.text())
    }

    fn deserialize_string<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, SampleError> {
        visitor.visit_string(self.text())
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, SampleError> {
        let length = self.len();
        visitor.visit_byte_buf((0..length).map(|_| self.rng.u8(..)).collect())
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SampleError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, SampleError> {
        visitor.visit_unit()
    }

    fn deserialize_identifier<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, SampleError> {
        visitor.visit_string(self.name())
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, SampleError> {
        if self.depth > 3 || self.rng.bool() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self.inner())
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, SampleError> {
        visitor.visit_newtype_struct(self.inner())
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, SampleError> {
        let left = self.len();
        visitor.visit_seq(Items { sampler: self.inner(), left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value, SampleError> {
        visitor.visit_seq(Items { sampler: self.inner(), left: len })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, SampleError> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, SampleError> {
        let left = self.len();
        visitor.visit_map(Items { sampler: self.inner(), left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SampleError> {
        let mut names = fields.to_vec();
        if self.is_sparse {
            names.retain(|_| self.rng.u8(..4) > 0);
        }
        visitor.visit_map(Members { sampler: self.inner(), names: names.into_iter() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SampleError> {
        if variants.is_empty() {
            return Err(de::Error::custom("an enum without variants has no values"));
        }
        let variant = variants[self.rng.usize(..variants.len())];
        visitor.visit_enum(Variant { sampler: self.inner(), name: variant })
    }

    forward_to_deserialize_any! { ignored_any }
}

struct Items<'r> {
    sampler: Sampler<'r>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = SampleError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, SampleError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(self.sampler.inner()).map(Some)
    }
}

impl<'de> MapAccess<'de> for Items<'_> {
    type Error = SampleError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, SampleError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(Sampler { is_name: true, ..self.sampler.inner() }).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, SampleError> {
        seed.deserialize(self.sampler.inner())
    }
}

struct Members<'r> {
    sampler: Sampler<'r>,
    names: std::vec::IntoIter<&'static str>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = SampleError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, SampleError> {
        let Some(name) = self.names.next() else { return Ok(None) };
        seed.deserialize(de::value::StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, SampleError> {
        seed.deserialize(self.sampler.inner())
    }
}

struct Variant<'r> {
    sampler: Sampler<'r>,
    name: &'static str,
}

impl<'de, 'r> EnumAccess<'de> for Variant<'r> {
    type Error = SampleError;
    type Variant = Sampler<'r>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Sampler<'r>), SampleError> {
        let variant = seed.deserialize(de::value::StrDeserializer::<SampleError>::new(self.name))?;
        Ok((variant, self.sampler))
    }
}

impl<'de> VariantAccess<'de> for Sampler<'_> {
    type Error = SampleError;

    fn unit_variant(self) -> Result<(), SampleError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, SampleError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, SampleError> {
        de::Deserializer::deserialize_tuple(self, len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SampleError> {
        de::Deserializer::deserialize_struct(self, "", fields, visitor)
    }
}
