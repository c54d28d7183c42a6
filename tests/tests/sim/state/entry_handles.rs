//! The handles of lists and maps, wherever their field is and whatever attributes it has.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_state::merge::Value;
use shared_state::merge::{ListOp, MapOp, NestedOp, OptionalOp, Place};
use shared_state::proto::Code;
use shared_state::schema::Timing;
use shared_state::{SharedState, WriteError};
use shared_state_tests::{User, World};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Task {
    id: u32,
    #[shared(validate(length(max = 8)))]
    title: String,
    #[shared(counter)]
    votes: i64,
}

/// A panel that may be boxed or absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Panel {
    #[shared(list(key = id, nested))]
    tasks: Vec<Task>,
    #[shared(map(counter))]
    tally: BTreeMap<String, i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Office {
    #[shared(nested)]
    first: Panel,
    #[shared(nested)]
    boxed: Box<Panel>,
    #[shared(nested)]
    second: Option<Box<Panel>>,
}

fn task(id: u32) -> Task {
    Task { id, title: "x".into(), ..Task::default() }
}

fn taken<S: SharedState>(user: &User<S>) {
    let answers = user.answers();
    assert!(!answers.is_empty() && answers.iter().all(|(_, answer)| answer.is_ok()), "{answers:?}");
}

fn broken<T>(written: Result<T, WriteError>) -> (String, &'static str) {
    match written {
        Err(WriteError::Invalid(invalid)) => (invalid.field, invalid.rule),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was taken"),
    }
}

#[test]
fn handles_in_a_struct_in_a_struct_write_entry_by_entry() {
    let mut world = World::new(Office::default());
    let (ann, bob) = (world.join(), world.join());
    for panel in [ann.handle().first().tasks(), ann.handle().boxed().tasks()] {
        panel.push(task(1)).unwrap();
        panel.push(task(2)).unwrap();
    }
    ann.handle().boxed().tally().add("yes".into(), 2).unwrap();
    world.settle();
    // Two users change the same list and the same item concurrently.
    ann.handle().boxed().tasks().edit(&1, |task| task.votes += 1).unwrap();
    bob.handle().boxed().tasks().edit(&1, |task| task.votes += 2).unwrap();
    bob.handle().boxed().tasks().move_to(&2, 0).unwrap();
    bob.handle().boxed().tally().add("yes".into(), 3).unwrap();
    world.settle();
    taken(&ann);
    taken(&bob);
    let boxed = world.state().boxed;
    assert_eq!(boxed.tasks.iter().map(|task| (task.id, task.votes)).collect::<Vec<_>>(), [(2, 0), (1, 3)]);
    assert_eq!((ann.handle().boxed().tally().entry(&"yes".into()), boxed.tally["yes"]), (Some(5), 5));
    assert_eq!(
        broken(ann.handle().boxed().tasks().edit(&1, |task| task.title = "far too long".into())),
        ("boxed/tasks/1/title".to_owned(), "length")
    );
}

#[test]
fn entries_in_a_struct_that_may_be_absent_are_written_while_it_is_there() {
    let mut world = World::new(Office::default());
    let (ann, bob) = (world.join(), world.join());
    let push = |id| Panel::TASKS.op(ListOp::Insert(Place::End, task(id)));
    ann.handle().edit_second(push(1)).unwrap();
    world.settle();
    taken(&ann);
    assert_eq!(world.state().second, None);
    ann.handle().set_second(Some(Box::default())).unwrap();
    world.settle();
    ann.handle().edit_second(push(2)).unwrap();
    bob.handle().edit_second(push(3)).unwrap();
    bob.handle().edit_second(Panel::TALLY.op(MapOp::Put("no".into(), 4))).unwrap();
    world.settle();
    let second = *world.state().second.unwrap();
    assert_eq!(second.tasks.iter().map(|task| task.id).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(second.tally["no"], 4);
    // An edit of a value that another user removes concurrently does nothing, in either order.
    ann.handle().set_second(None).unwrap();
    bob.handle().edit_second(Panel::TASKS.op(ListOp::Delete("2".into()))).unwrap();
    world.settle();
    taken(&ann);
    taken(&bob);
    assert_eq!(world.state().second, None);
    // A rule of an item reports the item's path.
    bob.handle().set_second(Some(Box::new(Panel { tasks: vec![task(1)], ..Panel::default() }))).unwrap();
    let long = Task::TITLE.set("far too long".into());
    let edit = Panel::TASKS.op(ListOp::In("1".into(), NestedOp::In(Box::new(long))));
    assert_eq!(broken(bob.handle().edit_second(edit)), ("second/tasks/1/title".to_owned(), "length"));
}

/// The items' type is the struct's type parameter, or contains it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
#[serde(bound(deserialize = "T: Value, N: SharedState + Value"))]
struct Shelf<T, N> {
    #[shared(list(key = id))]
    boxes: Vec<Item<T>>,
    #[shared(map(nested))]
    labels: BTreeMap<u8, N>,
    #[shared(nested)]
    maybe: Option<N>,
    value: T,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Value"))]
struct Item<T> {
    id: u32,
    value: T,
}

#[test]
fn handles_in_a_generic_struct_know_its_parameters() {
    let mut world = World::new(Shelf::<char, Task> {
        boxes: Vec::new(),
        labels: BTreeMap::new(),
        maybe: Some(task(1)),
        value: 'a',
    });
    let (ann, bob) = (world.join(), world.join());
    let shelf = ann.handle();
    shelf.boxes().push(Item { id: 1, value: 'x' }).unwrap();
    shelf.boxes().push(Item { id: 2, value: 'y' }).unwrap();
    shelf.labels().put(7, task(7)).unwrap();
    world.settle();
    shelf.labels().edit(&7, |task| task.votes += 1).unwrap();
    bob.handle().labels().edit(&7, |task| task.title = "y".into()).unwrap();
    bob.handle().boxes().edit(&2, |item| item.value = 'z').unwrap();
    ann.handle().edit_maybe(Task::TITLE.set("z".into())).unwrap();
    world.settle();
    taken(&ann);
    taken(&bob);
    let state = world.state();
    assert_eq!((&*state.labels[&7].title, state.labels[&7].votes), ("y", 1));
    assert_eq!((state.boxes[1].value, &*state.maybe.unwrap().title), ('z', "z"));
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Paper {
    id: u32,
    title: String,
    #[shared(read_only)]
    seen: u64,
}

fn paper(id: u32) -> Paper {
    Paper { id, ..Paper::default() }
}

/// Every attribute that a field with entries can have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Desk {
    #[shared(list(key = id, nested), debounce = "300ms")]
    drafts: Vec<Paper>,
    #[shared(map, throttle = "1s")]
    places: BTreeMap<String, u8>,
    #[shared(list(key = id, nested), read_only)]
    archive: Vec<Task>,
    #[shared(map, read_only)]
    totals: BTreeMap<String, u8>,
    #[shared(map, validate(length(max = 2), inner(range(max = 9))))]
    scores: BTreeMap<String, u8>,
    #[shared(list(key = id), validate(dive))]
    plain: Vec<Task>,
    #[shared(list(key = id, nested), validate(length(max = 2), dive))]
    nested: Vec<Task>,
    #[shared(set, validate(inner(length(max = 3))))]
    tags: BTreeSet<String>,
}

#[test]
fn a_handle_keeps_to_its_fields_timing() {
    let mut world = World::new(Desk::default());
    let (ann, bob) = (world.join(), world.join());
    let debounce = Timing::debounce(300, 3000);
    let insert = Desk::DRAFTS.op(ListOp::Insert(Place::End, paper(1)));
    // An update inside an item has the timing of its own field.
    let edit = Desk::DRAFTS.op(ListOp::In("1".into(), NestedOp::In(Box::new(Paper::TITLE.set("y".into())))));
    assert_eq!((Desk::timing(&insert), Desk::timing(&edit)), (debounce, Timing::IMMEDIATE));
    let put = Desk::PLACES.op(MapOp::Put("a".into(), 1));
    assert_eq!(Desk::timing(&put), Timing::Throttle { every: Duration::from_secs(1) });

    ann.handle().drafts().push(paper(1)).unwrap();
    world.deliver();
    assert_eq!((ann.handle().drafts().len(), bob.handle().drafts().len()), (1, 0));
    ann.flush();
    world.settle();
    assert_eq!(bob.handle().drafts().len(), 1);
    // The first put is sent at once, the following ones wait, and the last one of an entry replaces the
    // others.
    for place in 1..=3 {
        ann.handle().places().put("a".into(), place).unwrap();
    }
    world.deliver();
    assert_eq!(bob.handle().places().entry(&"a".into()), Some(1));
    ann.flush();
    world.settle();
    assert_eq!(bob.handle().places().entry(&"a".into()), Some(3));
    taken(&ann);
}

#[test]
fn a_handle_of_what_only_the_server_writes_reads() {
    let mut world = World::new(Desk { archive: vec![task(1)], ..Desk::default() });
    let user = world.join();
    let desk = user.handle();
    assert_eq!(desk.archive().item(&1), Some(task(1)));
    let refused = |written: Result<_, WriteError>| match written {
        Err(WriteError::ReadOnly { field }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(desk.archive().push(task(2))), "archive");
    assert_eq!(refused(desk.archive().edit(&1, |task| task.title = "y".into())), "archive");
    assert_eq!(refused(desk.archive().set(Vec::new())), "archive");
    assert_eq!(refused(desk.totals().put("a".into(), 1)), "totals");
    // A read-only field inside an item is refused too; its neighbours are not.
    desk.drafts().push(paper(1)).unwrap();
    assert_eq!(refused(desk.drafts().edit(&1, |paper| paper.seen = 1)), "drafts");
    desk.drafts().edit(&1, |paper| paper.title = "y".into()).unwrap();
    world.write(r#"[{"key":"archive/1/title","value":"z"},{"key":"totals/a","value":3}]"#);
    user.flush();
    world.settle();
    assert_eq!((&*desk.archive().item(&1).unwrap().title, desk.totals().entry(&"a".into())), ("z", Some(3)));
    taken(&user);
}

#[test]
fn a_handle_keeps_to_the_rules_over_its_entries() {
    let mut world = World::new(Desk::default());
    let (ann, bob) = (world.join(), world.join());
    let desk = ann.handle();
    assert_eq!(broken(desk.scores().put("a".into(), 10)), ("scores".to_owned(), "range"));
    desk.scores().put("a".into(), 9).unwrap();
    assert_eq!(broken(desk.scores().edit(&"a".into(), |score| *score += 1)), ("scores".to_owned(), "range"));
    assert_eq!(broken(desk.tags().insert("long".into())), ("tags".to_owned(), "length"));
    let long = Task { title: "far too long".into(), ..task(1) };
    assert_eq!(broken(desk.plain().push(long.clone())).1, "length");
    desk.plain().push(task(1)).unwrap();
    assert_eq!(broken(desk.plain().edit(&1, |task| task.title = long.title.clone())).1, "length");
    // In a list of nested items the item that changed is checked and named.
    desk.nested().push(task(1)).unwrap();
    desk.nested().push(task(2)).unwrap();
    let lengthened = desk.nested().edit(&2, |task| task.title = long.title.clone());
    assert_eq!(broken(lengthened), ("nested/2/title".to_owned(), "length"));
    assert_eq!(broken(desk.nested().push(task(3))), ("nested".to_owned(), "length"));
    world.settle();
    taken(&ann);
    // Each write is valid alone; the room decides.
    desk.scores().put("b".into(), 1).unwrap();
    bob.handle().scores().put("c".into(), 1).unwrap();
    world.settle();
    taken(&ann);
    let (_, answer) = bob.answers().pop().unwrap();
    let reason = answer.unwrap_err().0;
    assert_eq!((reason.code, reason.field.as_deref()), (Code::Invalid, Some("scores")));
    assert_eq!(bob.handle().scores().len(), 2);
}

#[test]
fn an_optional_operation_is_the_inner_one() {
    let update = OfficeUpdate::Second(OptionalOp::In(NestedOp::In(Box::new(
        Panel::TASKS.op(ListOp::Delete("1".into())),
    ))));
    let json = serde_json::to_string(&update).unwrap();
    assert_eq!(json, r#"{"key":"second/tasks/1","op":"delete","value":null}"#);
    assert_eq!(serde_json::from_str::<OfficeUpdate>(&json).unwrap(), update);
}
