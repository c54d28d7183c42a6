//! Teaches: a list whose items several people edit at the same time, undo, and claiming an item by a transaction.
//!
//! ```console
//! cargo demo                 # the server, in a first terminal
//! cargo todo --name ann      # in a second
//! cargo todo --name ben      # in a third
//! ```
//! - `add milk` in both, also while the server is down: both todos are there when it is back.
//! - `edit 1 oat milk` in one while the other does `toggle 1` and `move 1 2`: all three apply.
//! - `clear` removes what is done as one change, and `undo` restores each todo at its place.
//! - `take 1` in both at the same time: one of them is told who was faster.
//! - `delete 1` while somebody has taken it breaks a rule that only the server checks: it disappears, and comes back
//!   with the reason.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use shared_state::client::Handle;
use shared_state::merge::{ListOp, NestedOp};
use shared_state_examples::terminal::{Common, Input, Terminal, say, split};
use shared_state_examples::todo::{Refused, Todo, TodoList, TodoListUpdate};

/// A list of todos that several people work on.
#[derive(Parser)]
struct Args {
    /// Which list.
    #[arg(long, default_value = "todo-1")]
    room: String,
    #[command(flatten)]
    common: Common,
}

/// Which todos this terminal shows. Not part of the shared state.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum Filter {
    All,
    Open,
    Done,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let Args { room, common } = Args::parse();
    let name = &*common.name;
    say(format!("{name}, you are at {room}. Commands, with the todos by the numbers that are shown:"));
    say("  add <title>, toggle <n>, edit <n> <title>, label <n> <label>, move <n> <to>, delete <n>, clear,");
    say("  take <n>, drop <n>, undo, redo, filter <all|open|done>, show, wait, quit");

    // By default, writes within half a second are undone together. Here each command is undone by itself.
    let client = common.client().undo(1_000, Duration::ZERO).connect();
    let list = client.room(room).state(TodoList::default());
    let mut terminal = Terminal::new(&client, &list, describe);
    let (mut filter, mut shown) = (Filter::All, String::new());
    loop {
        match terminal.next().await {
            Input::Command(command) => match split(&command) {
                ("wait", _) => terminal.wait(),
                ("show", _) => shown.clear(),
                ("filter", which) => match Filter::from_str(which, true) {
                    Ok(which) => filter = which,
                    Err(_) => say(format!("no such filter: {which:?}")),
                },
                _ => {
                    if let Err(why) = run(&list, name, &command, &mut terminal) {
                        say(why);
                    }
                    continue;
                }
            },
            Input::Changed => {}
            Input::End => break,
        }
        show(&list.state(), filter, &terminal, &mut shown);
    }
    terminal.close().await;
}

/// Runs a command.
fn run(
    list: &Handle<TodoList>,
    me: &str,
    command: &str,
    terminal: &mut Terminal<TodoList>,
) -> Result<(), String> {
    let todos = list.todos();
    let (word, rest) = split(command);
    let (number, text) = split(rest);
    // A number is a position, which can change; an id does not. So it is looked up at once.
    let id = || {
        let place = place(number)?;
        let id = todos.read(|todos| todos.get(place).map(|todo| todo.id.clone()));
        id.ok_or_else(|| format!("no such todo: {number:?}"))
    };
    match word {
        // Several fields in one change, for everyone and for undo.
        "add" => {
            let todo = Todo::new(rest, me).map_err(|error| format!("no id: {error}"))?;
            let written = list.update(|list| {
                list.todos.push(todo);
                list.added += 1;
            });
            terminal.answer("add", written);
        }
        // Only what the closure changes is written: here one field of one todo.
        "toggle" => terminal.answer("toggle", todos.edit(&id()?, |todo| todo.done = !todo.done)),
        "edit" => terminal.answer("edit", todos.edit(&id()?, |todo| todo.title = text.to_owned())),
        "label" => {
            let written = todos.edit(&id()?, |todo| {
                if !todo.labels.remove(text) {
                    todo.labels.insert(text.to_owned());
                }
            });
            terminal.answer("label", written);
        }
        "move" => terminal.answer("move", todos.move_to(&id()?, place(text)?)),
        "delete" => terminal.answer("delete", todos.remove(&id()?)),
        "clear" => terminal.answer("clear", todos.retain(|todo| !todo.done)),
        // The server checks that nobody has changed this todo since the closure read it. If somebody has, the closure
        // runs again on the new state. Other todos may change meanwhile.
        "take" => {
            let (id, me) = (id()?, me.to_owned());
            let taken = list.transact(move |tx| {
                tx.edit_item(TodoList::TODOS, &id, |todo| todo.take(&me)).unwrap_or(Err(Refused::Gone))
            });
            terminal.later("take", taken);
        }
        "drop" => terminal.answer("drop", todos.edit(&id()?, |todo| todo.taken_by = None)),
        "undo" => match list.undo().transpose() {
            Some(written) => terminal.answer("undo", written),
            None => say("nothing to undo"),
        },
        "redo" => match list.redo().transpose() {
            Some(written) => terminal.answer("redo", written),
            None => say("nothing to redo"),
        },
        other => return Err(format!("no such command: {other}")),
    }
    Ok(())
}

/// The position in the list that a number means; the first is 1.
fn place(number: &str) -> Result<usize, String> {
    let place = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    place.ok_or_else(|| format!("no such number: {number:?}"))
}

/// An update, in a few words.
fn describe(update: &TodoListUpdate) -> String {
    let TodoListUpdate::Todos(op) = update else { return format!("{update:?}") };
    match op {
        ListOp::Insert(_, todo) => format!("new: {:?}", todo.title),
        ListOp::In(id, NestedOp::In(update)) => format!("{}: {update:?}", id.as_str()),
        ListOp::Move(id, _) => format!("{}: moved", id.as_str()),
        ListOp::Delete(id) => format!("{}: deleted", id.as_str()),
        ListOp::Set(todos) => format!("{} todos", todos.len()),
        op => format!("{op:?}"),
    }
}

/// Prints the todos that the filter accepts and a status line, unless they are as they were printed last.
fn show(list: &TodoList, filter: Filter, terminal: &Terminal<TodoList>, shown: &mut String) {
    let mut text = String::new();
    for (place, todo) in list.todos.iter().enumerate() {
        match filter {
            Filter::Open if todo.done => continue,
            Filter::Done if !todo.done => continue,
            _ => text.push_str(&line(place + 1, todo)),
        }
    }
    let done = list.todos.iter().filter(|todo| todo.done).count();
    let open = list.todos.len() - done;
    text = format!("{text}  {open} open, {done} done, {} ever | {}", list.added, terminal.standing());
    if text != *shown {
        say(&text);
        *shown = text;
    }
}

fn line(number: usize, todo: &Todo) -> String {
    let Todo { id: _, title, done, labels, created_by, taken_by } = todo;
    let mark = if *done { 'x' } else { ' ' };
    let labels: String = labels.iter().map(|label| format!(" #{label}")).collect();
    let taken = taken_by.as_ref().map(|who| format!(", taken by {who}")).unwrap_or_default();
    format!("  {number} [{mark}] {title}{labels} (by {created_by}{taken})\n")
}
