//! The todo list: people add, take, move and delete todos at the same time.

use shared_state::testing::{Pair, Simulation};
use shared_state_examples::todo::{Todo, TodoList, rules};

fn todo(id: &str) -> Todo {
    Todo { id: id.into(), title: format!("do {id}"), created_by: "ann".into(), ..Todo::default() }
}

fn ids(list: &TodoList) -> Vec<&str> {
    list.todos.iter().map(|todo| &*todo.id).collect()
}

#[test]
fn edits_of_one_todo_by_two_people_both_count() {
    let mut pair = Pair::new(TodoList::default()).hooks(rules);
    let (ann, ben) = (pair.client(0), pair.client(1));
    for id in ["a", "b", "c"] {
        ann.todos().push(todo(id)).expect("valid");
    }
    pair.sync();
    ann.todos().edit("b", |todo| todo.title = "first".into()).expect("valid");
    ben.todos().edit("b", |todo| todo.done = true).expect("valid");
    ben.todos().move_to("c", 0).expect("valid");
    pair.sync();
    assert_eq!(ann.state(), ben.state());
    let list = ann.state();
    assert_eq!(ids(&list), ["c", "a", "b"]);
    assert!(list.todos.iter().any(|todo| todo.title == "first" && todo.done));
}

#[test]
fn of_two_who_take_a_todo_offline_the_first_to_come_back_has_it() {
    let mut pair = Pair::with_users(TodoList::default(), &["ann", "ben"]).hooks(rules);
    let (ann, ben) = (pair.client(0), pair.client(1));
    ann.todos().push(todo("a")).expect("valid");
    pair.sync();
    ann.disconnect();
    ben.disconnect();
    let mut taken = Vec::new();
    for who in [&ann, &ben] {
        let name = who.user();
        taken.push(who.todos().edit("a", |todo| todo.take(&name).expect("free")).expect("valid"));
    }
    ben.connect();
    pair.sync();
    ann.connect();
    pair.sync();
    assert!(matches!(taken[1].answer(), Some(Ok(_))));
    let refused = taken[0].answer().expect("answered").expect_err("it is taken");
    assert!(refused.to_string().contains("taken by ben"), "{refused}");
    assert_eq!(ann.state().todos.iter().next().and_then(|todo| todo.taken_by.clone()), Some("ben".into()));

    let deleted = ann.todos().remove("a").expect("valid");
    pair.sync();
    assert!(deleted.answer().expect("answered").is_err(), "ben is at work on it");
    assert_eq!(ids(&ann.state()), ["a"]);
}

#[test]
fn the_creator_of_a_todo_stays_whatever_happens() {
    let report = Simulation::new(TodoList::default())
        .hooks(rules)
        .operation("add a todo", |list, rng| {
            let id = format!("{}", rng.u8(..));
            list.todos().push(Todo { created_by: format!("by {id}"), ..todo(&id) })?;
            list.add_added(1)
        })
        .operation("take a todo", |list, rng| {
            let (me, todos) = (list.name(), list.state().todos);
            let Some(todo) = rng.choice(todos.iter()) else { return Ok(()) };
            // Somebody else may have it: then nothing is written.
            list.todos().edit(&todo.id, |todo| drop(todo.take(&me)))
        })
        .operation("move a todo", |list, rng| {
            let todos = list.state().todos;
            let Some(todo) = rng.choice(todos.iter()) else { return Ok(()) };
            list.todos().move_to(&todo.id, rng.usize(..todos.len()))
        })
        .operation("finish a todo", |list, rng| {
            let todos = list.state().todos;
            let Some(todo) = rng.choice(todos.iter()) else { return Ok(()) };
            list.todos().edit(&todo.id, |todo| todo.done = true)
        })
        .operation("claim a todo of somebody else", |list, rng| {
            let todos = list.state().todos;
            let Some(todo) = rng.choice(todos.iter()) else { return Ok(()) };
            list.todos().edit(&todo.id, |todo| todo.created_by = "by mallory".to_owned())
        })
        .invariant("the creator of a todo stays", |list: &TodoList| {
            match list.todos.iter().find(|todo| todo.created_by == "by mallory") {
                Some(todo) => Err(format!("{:?} has another", todo.id)),
                None => Ok(()),
            }
        })
        .invariant("a list of at most 100", |list: &TodoList| list.todos.len() <= 100)
        .invariant("each todo has a title", |list: &TodoList| {
            match list.todos.iter().find(|todo| todo.title.is_empty()) {
                Some(todo) => Err(format!("{:?} has none", todo.id)),
                None => Ok(()),
            }
        })
        .seeds(25);
    assert!(report.operations > 500 && report.acknowledged > 500, "{report:?}");
}
