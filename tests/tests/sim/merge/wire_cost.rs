//! The bytes that one small change of a large value costs every other client.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_state::{List, SharedState, Text};
use shared_state_tests::{User, World};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    #[shared(list(key = id, nested))]
    todos: List<Todo>,
    #[shared(list(key = id))]
    plain: Vec<Todo>,
    #[shared(map)]
    scores: BTreeMap<u32, String>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Todo {
    id: u32,
    title: String,
    done: bool,
}

fn board(items: u32) -> Board {
    let todo = |id| Todo { id, title: format!("what has to be done as number {id}"), done: false };
    Board {
        todos: (0..items).map(todo).collect(),
        plain: (0..100).map(todo).collect(),
        scores: (0..10_000).map(|id| (id, format!("score {id}"))).collect(),
    }
}

/// The bytes that an observer receives for one change, live and when it reconnects after it.
fn costs(items: u32, change: impl Fn(&SharedBoard<User<Board>>, u32)) -> (usize, usize) {
    let mut world = World::new(board(items));
    let [writer, observer] = [world.join(), world.join()];
    let _ = observer.traffic();
    change(&writer.handle(), items / 2);
    world.settle();
    let live = observer.traffic().0;
    observer.leave();
    change(&writer.handle(), items / 2 + 1);
    world.settle();
    observer.come_back();
    world.settle();
    (live, observer.traffic().0)
}

#[test]
fn one_small_change_costs_the_same_whatever_the_size_of_the_list() {
    for items in [10_000, 100_000] {
        let rows = [
            ("a tick", costs(items, |h, id| drop(h.todos().edit(&id, |todo| todo.done = true)))),
            ("a move", costs(items, |h, id| drop(h.todos().move_to(&id, 3)))),
            ("a removal", costs(items, |h, id| drop(h.todos().remove(&id)))),
            ("an entry of a map", costs(items, |h, id| drop(h.scores().put(id % 10_000, "new".into())))),
            (
                "a closure",
                costs(items, |h, id| {
                    drop(h.todos().update(|todos| {
                        todos.get_mut(id as usize).unwrap().done = true;
                    }))
                }),
            ),
        ];
        for (what, (live, back)) in rows {
            println!("{items} items, {what}: {live} bytes live, {back} bytes after a reconnect");
            assert!(live < 200 && back < 200, "{what} in {items} items: {live} and {back} bytes");
        }
    }
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Paper {
    #[shared(text)]
    text: Text,
}

/// The bytes that bare Yjs sends for the same edit.
fn bare_keystroke(text: &str, at: usize) -> usize {
    use yrs::{ClientID, Doc, Options, Text as _, Transact as _};
    let doc = Doc::with_options(Options::with_client_id(ClientID::new(1000)));
    let root = doc.get_or_insert_text("text");
    root.insert(&mut doc.transact_mut(), 0, text);
    let mut txn = doc.transact_mut();
    root.insert(&mut txn, at as u32, "x");
    txn.encode_update_v1().len()
}

#[test]
fn a_keystroke_in_a_long_text_costs_an_observer_little_more_than_its_yjs_update() {
    let text = "a word or two ".repeat(7_500);
    let mut world = World::new(Paper::default());
    let [writer, observer] = [world.join(), world.join()];
    writer.handle().text().insert(0, &text).unwrap();
    world.settle();
    let at = text.len() / 2;
    let bare = bare_keystroke(&text, at);
    let _ = observer.traffic();
    writer.handle().text().insert(at, "x").unwrap();
    world.settle();
    let live = observer.traffic().0;
    observer.leave();
    writer.handle().text().insert(at + 1, "x").unwrap();
    world.settle();
    observer.come_back();
    world.settle();
    let back = observer.traffic().0;
    println!(
        "a keystroke in {} bytes: {bare} as a bare Yjs update, {live} live, {back} after a reconnect",
        text.len()
    );
    assert!(live * 5 <= bare * 6, "{live} bytes for {bare}");
    assert!(back < 200, "{back} bytes after a reconnect");
}

/// A list with a long history and few items: what is stored beyond the items is bounded.
#[test]
fn g9_a_room_after_many_operations_is_stored_in_what_it_holds_and_a_bounded_rest() {
    let mut world = World::new(Board::default());
    let (mut first, mut next, mut log) = (1, 1_u32, 0);
    for step in 0..100_000_u32 {
        let update = match step % 5 {
            _ if next - first < 100 => {
                let item = format!(r#"{{"id":{next},"title":"item {next}","done":false}}"#);
                next += 1;
                format!(r#"{{"key":"todos","op":"insert","value":{{"item":{item}}}}}"#)
            }
            0 => format!(r#"{{"key":"todos/{}","op":"move","value":{{}}}}"#, first + 50),
            1 => format!(r#"{{"key":"todos/{}/done","value":true}}"#, first + 51),
            _ => {
                first += 1;
                format!(r#"{{"key":"todos/{}","op":"delete","value":null}}"#, first - 1)
            }
        };
        log += update.len();
        world.write(&format!("[{update}]"));
    }
    let kept = world.state().todos.len();
    let begun = std::time::Instant::now();
    let bytes = world.restart();
    println!(
        "100,000 operations, {log} bytes of updates; {kept} items left: a snapshot of {bytes} bytes, opened in {:?}",
        begun.elapsed()
    );
    assert!((90..=100).contains(&kept), "{kept} items");
    assert!(bytes < 100 * kept + 4_096 * 60, "{bytes} bytes for {kept} items");
}
