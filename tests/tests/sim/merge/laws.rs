//! The laws that every derived struct obeys, whatever its fields: for random states, random updates and
//! random JSON.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_state::SharedState;
use shared_state::merge::{FieldPath, FieldPathBuf};
use shared_state::merge::{NestedOp, OptionalOp, Overlap, Versions};
use shared_state::proto::{WireUpdate, decode_update, encode_update};
use shared_state::schema::FieldInfo;
use shared_state::testing::{Simulation, sample_update};
use shared_state_tests::seeds;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[shared(validate = Self::narrow)]
struct Layout {
    #[shared(throttle = "50ms")]
    columns: u8,
    #[shared(counter)]
    moves: i64,
    title: Option<String>,
}

impl Layout {
    fn narrow(&self) -> Result<(), &'static str> {
        if self.columns > 200 { Err("too wide") } else { Ok(()) }
    }
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Guarded {
    #[shared(read_only)]
    owner: String,
    note: String,
}

mod reversed {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        text.chars().rev().collect::<String>().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        String::deserialize(deserializer).map(|text| text.chars().rev().collect())
    }
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Item {
    id: String,
    done: bool,
}

/// A field for each policy, and for each way in which a nested struct can be part of it.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Tree {
    #[shared(debounce = "300ms")]
    name: String,
    #[serde(with = "reversed", alias = "old~label")]
    label: String,
    #[shared(counter)]
    weight: f64,
    #[shared(counter)]
    small: u8,
    votes: BTreeMap<u8, Option<bool>>,
    #[shared(nested)]
    layout: Layout,
    #[shared(nested)]
    boxed: Box<Layout>,
    #[shared(nested)]
    optional: Option<Layout>,
    #[shared(nested)]
    optional_box: Option<Box<Layout>>,
    #[shared(nested)]
    boxed_optional: Box<Option<Layout>>,
    #[shared(nested)]
    child: Option<Box<Self>>,
    #[shared(map)]
    marks: BTreeMap<String, i8>,
    #[shared(map(nested))]
    layouts: BTreeMap<u8, Layout>,
    #[shared(set)]
    members: BTreeSet<String>,
    #[shared(list(key = id, nested))]
    items: Vec<Item>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Careful {
    #[shared(nested)]
    guarded: Option<Guarded>,
    #[shared(nested)]
    boxed: Box<Guarded>,
}

fn travelled<S: SharedState>(update: &S::Update) -> S::Update {
    let text = encode_update::<S>(update).unwrap();
    decode_update::<S>(&serde_json::from_str::<WireUpdate<'_>>(text.as_str()).unwrap()).unwrap()
}

/// Applies an update if a room would accept it.
fn accepted<S: SharedState>(state: &mut S, update: S::Update) -> Option<S::Update> {
    state.check_op(&update).ok()?;
    let inverse = state.apply(update);
    if state.check(&inverse).is_err() {
        state.apply(inverse);
        return None;
    }
    Some(inverse)
}

fn sampled<S: SharedState + Default>(rng: &mut fastrand::Rng) -> S {
    let mut state = S::default();
    for _ in 0..20 {
        if let Some(update) = sample_update(rng, &state) {
            accepted(&mut state, update);
        }
    }
    state
}

/// Checks `apply` and its inverse, the wire form, `diff`, `delta`, `copy_field`, `Clone` and `PartialEq`.
fn laws_hold<S: SharedState + Default + PartialEq + Debug>(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let start: S = sampled(&mut rng);
    let (mut state, mut track, mut inverses, mut versions) =
        (start.clone(), Versions::default(), vec![], vec![start.clone()]);
    for version in 1..40 {
        if let Some(update) = sample_update(&mut rng, &state) {
            assert_eq!(travelled::<S>(&update), update, "seed {seed}");
            assert_eq!(update.clone(), update);
            if let Some(touched) = accepted(&mut state, update) {
                S::record(&mut track, &touched, version);
                inverses.push(touched);
            }
        }
        versions.push(state.clone());
    }
    for (since, old) in versions.iter().enumerate() {
        let (mut caught_up, mut delta) = (old.clone(), Vec::new());
        state.delta(&track, since as u64, &mut delta);
        delta.iter().for_each(|update| drop(caught_up.apply(travelled::<S>(update))));
        assert_eq!(caught_up, state, "seed {seed}, since {since}");
        let mut changed = old.clone();
        let difference = S::diff(old, &state);
        assert_eq!(difference.is_empty(), *old == state, "seed {seed}, since {since}");
        difference.iter().for_each(|update| drop(changed.apply(travelled::<S>(update))));
        assert_eq!(changed, state, "seed {seed}, since {since}");
        let mut copied = old.clone();
        (0..S::FIELDS.len()).for_each(|field| copied.copy_field(&state, field));
        assert_eq!(copied, state, "seed {seed}, since {since}");
    }
    while let Some(inverse) = inverses.pop() {
        state.apply(inverse);
    }
    assert_eq!(state, start, "seed {seed}");
}

#[test]
fn the_laws_hold_for_random_states_and_updates() {
    for seed in seeds::range(300) {
        let _replay = seeds::Replay::of(seed);
        laws_hold::<Layout>(seed);
        laws_hold::<Tree>(seed);
        laws_hold::<Careful>(seed);
    }
}

#[test]
fn g1_to_g6_and_g8_hold_where_nested_structs_come_and_go() {
    seeds::simulate(&Simulation::new(Tree::default()), 150);
    seeds::simulate(&Simulation::new(Careful::default()), 100);
}

/// Any small JSON value.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c~/\\u{0}-\\u{ff}]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let names = prop_oneof![
            Just("columns"),
            Just("moves"),
            Just("title"),
            Just("name"),
            Just("layout"),
            Just("child"),
            Just(""),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.prop_map(str::to_owned), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// A path of existing names, of other names, or of both.
fn any_key() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        8 => prop::sample::select(Tree::FIELDS.iter().map(|info| info.name).collect::<Vec<_>>()).prop_map(str::to_owned),
        4 => prop::sample::select(Layout::FIELDS.iter().map(|info| info.name).collect::<Vec<_>>()).prop_map(str::to_owned),
        1 => Just("old~0label".to_owned()),
        1 => "[a-z~/0-9]{0,5}",
    ];
    prop::collection::vec(name, 0..4).prop_map(|names| names.join("/"))
}

fn any_op() -> impl Strategy<Value = Option<String>> {
    prop_oneof![3 => Just(None), 2 => Just(Some("add".to_owned())), 1 => "[a-z]{0,4}".prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn g10_no_json_makes_reading_an_update_panic(key in any_key(), op in any_op(), value in any_json()) {
        let wire = json!({ "key": key, "op": op, "value": value }).to_string();
        if let Ok(update) = serde_json::from_str::<TreeUpdate>(&wire) {
            let mut tree = Tree::default();
            let touched = tree.apply(update.clone());
            let _ = (tree.check(&update), tree.validate(), Tree::timing(&update), Tree::read_only(&update));
            prop_assert_eq!(travelled::<Tree>(&update), update);
            tree.apply(touched);
            prop_assert_eq!(tree, Tree::default());
        }
        let _ = serde_json::from_str::<TreeUpdate>(&value.to_string());
        let _ = serde_json::from_str::<TreePatch>(&value.to_string()).map(Tree::patch_updates);
        let _ = serde_json::from_value::<TreePatch>(value).map(Tree::patch_updates);
    }
}

#[test]
fn an_edit_finds_what_is_there_when_it_is_ordered() {
    let edit = || Tree::OPTIONAL.op(OptionalOp::In(NestedOp::In(Box::new(Layout::COLUMNS.set(3)))));
    let (set, none) = (Tree::OPTIONAL.set(Some(Layout::default())), Tree::OPTIONAL.set(None));
    let after = |updates: [TreeUpdate; 3]| {
        let mut tree = Tree::default();
        updates.into_iter().for_each(|update| drop(tree.apply(update)));
        tree.optional.map(|layout| layout.columns)
    };
    assert_eq!(after([set.clone(), edit(), none.clone()]), None, "the edit goes with the rest");
    assert_eq!(after([set.clone(), none.clone(), edit()]), None, "the edit finds nothing");
    assert_eq!(after([none, edit(), set]), Some(0), "what comes later is not edited");
    assert_eq!(Tree::overlap(&Tree::OPTIONAL.set(None), &edit()), Overlap::Shadowed);
    assert_eq!(Tree::overlap(&edit(), &Tree::OPTIONAL.set(None)), Overlap::Conflicts);
}

#[test]
fn a_box_is_nothing_on_the_wire_and_an_absent_struct_is_null() {
    let json = |update: &TreeUpdate| serde_json::to_value(update).unwrap();
    let inside = NestedOp::In(Box::new(Layout::COLUMNS.set(3)));
    assert_eq!(json(&Tree::BOXED.op(inside.clone())), json!({ "key": "boxed/columns", "value": 3 }));
    let optional_box = Tree::OPTIONAL_BOX.op(OptionalOp::In(inside.clone()));
    assert_eq!(json(&optional_box), json!({ "key": "optional_box/columns", "value": 3 }));
    let boxed_optional = Tree::BOXED_OPTIONAL.op(OptionalOp::In(inside));
    assert_eq!(json(&boxed_optional), json!({ "key": "boxed_optional/columns", "value": 3 }));
    assert_eq!(json(&Tree::CHILD.set(None)), json!({ "key": "child", "value": null }));
    let deep = Tree::CHILD.op(OptionalOp::In(NestedOp::In(Box::new(
        Tree::WEIGHT.op(shared_state::merge::CounterOp::Add(1.0)),
    ))));
    assert_eq!(json(&deep), json!({ "key": "child/weight", "op": "add", "value": 1.0 }));
}

#[test]
fn an_optional_struct_is_checked_while_it_is_there() {
    let wide = Layout { columns: 201, ..Layout::default() };
    let mut tree = Tree { optional: Some(wide.clone()), ..Tree::default() };
    let refused = "optional: too wide";
    assert_eq!(tree.check(&Tree::OPTIONAL.set(None)).unwrap_err().to_string(), refused);
    assert_eq!(tree.validate().unwrap_err().to_string(), refused);
    assert_eq!(tree.check_rule().unwrap_err().to_string(), refused);
    tree.optional = None;
    assert_eq!(tree.validate(), Ok(()));
    tree.child = Some(Box::new(Tree { boxed_optional: Box::new(Some(wide)), ..Tree::default() }));
    assert_eq!(tree.validate().unwrap_err().to_string(), "child/boxed_optional: too wide");
    const { assert!(Tree::HAS_RULE) };
}

#[test]
fn a_struct_with_a_part_that_only_the_server_writes_is_the_servers_to_put_and_to_remove() {
    assert!(Careful::read_only(&Careful::GUARDED.set(None)));
    assert!(Careful::read_only(&Careful::GUARDED.set(Some(Guarded::default()))));
    assert!(Careful::read_only(&Careful::BOXED.set(Box::default())));
    let inside = |update| OptionalOp::In(NestedOp::In(Box::new(update)));
    assert!(Careful::read_only(&Careful::GUARDED.op(inside(Guarded::OWNER.set("me".into())))));
    assert!(!Careful::read_only(&Careful::GUARDED.op(inside(Guarded::NOTE.set("mine".into())))));
    assert!(!Tree::read_only(&Tree::CHILD.set(None)), "and a struct inside itself is searched once");
}

#[test]
fn the_parts_of_an_optional_struct_are_described() {
    let names =
        |info: &FieldInfo| info.parts.map(|parts| parts().iter().map(|info| info.name).collect::<Vec<_>>());
    let layout = Some(vec!["columns", "moves", "title"]);
    for field in [Tree::BOXED.id(), Tree::OPTIONAL.id(), Tree::OPTIONAL_BOX.id(), Tree::BOXED_OPTIONAL.id()] {
        assert_eq!(names(&Tree::FIELDS[field]), layout);
        assert_eq!(Tree::FIELDS[field].policy, "nested");
    }
    assert!(Tree::decode(FieldPath::new("child/child/name"), None, Value::from("deep")).is_ok());
    let mut path = FieldPathBuf::new();
    let deep = Tree::decode(FieldPath::new("child/child/name"), None, Value::from("deep")).unwrap();
    assert_eq!((Tree::address(&deep, &mut path), path.as_str()), (None, "child/child/name"));
}
