//! Two people and their todos, together and apart.

use crate::terminal::{connected, demo};

const TODO: &str = env!("CARGO_BIN_EXE_todo");

#[test]
fn what_two_people_do_to_one_list_all_counts() {
    let data = tempfile::tempdir().expect("there is a directory for temporary files");
    let (server, url) = demo(data.path(), "127.0.0.1:0");
    let [mut ann, mut ben] = ["ann", "ben"].map(|name| connected(TODO, &url, "todo-1", name));

    ann.ask("add milk", "add accepted: version 1");
    ben.until(r#"new: "milk", Added(Add(1))"#);
    ben.ask("add bread", "add accepted: version 2");
    ann.until(r#"new: "bread""#);
    ben.ask("label 1 shop", "label accepted: version 3");
    ann.until(r#"Labels(Insert("shop"))"#);

    // Apart, each does something else to the same todo, and adds one.
    server.kill();
    ann.until("status: offline");
    ben.until("status: offline");
    ann.ask("edit 1 oat milk", "oat milk #shop (by ann)");
    ann.ask("add eggs", "3 open, 0 done, 3 ever | version 3, 2 pending, offline");
    ben.ask("toggle 1", "1 [x] milk #shop (by ann)");
    ben.ask("move 1 2", "2 [x] milk #shop (by ann)");
    ben.ask("label 2 cold", "2 [x] milk #cold #shop (by ann)");
    ben.ask("add tea", "2 open, 1 done, 3 ever | version 3, 4 pending, offline");
    let address = url.trim_start_matches("ws://").trim_end_matches("/ws");
    let (_server, _) = demo(data.path(), address);
    for program in [&mut ann, &mut ben] {
        program.until("3 open, 1 done, 4 ever | version 9, 0 pending, connected");
        program.ask("show", "1 [ ] bread (by ben)");
        program.until("2 [x] oat milk #cold #shop (by ann)");
        program.until("version 9, 0 pending, connected");
    }

    // The filter is this terminal's own, and the numbers stay.
    ann.ask("filter done", "3 open, 1 done, 4 ever");
    let lines = &ann.seen[ann.seen.len() - 3..];
    assert!(lines[0] == "> filter done" && lines[1].starts_with("  2 [x] oat milk"), "{lines:?}");
    ann.ask("filter some", "no such filter");
    ann.ask("filter all", "1 [ ] bread");

    assert!(ann.end().success());
    assert!(ben.end().success());
}

#[test]
fn each_takes_back_what_they_have_done_and_nothing_else() {
    let data = tempfile::tempdir().expect("there is a directory for temporary files");
    let (_server, url) = demo(data.path(), "127.0.0.1:0");
    let [mut ann, mut ben] = ["ann", "ben"].map(|name| connected(TODO, &url, "todo-undo", name));
    for title in ["one", "two", "three"] {
        ann.ask(&format!("add {title}"), "add accepted");
    }
    ben.until(r#"new: "three""#);
    ann.ask("toggle 1", "toggle accepted: version 4");
    ben.until("Done(true)");
    ben.ask("toggle 3", "toggle accepted: version 5");
    ann.until("Done(true)");
    ann.until("1 open, 2 done");

    // One change, whatever it removes.
    ann.ask("clear", "clear accepted: version 6");
    let cleared = ben.until(": deleted");
    assert!(cleared.matches(": deleted").count() == 2, "{cleared}");
    ben.ask("edit 1 second", "edit accepted: version 7");
    ann.until(r#"Title("second")"#);
    ann.ask("undo", "undo accepted: version 8");
    ben.until(r#"new: "#);
    for program in [&mut ann, &mut ben] {
        program.ask("show", "1 [x] one");
        program.until("2 [ ] second");
        program.until("3 [x] three");
    }
    ann.ask("redo", "1 open, 0 done, 3 ever");
    ann.until("redo accepted: version 9");
    ann.ask("redo", "nothing to redo");
    assert!(ann.end().success());
    assert!(ben.end().success());
}

#[test]
fn what_is_taken_and_what_breaks_a_rule_is_refused_with_the_reason() {
    let data = tempfile::tempdir().expect("there is a directory for temporary files");
    let (_server, url) = demo(data.path(), "127.0.0.1:0");
    let [mut ann, mut ben] = ["ann", "ben"].map(|name| connected(TODO, &url, "todo-rules", name));
    ann.ask("add paint", "add accepted");
    ben.until(r#"new: "paint""#);

    // Nothing of this is sent.
    ann.ask("add", "title: length is 0, expected at least 1");
    ann.ask(&format!("edit 1 {}", "x".repeat(81)), "title: length is 81, expected at most 80");
    ann.ask(&format!("label 1 {}", "x".repeat(21)), "labels");
    ann.ask("toggle 2", r#"no such todo: "2""#);
    ann.ask("toggle 0", r#"no such number: "0""#);
    ann.ask("dance", "no such command: dance");

    // Who comes second is told who was first.
    ann.ask("take 1", "take accepted: version 2");
    ben.until("TakenBy(");
    ben.ask("take 1", r#"take refused: the transaction was aborted: "paint" is taken by ann"#);

    // Only the server has this rule: it shows, and is taken back.
    ben.ask("delete 1", "0 open, 0 done");
    ben.until("rolled back to: 1 todos");
    ben.until(r#"delete refused: invalid: "paint" is taken by ann"#);
    ben.ask("show", "1 [ ] paint (by ann, taken by ann)");
    ann.ask("drop 1", "drop accepted: version 3");
    ben.until("TakenBy(None)");
    ben.ask("delete 1", "delete accepted: version 4");
    ann.until(": deleted");

    assert!(ann.end().success());
    assert!(ben.end().success());
}
