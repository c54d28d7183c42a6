//! What makes a random value likely to be one that a field takes: the names that its type asks for, the bounds of its
//! rules, and values near the one that it has.

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use fastrand::Rng;
use serde_json::Number;

use crate::authority::Json;
use crate::core::{FieldId, FieldPath, FieldPathBuf, RuleInfo, SharedState};
use crate::testing::sample::Sampler;

/// What is known of the values that a field takes.
#[derive(Clone, Debug, Default)]
pub(super) struct Hints {
    /// Names of fields and variants that the types ask for where serde does not announce them: in tagged and flattened
    /// types, which read any map.
    pub(super) names: Arc<[String]>,
    /// Numbers at the bounds of the rules.
    pub(super) numbers: Vec<i64>,
    /// Lengths at the bounds of the rules.
    pub(super) lengths: Vec<usize>,
    /// Texts that the rules accept.
    pub(super) texts: Vec<&'static str>,
    /// Whether the types refuse most random values: perhaps they read a text of some form.
    pub(super) is_strict: bool,
}

/// Texts of forms that types read: an id, times, addresses, versions and numbers.
const FORMS: &[&str] = &[
    "67e55044-10b1-426f-9247-bb680e5fe0c8",
    "2026-03-04T05:06:07Z",
    "2026-03-04T05:06:07.890+01:00",
    "2026-03-04",
    "05:06:07",
    "192.0.2.1",
    "2001:db8::1",
    "192.0.2.1:443",
    "1.2.3",
    "12.50",
    "00ff",
    "#00ff7f",
    "en-GB",
    "PT90S",
];

/// How many random values are tried to find the names that a field's types ask for, and how many names are kept.
const TRIES: usize = 300;
const NAMES: usize = 64;

impl Hints {
    /// The hints for a part of a field of `S` that has these rules. The names are found once for each struct.
    pub(super) fn of<S: SharedState>(field: FieldId, rules: &'static [RuleInfo]) -> Self {
        let (names, is_strict) = learned::<S>(field);
        let mut hints = Self { names, is_strict, ..Self::default() };
        rules.iter().for_each(|rule| hints.add(rule));
        hints
    }

    fn add(&mut self, rule: &RuleInfo) {
        match rule {
            RuleInfo::Length { min, max, .. } => {
                self.lengths
                    .extend([min, max].into_iter().flatten().filter_map(|bound| number::<usize>(bound)));
            }
            RuleInfo::Range { min, max } => {
                self.numbers
                    .extend([min, max].into_iter().flatten().filter_map(|bound| number::<i64>(bound)));
            }
            RuleInfo::Email => self.texts.extend(["ann@example.org", "ben+1@example.com"]),
            RuleInfo::Url => self.texts.extend(["https://example.org/a?b=1", "mailto:ann@example.org"]),
            RuleInfo::Inner(rules) => rules.iter().for_each(|rule| self.add(rule)),
            RuleInfo::Pattern(_) | RuleInfo::Custom(_) | RuleInfo::Dive => {}
        }
    }

    /// A text of a form that types read, or one near it.
    pub(super) fn form(&self, rng: &mut Rng) -> Option<String> {
        let form = FORMS[rng.usize(..FORMS.len())];
        self.is_strict.then(|| if rng.bool() { near_text(rng, form) } else { form.to_owned() })
    }

    /// A number at or beside a bound.
    pub(super) fn number(&self, rng: &mut Rng) -> Option<i64> {
        let at = self.numbers.get(rng.usize(..self.numbers.len().max(1)))?;
        Some(at.saturating_add(rng.i64(-3..=3)))
    }

    /// A length between the bounds, or beside them.
    pub(super) fn length(&self, rng: &mut Rng) -> Option<usize> {
        let (least, most) = (self.lengths.iter().min()?, self.lengths.iter().max()?);
        // A limit in the thousands is reached by no random text worth its cost.
        Some(rng.usize(*least..=(*most).clamp(*least, least + 16) + 1))
    }
}

/// A bound of a rule, which is spelled as in the struct: a literal, or the name of a constant, which says nothing.
fn number<T: std::str::FromStr>(bound: &str) -> Option<T> {
    bound.replace('_', "").parse().ok()
}

/// What serde says when it reads random values of this field: the names that it reports as missing or expected, and
/// whether it refuses most values.
fn learned<S: SharedState>(field: FieldId) -> (Arc<[String]>, bool) {
    type Known = BTreeMap<(TypeId, FieldId), (Arc<[String]>, bool)>;
    static KNOWN: Mutex<Known> = Mutex::new(BTreeMap::new());
    let table = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let id = (TypeId::of::<S>(), field);
    if let Some(known) = table().get(&id) {
        return known.clone();
    }
    // From a seed of its own, so that a simulation's seed gives the same run whoever asks first.
    let (mut rng, mut found) = (Rng::with_seed(0), BTreeSet::new());
    let path = FieldPathBuf::of(S::FIELDS[field].name);
    let (mut hints, mut refused) = (Hints::default(), 0);
    for _ in 0..TRIES {
        let sampler = Sampler::with_hints(&mut rng, &[], &hints);
        let Err(error) = S::decode(FieldPath::new(path.as_str()), None, sampler) else { continue };
        refused += 1;
        let before = found.len();
        // serde writes names between backticks.
        found.extend(error.message.split('`').skip(1).step_by(2).map(str::to_owned));
        if found.len() > NAMES {
            break;
        }
        if found.len() > before {
            hints.names = found.iter().cloned().collect();
        }
    }
    table().entry(id).or_insert((hints.names, refused > TRIES / 2)).clone()
}

/// A value like this one: mostly with one small difference.
pub(super) fn near(rng: &mut Rng, value: &Json) -> Json {
    match value {
        Json::Null => Json::Null,
        Json::Bool(truth) => Json::Bool(!truth),
        Json::Number(number) => near_number(rng, number).map_or(Json::Null, Json::Number),
        Json::Above(integer) => Json::read(&(integer - rng.u128(0..3)).to_string()).unwrap_or_default(),
        Json::Below(integer) => Json::read(&(integer + rng.i128(0..3)).to_string()).unwrap_or_default(),
        Json::Items(_) => value.clone(),
        Json::String(text) => Json::String(near_text(rng, text)),
        Json::Array(items) if items.is_empty() => value.clone(),
        Json::Array(items) => {
            let (mut items, at) = (items.clone(), rng.usize(..items.len()));
            match rng.u8(..6) {
                0 => drop(items.remove(at)),
                1 => items.push(near(rng, &items[at])),
                2 => items.swap(0, at),
                _ => items[at] = near(rng, &items[at]),
            }
            Json::Array(items)
        }
        // A text with its history, which no app makes up.
        #[cfg(feature = "text")]
        Json::Object(members) if members.len() == 1 && members.contains_key("yjs") => {
            let plain = super::text::plain(&value.clone().into()).unwrap_or_default();
            Json::String(near_text(rng, &plain))
        }
        Json::Object(members) => {
            let mut members = members.clone();
            let at = rng.usize(..members.len().max(1));
            if let Some(member) = members.values_mut().nth(at) {
                *member = near(rng, member);
            }
            Json::Object(members)
        }
    }
}

fn near_number(rng: &mut Rng, number: &Number) -> Option<Number> {
    let by = rng.i64(-3..=3);
    if let Some(integer) = number.as_u64() {
        return Some(integer.saturating_add_signed(by).into());
    }
    if let Some(integer) = number.as_i64() {
        return Some(integer.saturating_add(by).into());
    }
    #[allow(clippy::cast_precision_loss)] // `by` is small.
    let by = by as f64 / 2.0;
    Number::from_f64(number.as_f64()? + by)
}

/// The text with one character more, less or other. A digit becomes a digit and a letter a letter, so that a date stays
/// a date.
fn near_text(rng: &mut Rng, text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let at = rng.usize(..chars.len().max(1));
    let like = |rng: &mut Rng, like: Option<&char>| match like {
        Some('0'..='9') => rng.char('0'..='9'),
        Some('A'..='Z') => rng.char('A'..='Z'),
        Some('a'..='z') | None => rng.char('a'..='z'),
        Some(other) => *other,
    };
    let drawn = like(rng, chars.get(at));
    match rng.u8(..4) {
        0 => chars.insert(at, drawn),
        1 if !chars.is_empty() => drop(chars.remove(at)),
        _ => match chars.get_mut(at) {
            Some(char) => *char = drawn,
            None => chars.push(drawn),
        },
    }
    chars.into_iter().collect()
}
