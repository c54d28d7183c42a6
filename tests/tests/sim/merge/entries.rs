//! Lists, maps and sets: their operations, the wire form of these, and how they combine.
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use shared_state::Backend;
use shared_state::proto::{WireUpdate, decode_update, encode_update};
use shared_state::{Invalid, List, SharedState, WriteError};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Todo {
    id: u32,
    #[shared(validate(length(max = 8)))]
    title: String,
    done: bool,
    #[shared(counter)]
    votes: i64,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    #[shared(list(key = id, nested))]
    todos: List<Todo>,
    #[shared(list(key = name))]
    columns: Vec<Column>,
    #[shared(map)]
    owners: BTreeMap<u32, String>,
    #[shared(map(counter))]
    tally: HashMap<String, i64>,
    #[shared(map(list(key = id, nested)))]
    lanes: BTreeMap<String, Vec<Todo>>,
    #[shared(set)]
    tags: BTreeSet<String>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Column {
    name: String,
    width: u8,
}

/// A backend with a single user.
#[derive(Clone, Debug)]
struct Local(Rc<RefCell<(Board, Vec<String>)>>);

impl Backend<Board> for Local {
    type Receipt = ();
    type Error = WriteError;

    fn read<R>(&self, look: impl FnOnce(&Board) -> R) -> R {
        look(&self.0.borrow().0)
    }

    fn write_with(&self, decide: impl FnOnce(&Board) -> Vec<BoardUpdate>) -> Result<(), WriteError> {
        let (state, sent) = &mut *self.0.borrow_mut();
        for update in decide(state) {
            for update in state.decompose(&update).unwrap_or_else(|| vec![update]) {
                state.check_op(&update)?;
                let text = encode_update::<Board>(&update).unwrap().as_str().to_owned();
                let wire: WireUpdate<'_> = serde_json::from_str(&text).unwrap();
                assert_eq!(decode_update::<Board>(&wire).unwrap(), update, "{text}");
                let undo = state.apply(update);
                state.check(&undo)?;
                sent.push(text);
            }
        }
        Ok(())
    }
}

fn board() -> (SharedBoard<Local>, impl Fn() -> Vec<String>) {
    let local = Local(Rc::new(RefCell::new((Board::default(), Vec::new()))));
    let sent = local.clone();
    (SharedBoard::from(local), move || std::mem::take(&mut sent.0.borrow_mut().1))
}

fn todo(id: u32, title: &str) -> Todo {
    Todo { id, title: title.into(), ..Todo::default() }
}

fn ids(board: &SharedBoard<Local>) -> Vec<u32> {
    board.todos().read(|todos| todos.iter().map(|todo| todo.id).collect())
}

#[test]
fn a_policy_is_described_as_its_attribute_spells_it() {
    let policies: Vec<_> = Board::FIELDS.iter().map(|info| info.about.unwrap().to_string()).collect();
    let spelled = [
        "list(key = id, nested)",
        "list(key = name)",
        "map",
        "map(counter)",
        "map(list(key = id, nested))",
        "set",
    ];
    assert_eq!(policies, spelled);
}

#[test]
fn a_list_is_written_item_by_item() {
    let (board, sent) = board();
    let todos = board.todos();
    for id in 1..=4 {
        todos.push(todo(id, "x")).unwrap();
    }
    let item = r#"{"id":1,"title":"x","done":false,"votes":0}"#;
    assert_eq!(sent()[0], format!(r#"{{"key":"todos","op":"insert","value":{{"item":{item}}}}}"#));
    todos.insert_at(0, todo(5, "")).unwrap();
    todos.insert_at(2, todo(6, "")).unwrap();
    todos.insert_after(&4, todo(7, "")).unwrap();
    assert_eq!(ids(&board), [5, 1, 6, 2, 3, 4, 7]);
    sent();
    todos.edit(&6, |todo| todo.done = true).unwrap();
    todos.edit(&6, |todo| todo.votes += 2).unwrap();
    assert_eq!(
        sent(),
        [r#"{"key":"todos/6/done","value":true}"#, r#"{"key":"todos/6/votes","op":"add","value":2}"#]
    );
    todos.move_to(&6, 0).unwrap();
    todos.move_to(&5, 6).unwrap();
    todos.move_after(&1, &2).unwrap();
    assert_eq!(ids(&board), [6, 2, 1, 3, 4, 7, 5]);
    assert_eq!(
        sent(),
        [
            r#"{"key":"todos/6","op":"move","value":{"after":null}}"#,
            r#"{"key":"todos/5","op":"move","value":{"after":"7"}}"#,
            r#"{"key":"todos/1","op":"move","value":{"after":"2"}}"#,
        ]
    );
    for position in 0..7 {
        todos.move_to(&4, position).unwrap();
        assert_eq!(todos.position(&4), Some(position));
    }
    todos.remove(&7).unwrap();
    todos.retain(|todo| todo.id != 3).unwrap();
    todos.sort_by(|a, b| a.id.cmp(&b.id)).unwrap();
    assert_eq!(ids(&board), [1, 2, 4, 5, 6]);
    assert_eq!((todos.len(), todos.item(&6).unwrap().votes, todos.contains(&3)), (5, 2, false));
    sent();
    todos
        .update(|list| {
            list.remove(1);
            list.insert(0, todo(9, "new"));
            list.get_mut(1).unwrap().done = true;
        })
        .unwrap();
    assert_eq!(ids(&board), [9, 1, 4, 5, 6]);
    assert_eq!(sent().len(), 3, "removed, inserted, ticked");
    todos.clear().unwrap();
    assert!(todos.is_empty());
}

#[test]
fn what_a_list_cannot_take_is_refused_or_does_nothing() {
    let (board, sent) = board();
    let todos = board.todos();
    todos.push(todo(1, "x")).unwrap();
    todos.push(todo(1, "x")).unwrap();
    let void = |error| match error {
        WriteError::Gone { path } => format!("gone: {path}"),
        WriteError::Exists { path } => format!("exists: {path}"),
        other => panic!("{other}"),
    };
    assert_eq!(void(todos.push(todo(1, "y")).unwrap_err()), "exists: todos/1");
    assert_eq!(void(todos.edit(&2, |todo| todo.done = true).unwrap_err()), "gone: todos/2");
    assert_eq!(void(todos.move_to(&2, 0).unwrap_err()), "gone: todos/2");
    todos.remove(&2).unwrap();
    assert_eq!((ids(&board), todos.item(&1).unwrap().title), (vec![1], "x".into()));
    let invalid = |error| match error {
        WriteError::Invalid(Invalid { field, rule, .. }) => (field, rule),
        other => panic!("{other}"),
    };
    assert_eq!(invalid(todos.edit(&1, |todo| todo.id = 2).unwrap_err()), ("todos/1".into(), "key"));
    assert_eq!(
        invalid(todos.edit(&1, |todo| todo.title = "too long".repeat(2)).unwrap_err()).0,
        "todos/1/title"
    );
    assert_eq!(invalid(todos.remove(&(1, 2)).unwrap_err()).1, "key");
    let columns = board.columns();
    columns.push(Column { name: "a".repeat(129), width: 1 }).unwrap_err();
    assert_eq!(
        invalid(columns.set(vec![Column::default(), Column::default()]).unwrap_err()),
        ("columns".into(), "key")
    );
    sent();
}

#[test]
fn a_whole_list_that_is_set_means_what_is_different() {
    let (board, sent) = board();
    let column = |name: &str, width| Column { name: name.into(), width };
    board.set_columns(vec![column("a", 1), column("b", 2), column("c", 3)]).unwrap();
    assert_eq!(sent().len(), 3);
    board.set_columns(vec![column("c", 3), column("a", 1), column("b/~", 2)]).unwrap();
    assert_eq!(
        sent(),
        [
            r#"{"key":"columns/b","op":"delete","value":null}"#,
            r#"{"key":"columns/c","op":"move","value":{"after":null}}"#,
            r#"{"key":"columns","op":"insert","value":{"item":{"name":"b/~","width":2}}}"#,
        ]
    );
    board.columns().edit("b/~", |column| column.width = 9).unwrap();
    assert_eq!(sent(), [r#"{"key":"columns/b~1~0","value":{"name":"b/~","width":9}}"#]);
}

#[test]
fn maps_and_sets_are_written_entry_by_entry() {
    let (board, sent) = board();
    board.owners().put(7, "ann".into()).unwrap();
    board.owners().edit(&7, |name| name.push('a')).unwrap();
    board.owners().remove(&7).unwrap();
    board.tally().add("yes".into(), 2).unwrap();
    board.tally().add("yes".into(), 3).unwrap();
    board.tally().remove(&"no".into()).unwrap();
    board.tags().insert("x".into()).unwrap();
    board.tags().remove(&"x".into()).unwrap();
    board.lanes().put("l".into(), vec![todo(1, "a")]).unwrap();
    board.lanes().edit(&"l".into(), |lane| lane[0].done = true).unwrap();
    board.set_owners(BTreeMap::from([(1, "x".into())])).unwrap();
    assert_eq!(
        sent(),
        [
            r#"{"key":"owners/7","value":"ann"}"#,
            r#"{"key":"owners/7","value":"anna"}"#,
            r#"{"key":"owners/7","op":"delete","value":null}"#,
            r#"{"key":"tally/yes","op":"add","value":2}"#,
            r#"{"key":"tally/yes","op":"add","value":3}"#,
            r#"{"key":"tally/no","op":"delete","value":null}"#,
            r#"{"key":"tags","op":"insert","value":"x"}"#,
            r#"{"key":"tags","op":"remove","value":"x"}"#,
            r#"{"key":"lanes/l","value":[{"id":1,"title":"a","done":false,"votes":0}]}"#,
            r#"{"key":"lanes/l/1/done","value":true}"#,
            r#"{"key":"owners/1","value":"x"}"#,
        ]
    );
    assert_eq!(board.tally().entry(&"yes".into()), Some(5));
    assert!(!board.tags().contains(&"x".into()));
}
