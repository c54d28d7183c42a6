//! Typed clients in an untyped room: the server applies the same operations to JSON.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use shared_state::Backend as _;
use shared_state::proto::Code;
use shared_state::testing::sample_update;
use shared_state::{List, SharedState};
use shared_state_tests::{User, World, seeds};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    title: String,
    #[shared(counter)]
    views: u8,
    #[shared(list(key = id, nested))]
    todos: List<Todo>,
    #[shared(map(counter))]
    tally: BTreeMap<String, i8>,
    #[shared(map(list(key = id, nested)))]
    lanes: BTreeMap<String, Vec<Card>>,
    #[shared(set)]
    tags: BTreeSet<u8>,
    #[shared(nested)]
    layout: Layout,
    #[shared(list(key = id, nested))]
    sparse: Vec<Sparse>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Todo {
    id: u8,
    title: String,
    #[shared(counter)]
    votes: i16,
    #[shared(set)]
    labels: BTreeSet<String>,
    #[shared(list(key = name, nested))]
    parts: List<Part>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Part {
    #[serde(rename = "_name")]
    name: String,
    #[shared(counter)]
    count: u8,
    #[shared(map(list(key = id)))]
    notes: BTreeMap<String, Vec<Note>>,
}

/// What is left out of the JSON of an item, because it is empty or none.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Sparse {
    id: u8,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[shared(list(key = id))]
    notes: Vec<Note>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[shared(map(counter))]
    tally: BTreeMap<String, i8>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[shared(set)]
    labels: BTreeSet<String>,
    #[shared(nested)]
    extra: Option<Layout>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Note {
    id: u8,
    text: String,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Layout {
    columns: u8,
    #[shared(counter)]
    moves: i8,
    #[shared(set)]
    open: BTreeSet<u8>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Card {
    id: u8,
    title: String,
}

fn todo(id: u8) -> Todo {
    Todo { id, ..Todo::default() }
}

#[test]
fn the_operations_of_every_policy_are_taken_once_they_are_declared() {
    let mut world = World::untyped(Board::default());
    let [ann, bob] = [world.join(), world.join()];
    let (a, b) = (ann.handle(), bob.handle());
    a.todos().push(todo(1)).unwrap();
    b.todos().push(todo(2)).unwrap();
    a.add_views(200).unwrap();
    b.add_views(100).unwrap();
    a.tally().add("x".into(), 3).unwrap();
    b.tally().add("x".into(), 4).unwrap();
    a.lanes().put("l".into(), vec![Card { id: 7, ..Card::default() }]).unwrap();
    a.layout().open().insert(3).unwrap();
    b.layout().add_moves(5).unwrap();
    world.settle();
    a.todos().move_to(&2, 0).unwrap();
    b.todos().edit(&2, |todo| todo.votes += 9).unwrap();
    b.lanes().edit(&"l".into(), |lane| lane[0].title = "x".into()).unwrap();
    world.settle();
    let state = bob.state();
    assert_eq!(state.todos.iter().map(|todo| (todo.id, todo.votes)).collect::<Vec<_>>(), [(2, 9), (1, 0)]);
    assert_eq!((state.views, state.tally["x"], state.layout.moves), (255, 7, 5));
    assert_eq!((state.lanes["l"][0].title.as_str(), state.layout.open.len()), ("x", 1));
    world.restart();
    ann.come_back();
    let carol = world.join();
    a.todos().remove(&1).unwrap();
    world.settle();
    assert_eq!(carol.state().todos.len(), 1);
    assert_eq!(carol.state().lanes, state.lanes);
}

#[test]
fn lists_inside_items_are_taken_at_any_depth_that_is_declared() {
    let mut world = World::untyped(Board::default());
    let [ann, bob] = [world.join(), world.join()];
    let (a, b) = (ann.handle(), bob.handle());
    let part = |name: &str| Part { name: name.to_owned(), ..Part::default() };
    a.todos().push(todo(1)).unwrap();
    a.todos().push(todo(2)).unwrap();
    world.settle();
    a.todos().at(&1).parts().push(part("wheel")).unwrap();
    b.todos().at(&1).parts().push(part("axle")).unwrap();
    b.todos().at(&1).parts().at("axle").add_count(7).unwrap();
    world.settle();
    a.todos().at(&1).parts().at("axle").add_count(1).unwrap();
    let notes = b.todos();
    let notes = notes.at(&1);
    let notes = notes.parts();
    notes.at("axle").notes().put("bob".to_owned(), vec![Note { id: 4, text: "oil".to_owned() }]).unwrap();
    world.settle();
    a.todos()
        .at(&1)
        .parts()
        .at("axle")
        .notes()
        .at(&"bob".to_owned())
        .push(Note { id: 5, ..Note::default() })
        .unwrap();
    a.todos().at(&1).parts().move_between("wheel", &a.todos().at(&2).parts(), 0).unwrap();
    world.settle();
    let state = bob.state();
    let parts = |id: &u8| {
        let items = state.todos.iter().filter(|todo| todo.id == *id).flat_map(|todo| todo.parts.iter());
        items.cloned().collect::<Vec<Part>>()
    };
    assert_eq!(parts(&2), [part("wheel")]);
    let [axle] = &parts(&1)[..] else { panic!("{state:?}") };
    assert_eq!((axle.count, axle.notes["bob"].iter().map(|note| note.id).collect()), (8, vec![4, 5]));
    world.restart();
    [&ann, &bob].into_iter().for_each(User::come_back);
    b.todos().at(&2).parts().remove("wheel").unwrap();
    world.settle();
    assert!(ann.answers().iter().all(|(_, answer)| answer.is_ok()));
    assert_eq!(world.join().state(), ann.state());
}

#[test]
fn g2_what_is_written_to_an_absent_member_of_an_item_is_there_for_everybody() {
    let mut world = World::untyped(Board::default());
    let ann = world.join();
    let a = ann.handle();
    a.sparse().push(Sparse { id: 1, extra: Some(Layout::default()), ..Sparse::default() }).unwrap();
    world.settle();
    a.sparse().at(&1).notes().push(Note { id: 7, ..Note::default() }).unwrap();
    a.sparse().at(&1).tally().add("x".to_owned(), 3).unwrap();
    a.sparse().at(&1).labels().insert("new".to_owned()).unwrap();
    world.settle();
    a.sparse().edit(&1, |sparse| sparse.extra = None).unwrap();
    world.settle();
    assert!(ann.answers().iter().all(|(_, answer)| answer.is_ok()), "{:?}", ann.answers());
    let state = world.join().state();
    let [sparse] = &state.sparse[..] else { panic!("{state:?}") };
    assert_eq!((sparse.notes.len(), sparse.tally["x"], sparse.labels.len()), (1, 3, 1));
    assert_eq!((&sparse.extra, &state), (&None, &ann.state()));
}

#[test]
fn g1_random_histories_end_in_one_state_for_everybody() {
    for seed in seeds::range(200) {
        let _replay = seeds::Replay::of(seed);
        let mut rng = Rng::with_seed(seed);
        // What the clients show before anybody writes.
        let mut initial = Board::default();
        for _ in 0..rng.usize(..20) {
            let Some(update) = sample_update(&mut rng, &initial) else { continue };
            let mut next = initial.clone();
            if next.check_op(&update).is_ok() && {
                let inverse = next.apply(update);
                next.check(&inverse).is_ok()
            } {
                initial = next;
            }
        }
        let mut world = World::untyped(initial);
        let users: Vec<User<Board>> = (0..3).map(|_| world.join()).collect();
        for _ in 0..60 {
            let user = &users[rng.usize(..users.len())];
            match rng.u8(..20) {
                0 => user.leave(),
                1 => user.come_back(),
                2 if seed % 3 == 0 => {
                    world.settle();
                    world.restart();
                    users.iter().for_each(User::come_back);
                }
                _ => {
                    if let Some(update) = sample_update(&mut rng, &user.state()) {
                        // Updates that violate a rule about keys are refused by the client.
                        let _ = user.write(update);
                    }
                }
            }
            if rng.bool() {
                world.settle();
            }
        }
        users.iter().for_each(User::come_back);
        world.settle();
        let latecomer = world.join();
        assert!(Board::diff(&latecomer.state(), &users[0].state()).is_empty(), "seed {seed}");
        let answers = users.iter().flat_map(|user| user.answers());
        // What others have removed, inserted or counted to the bound meanwhile.
        let is_void = |code| matches!(code, Code::Gone | Code::Exists | Code::AtBound);
        let refused = answers.filter_map(|(_, answer)| answer.err());
        let refused: Vec<_> = refused.filter(|error| !is_void(error.code())).collect();
        assert!(refused.is_empty(), "seed {seed}: {refused:?}");
    }
}
