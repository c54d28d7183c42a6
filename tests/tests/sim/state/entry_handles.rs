//! The handles of lists and maps, wherever their field is and whatever attributes it has.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_state::merge::Value;
use shared_state::merge::{ListOp, MapOp, NestedOp, OptionalOp, Place};
use shared_state::proto::Code;
use shared_state::schema::Timing;
use shared_state::{SharedState, Text, WriteError};
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
    let gone = ann.handle().edit_second(push(1));
    assert!(matches!(gone, Err(WriteError::Gone { path }) if &*path == "second"));
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
    taken(&bob);
    // An edit of a value that another user removes concurrently does nothing, and says so if it comes second.
    ann.handle().set_second(None).unwrap();
    bob.handle().edit_second(Panel::TASKS.op(ListOp::Delete("2".into()))).unwrap();
    world.settle();
    taken(&ann);
    let answers = bob.answers();
    assert_eq!(answers[0].1.as_ref().unwrap_err().code(), Code::Gone);
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

/// Lists and maps in entries of lists and maps, and what each policy makes of an entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Building {
    #[shared(list(key = id, nested))]
    floors: Vec<Floor>,
    #[shared(map(list(key = id, nested)))]
    lists: BTreeMap<String, Vec<Task>>,
    #[shared(map(text))]
    texts: BTreeMap<u8, Text>,
    #[shared(map(map(set)))]
    seats: BTreeMap<u8, BTreeMap<bool, BTreeSet<u8>>>,
    #[shared(nested)]
    inner: Inner,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Inner {
    #[shared(map(nested))]
    floors: BTreeMap<u8, Floor>,
}

/// No `Default`: the empty value of an absent entry is made without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Room {
    name: String,
    size: u8,
    kind: Kind,
    #[shared(text)]
    sign: Text,
    #[shared(list(key = id, nested))]
    tasks: Vec<Task>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Office,
    Hall,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Floor {
    id: u8,
    title: String,
    #[shared(map(nested))]
    rooms: BTreeMap<String, Room>,
    #[shared(nested)]
    panel: Panel,
}

fn room() -> Room {
    Room { name: "x".into(), size: 1, kind: Kind::Hall, sign: Text::default(), tasks: Vec::new() }
}

#[test]
fn a_handle_reaches_into_entries_at_any_depth() {
    let mut world = World::new(Building::default());
    let (ann, bob) = (world.join(), world.join());
    let building = ann.handle();
    building.floors().push(Floor { id: 7, ..Floor::default() }).unwrap();
    building.inner().floors().put(8, Floor::default()).unwrap();
    let floors = [building.floors().at(&7), building.floors().at(&7)];
    floors[0].set_title("ground").unwrap();
    floors[1].rooms().put("a/b".into(), room()).unwrap();
    world.settle();
    let theirs = bob.handle().floors().at(&7).rooms().at(&"a/b".into());
    assert_eq!((theirs.name(), theirs.size(), theirs.kind()), ("x".to_owned(), 1, Kind::Hall));
    theirs.set_size(4).unwrap();
    theirs.sign().push("exit").unwrap();
    theirs.tasks().push(task(1)).unwrap();
    theirs.tasks().at(&1).add_votes(2).unwrap();
    theirs.merge(RoomPatch { kind: Some(Kind::Office), ..RoomPatch::default() }).unwrap();
    building.floors().at(&7).panel().tally().add("yes".into(), 2).unwrap();
    building.inner().floors().at(&8).panel().tasks().push(task(2)).unwrap();
    building.inner().floors().at(&8).rooms().put("c".into(), room()).unwrap();
    building.inner().floors().at(&8).rooms().at(&"c".into()).set_name("y").unwrap();
    building.lists().at(&"new".into()).push(task(3)).unwrap();
    building.lists().at(&"new".into()).at(&3).set_title("y").unwrap();
    building.texts().at(&1).push("hello").unwrap();
    building.seats().at(&1).at(&true).insert(9).unwrap();
    building.floors().at(&7).panel().tally().at(&"yes".into()).add(3).unwrap();
    building.floors().at(&7).rooms().at(&"new".into()).replace(room()).unwrap();
    world.settle();
    taken(&ann);
    taken(&bob);
    let state = world.state();
    let here = &state.floors[0].rooms["a/b"];
    assert_eq!((here.size, here.kind, here.sign.as_str()), (4, Kind::Office, "exit"));
    assert_eq!((here.tasks[0].votes, state.floors[0].panel.tally["yes"]), (2, 5));
    assert!(state.floors[0].rooms.contains_key("new"));
    assert_eq!(&*state.floors[0].title, "ground");
    let upper = &state.inner.floors[&8];
    assert_eq!((upper.panel.tasks[0].id, &*upper.rooms["c"].name), (2, "y"));
    assert_eq!((&*state.lists["new"][0].title, state.texts[&1].as_str()), ("y", "hello"));
    assert!(state.seats[&1][&true].contains(&9));
    assert_eq!((ann.state(), bob.state()), (state.clone(), state));
    // A rule of an entry reports its path.
    let long = building.lists().at(&"new".into()).at(&3).set_title("far too long");
    assert_eq!(broken(long), ("lists/new/3/title".to_owned(), "length"));
}

#[test]
fn a_handle_of_an_absent_entry_reads_as_empty_and_refuses_writes() {
    let mut world = World::new(Building::default());
    let building = world.join().handle();
    world.settle();
    let floor = building.floors().at(&7);
    assert!(!floor.exists() && floor.try_read(|floor| floor.id).is_none());
    assert_eq!((floor.id(), floor.title(), floor.rooms().len()), (7, String::new(), 0));
    let absent = floor.rooms().at(&"a".into());
    assert_eq!((absent.kind(), absent.sign().len(), absent.tasks().is_empty()), (Kind::Office, 0, true));
    assert!(building.lists().at(&"new".into()).is_empty() && building.texts().at(&1).is_empty());
    let gone = |written: Result<_, WriteError>| match written {
        Err(WriteError::Gone { path }) => path.into_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(gone(floor.set_title("x")), "floors/7");
    assert_eq!(gone(floor.panel().tasks().push(task(1))), "floors/7");
    assert_eq!(gone(floor.update(|floor| floor.title.push('x'))), "floors/7");
    assert_eq!(gone(absent.sign().push("x")), "floors/7");
    assert_eq!(gone(building.floors().at(&1.5).set_title("x")), "floors/1.5");
    building.floors().push(Floor { id: 7, ..Floor::default() }).unwrap();
    // The same handle, now that the entry is there.
    floor.set_title("x").unwrap();
    assert_eq!(gone(absent.set_size(1)), "floors/7/rooms/a");
    assert_eq!(gone(building.lists().at(&"new".into()).at(&1).set_title("x")), "lists/new/1");
    building.floors().remove(&7).unwrap();
    assert_eq!((floor.exists(), floor.title()), (false, String::new()));
}

#[test]
fn each_write_in_an_entry_is_the_smallest_operation() {
    let mut world = World::new(Building {
        floors: vec![Floor { id: 7, rooms: BTreeMap::from([("a".into(), room())]), ..Floor::default() }],
        ..Building::default()
    });
    let (ann, bob) = (world.join(), world.join());
    world.settle();
    let _ = (ann.traffic(), bob.traffic());
    ann.handle().floors().at(&7).rooms().at(&"a".into()).set_size(9).unwrap();
    world.settle();
    let ((_, sent), (received, _)) = (ann.traffic(), bob.traffic());
    assert!(sent < 160 && received < 160, "{sent} sent, {received} received");
}
