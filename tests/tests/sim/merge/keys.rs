//! Keys of maps and lists and members of sets, of every type that JSON takes as a key, with a server that has the
//! struct and with one that has not.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::hash::{Hash, Hasher};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared_state::merge::{Backend as _, FieldPath};
use shared_state::proto::WireUpdate;
use shared_state::{List, SharedState, WriteError};
use shared_state_tests::World;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    #[shared(list(key = card_id))]
    cards: Vec<Card>,
    #[shared(list(key = card_id, nested))]
    nested: Vec<NestedCard>,
    #[shared(map(list(key = r#type)))]
    by_kind: BTreeMap<String, Vec<Raw>>,
    #[shared(list(key = key))]
    flat: List<Flat>,
    #[shared(list(key = id))]
    twice_named: Vec<TwiceNamed>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
struct Card {
    card_id: u32,
    parent_id: u32,
    due: Option<Date>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(try_from = "String")]
struct Date(String);

impl TryFrom<String> for Date {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.len() == 10 { Ok(Self(text)) } else { Err("no date") }
    }
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct NestedCard {
    #[serde(rename = "_id")]
    card_id: String,
    #[serde(rename = "card_id")]
    title: String,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct Raw {
    r#type: u8,
    of: u8,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Flat {
    #[serde(flatten)]
    card: Card,
    #[serde(rename = "$key")]
    key: String,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all(serialize = "UPPERCASE", deserialize = "lowercase"))]
struct TwiceNamed {
    #[serde(alias = "ID")]
    id: u8,
    #[serde(alias = "N")]
    n: u8,
}

#[test]
fn a_list_is_keyed_by_the_name_in_its_items_json() {
    for mut world in [World::untyped(Board::default()), World::new(Board::default())] {
        let [ann, bob] = [world.join(), world.join()];
        let (a, b) = (ann.handle(), bob.handle());
        a.cards().push(Card { card_id: 7, parent_id: 1, due: None }).unwrap();
        b.cards().push(Card { card_id: 8, parent_id: 7, due: None }).unwrap();
        a.nested().push(NestedCard { card_id: "x".into(), title: "y".into() }).unwrap();
        b.nested().push(NestedCard { card_id: "y".into(), title: "x".into() }).unwrap();
        a.by_kind().put("k".into(), vec![Raw { r#type: 2, of: 1 }, Raw { r#type: 1, of: 2 }]).unwrap();
        a.flat().push(Flat { card: Card { card_id: 1, ..Card::default() }, key: "1".into() }).unwrap();
        a.twice_named().push(TwiceNamed { id: 3, n: 4 }).unwrap();
        a.twice_named().push(TwiceNamed { id: 4, n: 3 }).unwrap();
        world.settle();
        b.cards().edit(&7, |card| card.due = Some(Date("2000-01-01".into()))).unwrap();
        a.nested().edit(&"y", |card| card.title = "z".into()).unwrap();
        b.by_kind().edit(&"k".into(), |list| list[1].of = 9).unwrap();
        b.flat().edit(&"1", |item| item.card.parent_id = 5).unwrap();
        b.twice_named().move_to(&4, 0).unwrap();
        world.settle();
        let state = ann.state();
        assert_eq!(state, bob.state());
        assert_eq!(state.cards.iter().map(|card| card.card_id).collect::<Vec<_>>(), [7, 8]);
        assert!(state.cards[0].due.is_some());
        assert_eq!(state.nested.iter().map(|card| card.title.as_str()).collect::<Vec<_>>(), ["y", "z"]);
        assert_eq!(state.by_kind["k"].iter().map(|raw| raw.of).collect::<Vec<_>>(), [1, 9]);
        assert_eq!(state.flat.iter().map(|flat| flat.card.parent_id).collect::<Vec<_>>(), [5]);
        assert_eq!(state.twice_named.iter().map(|item| item.id).collect::<Vec<_>>(), [4, 3]);
        assert_eq!(world.join().state(), state);
    }
}

#[test]
fn the_schema_has_the_name_in_the_json() {
    let schema = shared_state::schema::Schema::of::<Board>();
    let policy = |field: &str| schema.schema.fields[field].policy.clone();
    assert_eq!(policy("cards"), "list(cardId)");
    assert_eq!(policy("nested"), "list(_id, nested)");
    assert_eq!(policy("by_kind"), "map(list(TYPE))");
    assert_eq!(policy("flat"), "list($key)");
    assert_eq!(policy("twice_named"), "list(ID)");
}

/// A list, a map and a set by `K`.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Keyed<K: Ord + Hash> {
    #[shared(list(key = key))]
    list: Vec<Item<K>>,
    #[shared(map)]
    map: BTreeMap<K, u8>,
    #[shared(map(counter))]
    counts: HashMap<K, i64>,
    #[shared(set)]
    set: BTreeSet<K>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Item<K> {
    key: K,
    n: u8,
}

impl<K: Ord + Hash> Default for Keyed<K> {
    fn default() -> Self {
        Self { list: Vec::new(), map: BTreeMap::new(), counts: HashMap::new(), set: BTreeSet::new() }
    }
}

/// A float that is ordered and hashed by its bits, which are not negative here.
#[derive(Serialize, Deserialize, Clone, Copy, Debug)]
#[serde(transparent)]
struct Float(f64);

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Float {}

impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Float {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Hash for Float {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "kebab-case")]
enum Seat {
    NorthEast,
    South,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Id(u128);

fn works<K>(one: K, other: K)
where
    K: Ord + Hash + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    for mut world in [World::untyped(Keyed::<K>::default()), World::new(Keyed::<K>::default())] {
        let [ann, bob] = [world.join(), world.join()];
        let (a, b) = (ann.handle(), bob.handle());
        for key in [&one, &other] {
            a.list().push(Item { key: key.clone(), n: 0 }).unwrap();
            a.map().put(key.clone(), 0).unwrap();
            a.set().insert(key.clone()).unwrap();
            b.counts().add(key.clone(), 3).unwrap();
        }
        world.settle();
        b.list().edit(&other, |item| item.n = 1).unwrap();
        b.list().move_to(&other, 0).unwrap();
        b.map().put(one.clone(), 5).unwrap();
        b.map().remove(&other).unwrap();
        b.set().remove(&one).unwrap();
        a.counts().add(other.clone(), 4).unwrap();
        world.settle();
        let state = ann.state();
        assert_eq!(state, bob.state(), "{one:?}");
        let items = [(other.clone(), 1), (one.clone(), 0)];
        assert_eq!(state.list.into_iter().map(|item| (item.key, item.n)).collect::<Vec<_>>(), items);
        assert_eq!(state.map, BTreeMap::from([(one.clone(), 5)]));
        assert_eq!(state.counts, HashMap::from([(one.clone(), 3), (other.clone(), 7)]));
        assert_eq!(state.set, BTreeSet::from([other.clone()]));
        world.restart();
        assert_eq!(world.join().state().set, state.set);
    }
}

#[test]
fn whatever_json_takes_as_a_key_is_one() {
    works(1_u8, 200);
    works(u64::MAX, 0);
    works(u128::MAX, u128::MAX - 1);
    works(i128::MIN, i128::MIN + 1);
    works(Id(u128::MAX), Id(7));
    works(true, false);
    works('a', 'ü');
    works(Float(1.5), Float(1e300));
    works(Float(2.0), Float(0.1));
    works(Seat::NorthEast, Seat::South);
    works(String::from("a/b~"), String::new());
}

#[test]
fn g15_what_cannot_be_a_key_is_refused_with_the_reason() {
    let mut world = World::new(Keyed::<(u8, u8)>::default());
    let ann = world.join();
    let doc = ann.handle();
    let reason = |refused: Result<_, WriteError>| refused.unwrap_err().to_string();
    for refused in [
        reason(doc.map().put((1, 2), 3)),
        reason(doc.map().remove(&(1, 2))),
        reason(doc.counts().add((1, 2), 3)),
        reason(doc.list().push(Item { key: (1, 2), n: 0 })),
    ] {
        assert!(refused.contains("a key is a string, a finite number"), "{refused}");
    }
    doc.set().insert((1, 2)).unwrap();
    world.settle();
    assert_eq!(world.join().state().set.len(), 1);
    let mut world = World::new(Keyed::<Option<u8>>::default());
    let ann = world.join();
    assert!(reason(ann.handle().map().put(None, 3)).contains("a key is a string"));
    ann.handle().map().put(Some(1), 3).unwrap();
    world.settle();
    assert_eq!(world.join().state().map.len(), 1);
}

#[test]
fn g10_what_is_left_over_after_a_number_is_an_error() {
    #[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
    struct Wide {
        low: i128,
        high: Option<u128>,
    }
    for (key, value) in [("low", "0.5"), ("low", "1e3"), ("high", "10.0"), ("high", "-0.5")] {
        let update = format!(r#"{{"key":"{key}","value":{value}}}"#);
        let read: Result<WideUpdate, _> = serde_json::from_str(&update);
        assert!(read.is_err(), "{update}");
    }
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Nest {
    #[shared(map(list(key = key)))]
    lanes: BTreeMap<String, Vec<Tagged>>,
    #[shared(nested)]
    inside: Inside,
    #[shared(nested)]
    maybe: Option<Inside>,
    #[shared(list(key = id, nested))]
    items: Vec<Inside>,
    #[shared(map(nested))]
    by_name: BTreeMap<String, Inside>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Inside {
    id: u32,
    #[shared(list(key = key))]
    flat: List<Tagged>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Tagged {
    key: String,
    v: u32,
}

#[test]
fn g1_no_value_with_two_items_of_one_key_is_put_anywhere_not_even_for_a_moment() {
    let twice = r#"[{"key":"a","v":1},{"key":"a","v":2}]"#;
    let inside = format!(r#"{{"id":1,"flat":{twice}}}"#);
    let set = |key: &str, value: &str| format!(r#"{{"key":"{key}","value":{value}}}"#);
    let item = format!(r#"{{"key":"items","op":"insert","value":{{"item":{inside}}}}}"#);
    // What puts two items, and where the rest of the change removes one.
    let puts = [
        (set("lanes/x", twice), "lanes/x/a"),
        (set("lanes", &format!(r#"{{"x":{twice}}}"#)), "lanes/x/a"),
        (set("inside", &inside), "inside/flat/a"),
        (set("inside/flat", twice), "inside/flat/a"),
        (set("maybe", &inside), "maybe/flat/a"),
        (set("items", &format!("[{inside}]")), "items/1/flat/a"),
        (item, "items/1/flat/a"),
        (set("by_name/x", &inside), "by_name/x/flat/a"),
        (set("by_name", &format!(r#"{{"x":{inside}}}"#)), "by_name/x/flat/a"),
    ];
    for (put, removed) in puts {
        let mut world = World::new(Nest::default());
        let session = world.connect("raw");
        let change = format!(r#"[{put},{{"key":"{removed}","op":"delete","value":null}}]"#);
        assert!(!world.submit(session, 1, &change), "{change}");
        assert_eq!(world.state(), Nest::default(), "{change}");
        let ann = world.join();
        world.settle();
        let updates: Vec<WireUpdate<'_>> = serde_json::from_str(&change).unwrap();
        let updates = updates.iter().map(|update| {
            let op = update.op.as_deref();
            Nest::decode(FieldPath::new(&update.key), op, update.value).unwrap()
        });
        let refused = ann.write_with(|_| updates.collect()).map(drop);
        assert!(matches!(refused, Err(WriteError::Invalid(_))), "{refused:?}");
    }
}
