//! The simulation passes right structs of every kind: a failure would be a false alarm.
//!
//! Each struct stands for a kind of type, role or rule of which an app may have many.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as AtomicOrdering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_state::testing::{Report, Simulation};
use shared_state::{List, SharedState, Text};
use shared_state_tests::seeds;

const SEEDS: u64 = 60;

/// Runs the simulation and checks that it wrote.
fn passes<S: SharedState + Default>() -> Report {
    let report = seeds::simulate(&Simulation::new(S::default()), SEEDS);
    assert!(seeds::given().is_some() || accepted(&report) > 15 * SEEDS, "{report:?}");
    report
}

/// The acknowledged writes that changed something in the room.
fn accepted(report: &Report) -> u64 {
    (report.acknowledged - report.without_effect) as u64
}

/// The guide's table: fields that only some may read.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Table {
    turn: u8,
    #[shared(read = "north", write = "north")]
    north: Vec<u8>,
    #[shared(read = "south")]
    south: Vec<u8>,
    #[shared(write = "dealer")]
    stakes: u32,
    #[shared(nested)]
    notes: Notes,
    #[shared(list(key = id, nested))]
    seats: Vec<Seat>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Notes {
    public: String,
    #[shared(read = "dealer", write = "dealer", text)]
    private: Text,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Seat {
    id: u8,
    name: String,
    #[shared(counter, write = "dealer")]
    chips: i64,
    #[shared(map(nested))]
    marks: BTreeMap<u8, Mark>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Mark {
    #[shared(write = "north")]
    kind: u8,
    note: String,
}

#[test]
fn roles_to_read_and_write_also_at_depth() {
    passes::<Table>();
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Counters {
    #[shared(counter)]
    small: f32,
    #[shared(counter)]
    large: f64,
    #[shared(counter)]
    bytes: u8,
    #[shared(counter)]
    whole: u64,
    #[shared(counter)]
    place: isize,
    #[shared(map(counter))]
    by_name: BTreeMap<String, f32>,
}

#[test]
fn counters_of_every_number() {
    passes::<Counters>();
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Numbers {
    wide: i128,
    unsigned: u128,
    both: Option<(u128, i128)>,
    single: f32,
    double: f64,
    many: Vec<f32>,
    any: JsonNumber,
    value: serde_json::Value,
    #[shared(map)]
    wide_by_wide: BTreeMap<u128, i128>,
    #[shared(set)]
    members: BTreeSet<i128>,
    #[shared(list(key = id))]
    items: Vec<Wide>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct JsonNumber(serde_json::Number);

impl Default for JsonNumber {
    fn default() -> Self {
        Self(7.into())
    }
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Wide {
    id: u128,
    factor: f32,
}

#[test]
fn numbers_that_json_values_do_not_hold() {
    passes::<Numbers>();
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Unordered {
    plain: HashSet<(u8, String)>,
    words: HashSet<String>,
    grid: HashMap<u8, HashSet<u8>>,
    listed: Vec<HashSet<u8>>,
    #[shared(map)]
    by_name: HashMap<String, HashSet<(bool, u8)>>,
    #[shared(list(key = id))]
    items: List<Tagged>,
    #[shared(nested)]
    inside: UnorderedInside,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Tagged {
    id: u8,
    tags: HashSet<(u8, u8)>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct UnorderedInside {
    #[shared(set)]
    members: HashSet<(u8, bool)>,
    pairs: HashSet<[u8; 2]>,
}

#[test]
fn values_whose_json_has_no_fixed_order() {
    passes::<Unordered>();
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Renamed {
    #[shared(list(key = id))]
    plain: Vec<RenamedItem>,
    #[shared(list(key = id, nested))]
    nested: List<RenamedNested>,
    #[serde(rename = "a\"b")]
    quoted: String,
    #[serde(rename = "a/b~c")]
    slashed: u8,
    #[serde(rename = "\\n\n", alias = "line")]
    #[shared(nested)]
    odd: RenamedInside,
    #[serde(rename = "")]
    nameless: bool,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct RenamedItem {
    #[serde(rename = "_id")]
    id: String,
    value: u8,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
struct RenamedNested {
    #[serde(rename = "_id")]
    id: u8,
    long_name: String,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct RenamedInside {
    #[serde(rename = "q\"/~", alias = "old")]
    #[shared(map)]
    entries: BTreeMap<String, u8>,
}

#[test]
fn names_of_fields_and_keys_of_every_spelling() {
    passes::<Renamed>();
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
enum External {
    #[default]
    Unit,
    New(u8),
    Pair(u8, String),
    Named {
        a: Option<u8>,
        b: Vec<bool>,
    },
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Internal {
    #[default]
    Unit,
    Named {
        size: u8,
    },
    Wrapped(Inner),
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(deny_unknown_fields)]
struct Inner {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    list: Vec<u8>,
    #[serde(alias = "called")]
    name: String,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    #[default]
    Unit,
    New(f32),
    Named {
        set: HashSet<(u8, u8)>,
    },
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Text(String),
    Named { size: u8 },
    Nothing,
}

impl Default for Untagged {
    fn default() -> Self {
        Self::Named { size: 1 }
    }
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Enums {
    external: External,
    internal: Internal,
    adjacent: Adjacent,
    untagged: Untagged,
    #[shared(map)]
    all: BTreeMap<String, (External, Internal, Adjacent)>,
    #[shared(set)]
    members: BTreeSet<External>,
    #[shared(list(key = id))]
    items: Vec<Kinds>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Kinds {
    id: u8,
    #[serde(flatten)]
    kind: Internal,
    other: Option<Untagged>,
}

#[test]
fn enums_of_every_representation() {
    passes::<Enums>();
}

/// A float that JSON cannot hold as a number, written as text. Not equal to itself if it is not a number.
#[derive(Clone, Debug, PartialEq, Default)]
struct AnyFloat(f64);

impl Serialize for AnyFloat {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AnyFloat {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // A text that is no number is read as one that is none.
        Ok(Self(text.parse().unwrap_or(f64::NAN)))
    }
}

/// Ordered and equal without regard to case, but written as it is.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(transparent)]
struct Folded(String);

impl PartialEq for Folded {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Folded {}

impl PartialOrd for Folded {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Folded {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.to_ascii_lowercase().cmp(&other.0.to_ascii_lowercase())
    }
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Odd {
    unit: (),
    nothing: Option<()>,
    letter: char,
    address: IpAddr,
    wait: Duration,
    result: Result<u8, String>,
    float: AnyFloat,
    floats: (AnyFloat, HashSet<(u8, u8)>),
    folded: Folded,
    boxed: Box<[Option<Box<str>>]>,
    positive: std::num::NonZeroU8,
    #[serde(with = "hex")]
    coded: u32,
    #[shared(nested)]
    sparse: Sparse,
    #[shared(nested)]
    maybe: Option<Sparse>,
    flat: Flat,
    #[shared(counter)]
    #[serde(default = "seven")]
    from_seven: i64,
}

fn seven() -> i64 {
    7
}

mod hex {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let text = String::deserialize(deserializer)?;
        u32::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
    }
}

/// Fields that are left out of the JSON and read from their defaults.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Sparse {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[shared(list(key = id))]
    items: Vec<RenamedItem>,
    #[serde(default = "seven", skip_serializing_if = "is_seven")]
    #[shared(counter)]
    count: i64,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[shared(set)]
    members: BTreeSet<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[shared(map(counter))]
    tally: BTreeMap<String, u8>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_seven(count: &i64) -> bool {
    *count == 7
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Flat {
    a: u8,
    #[serde(flatten)]
    inner: Inner,
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

impl Default for Odd {
    fn default() -> Self {
        Self {
            unit: (),
            nothing: None,
            letter: 'x',
            address: [127, 0, 0, 1].into(),
            wait: Duration::from_millis(1500),
            result: Ok(1),
            float: AnyFloat(f64::NAN),
            floats: (AnyFloat(f64::INFINITY), HashSet::from([(1, 2), (3, 4)])),
            folded: Folded("Case".into()),
            boxed: Box::new([None, Some("b".into())]),
            positive: std::num::NonZeroU8::MIN,
            coded: 255,
            sparse: Sparse::default(),
            maybe: None,
            flat: Flat::default(),
            from_seven: 7,
        }
    }
}

#[test]
fn types_with_a_serde_form_of_their_own() {
    passes::<Odd>();
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(bound = "T: Serialize + serde::de::DeserializeOwned")]
struct Pair<
    T: Clone + Debug + PartialEq + Default + Send + Sync + Serialize + serde::de::DeserializeOwned + 'static,
> {
    left: T,
    right: Option<T>,
    #[shared(map)]
    others: BTreeMap<u8, T>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Generic {
    #[shared(nested)]
    floats: Pair<f32>,
    #[shared(nested)]
    sets: Pair<HashSet<(u8, u8)>>,
    #[shared(map(nested))]
    wide: BTreeMap<String, Pair<i128>>,
}

#[test]
fn generic_structs() {
    passes::<Generic>();
}

/// An id that is read from a text of one form alone.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(try_from = "String", into = "String")]
struct Id(String);

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let groups: Vec<usize> = text.split('-').map(str::len).collect();
        let is_hex = text.chars().all(|char| char.is_ascii_hexdigit() || char == '-');
        if groups == [8, 4, 4, 4, 12] && is_hex {
            Ok(Self(text))
        } else {
            Err("an id has 32 hexadecimal digits")
        }
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Ids {
    #[shared(list(key = id))]
    items: Vec<Identified>,
    #[shared(map)]
    by_address: BTreeMap<String, Option<IpAddr>>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Identified {
    id: Id,
    done: bool,
}

#[test]
fn ids_and_addresses_that_are_read_from_texts_are_found() {
    let most = Arc::new(AtomicUsize::new(0));
    let seen = most.clone();
    let simulation = Simulation::new(Ids::default()).invariant("seen", move |ids: &Ids| {
        let addresses = ids.by_address.values().flatten().count();
        seen.fetch_max(ids.items.len().min(addresses), AtomicOrdering::Relaxed);
        true
    });
    seeds::simulate(&simulation, 4 * SEEDS);
    assert!(seeds::given().is_some() || most.load(AtomicOrdering::Relaxed) > 1, "{most:?}");
}

/// An empty form breaks the rules that its fields have once they are filled in.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[shared(validate = Form::check)]
struct Form {
    #[shared(validate(length(min = 1, max = 20)))]
    name: String,
    #[shared(validate(range(min = 18)))]
    age: u8,
    #[shared(nested)]
    address: Address,
    agreed: bool,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Address {
    #[shared(validate(length(min = 2)))]
    street: String,
    #[shared(validate(range(min = 1000, max = 9999)))]
    code: u16,
    #[shared(text, validate(length(min = 1)))]
    note: Text,
}

impl Form {
    fn check(&self) -> Result<(), &'static str> {
        if self.agreed || self.age >= 18 { Ok(()) } else { Err("somebody must agree") }
    }
}

#[test]
fn a_first_state_that_breaks_the_rules_of_what_is_filled_in_later() {
    passes::<Form>();
}

/// Few random states satisfy these rules.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[shared(validate = Booking::check)]
struct Booking {
    #[shared(validate(range(min = 1200, max = 1240)))]
    from: u32,
    #[shared(validate(range(min = 1200, max = 1240)))]
    to: u32,
    #[shared(write = "host", validate(length(min = 3, max = 5)))]
    name: String,
    #[shared(read = "host", write = "host", validate(range(min = 7)))]
    price: u64,
    #[shared(write = "guest")]
    guests: u8,
}

impl Booking {
    fn check(&self) -> Result<(), String> {
        match self.from <= self.to && u32::from(self.guests) <= self.to - self.from {
            true => Ok(()),
            false => Err(format!("{} guests from {} to {}", self.guests, self.from, self.to)),
        }
    }
}

impl Default for Booking {
    fn default() -> Self {
        Self { from: 1200, to: 1210, name: "Anna".into(), price: 7, guests: 2 }
    }
}

#[test]
fn roles_with_rules_that_few_values_satisfy() {
    let report = passes::<Booking>();
    // Each of 20 seeds has some 60 writes of the clients.
    assert!(seeds::given().is_some() || accepted(&report) > 15 * SEEDS, "{report:?}");
    assert!(seeds::given().is_some() || report.role_changes > 0 && report.refused > 0, "{report:?}");
}
