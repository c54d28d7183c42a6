//! Two people who arrange one dashboard.

use crate::terminal::{Program, connected, demo};

const DASHBOARD: &str = env!("CARGO_BIN_EXE_dashboard");

#[test]
fn a_drag_shows_everywhere_sends_little_and_is_undone_as_one() {
    let data = tempfile::tempdir().expect("there is a directory for temporary files");
    let (_server, url) = demo(data.path(), "127.0.0.1:0");
    let [mut ann, mut ben] = ["ann", "ben"].map(|name| connected(DASHBOARD, &url, "dashboard-1", name));
    ann.ask("add sales chart", "add accepted: version 1");
    ben.until("new: sales");
    ben.ask("add sales table", "add refused: the transaction was aborted: there is a widget called sales");

    ann.ask("drag sales 400 300 200", "drag accepted: 200 positions in ");
    ben.until("Position(Position { x: 400, y: 300 })");
    let sent =
        ben.seen.iter().filter(|line| line.starts_with("remote") && line.contains("Position(")).count();
    assert!((1..=20).contains(&sent), "ben was sent {sent} of 200 positions");
    let shown = ann.seen.iter().filter(|line| line.starts_with("local: sales: Position(")).count();
    assert!(shown > 150, "ann has seen {shown} of 200 positions");

    // Others have done something to the same widget meanwhile: it stays.
    ben.ask("size sales 300 200", "size accepted");
    ann.until("Size(");
    ann.ask("undo", "undo accepted: version ");
    let undone = ben.until("Position(Position { x: 0, y: 0 })");
    assert_eq!(undone.matches("Position(").count(), 1, "one update takes the drag back: {undone}");
    ben.ask("show", "sales Chart 300x200 at 0,0");
    ann.ask("redo", "redo accepted: version ");
    ben.until("Position(Position { x: 400, y: 300 })");
    assert!(ann.end().success());
    assert!(ben.end().success());
}

#[test]
fn what_two_people_arrange_is_all_there() {
    let data = tempfile::tempdir().expect("there is a directory for temporary files");
    let (server, url) = demo(data.path(), "127.0.0.1:0");
    let [mut ann, mut ben] = ["ann", "ben"].map(|name| connected(DASHBOARD, &url, "dashboard-2", name));
    ann.ask("add sales chart", "add accepted: version 1");
    ann.ask("add staff table", "add accepted: version 2");
    ann.ask("add total number", "add accepted: version 3");
    ben.until("new: total");

    server.kill();
    ann.until("status: offline");
    ben.until("status: offline");
    ann.ask("config sales color red", "sales Chart 200x100 at 0,0 color=red");
    ann.ask("front sales", "local: sales: to another place");
    ann.ask("range 2026-03-01 2026-03-31", "2026-03-01 to 2026-03-31");
    ann.ask("refresh 10", "every 10 s | version 3, 4 pending, offline");
    ben.ask("config sales unit eur", "sales Chart 200x100 at 0,0 unit=eur");
    ben.ask("drag sales 100 50 1", "sales Chart 200x100 at 100,50 unit=eur");
    ben.ask("remove staff", "local: staff: removed");
    ben.ask("layout 1000 600", "1000x600 | 2026-01-01 to 2026-01-31 | every 30 s | version 3");
    let address = url.trim_start_matches("ws://").trim_end_matches("/ws");
    let (_server, _) = demo(data.path(), address);
    let status = "1000x600 | 2026-03-01 to 2026-03-31 | every 10 s | version 11, 0 pending, connected";
    for program in [&mut ann, &mut ben] {
        program.until(status);
        program.ask("show", "total Number 200x100 at 0,0");
        program.until("sales Chart 200x100 at 100,50 color=red unit=eur");
        program.until(status);
    }
    assert!(ann.end().success());
    assert!(ben.end().success());
}

#[test]
fn nonsense_is_refused_with_the_reason() {
    let data = tempfile::tempdir().expect("there is a directory for temporary files");
    let (_server, url) = demo(data.path(), "127.0.0.1:0");
    let mut ann = connected(DASHBOARD, &url, "dashboard-3", "ann");
    ann.ask("add sales chart", "add accepted: version 1");

    // Nothing of this is sent.
    ann.ask("add sales painting", r#"no such kind: "painting""#);
    ann.ask("add Sales! chart", "add refused: ");
    ann.ask("size sales 5 5", "a widget is 10 pixels wide and high at least");
    ann.ask("drag sales left", r#"no such number: "left""#);
    ann.ask("drag staff 1 1 1", r#"no such widget: "staff""#);
    ann.ask("range 2026-02-01 2026-01-01", "2026-02-01 is after 2026-01-01");
    ann.ask("range today tomorrow", r#""today" is no day"#);
    ann.ask("refresh 0", "refresh: value is 0, expected at least 1");
    ann.ask("layout 5 5", "layout/width: value is 5, expected at least 100");

    // Only the server has this rule: it shows, and is taken back.
    ann.ask("drag sales 500 500 1", "drag accepted: 1 positions in 1 changes");
    ann.ask("layout 400 400", "400x400 |");
    ann.until("rolled back to: ");
    ann.until("layout refused: invalid: sales is not within 400x400");
    ann.ask("show", "1200x800 |");
    ann.ask("undo", "undo accepted: version 3");
    ann.ask("layout 400 400", "layout accepted: version 4");
    assert!(ann.end().success());
}

#[test]
fn a_script_that_does_not_wait_does_what_somebody_who_types_does() {
    let data = tempfile::tempdir().expect("there is a directory for temporary files");
    let (_server, url) = demo(data.path(), "127.0.0.1:0");
    let arguments = ["--url", &url, "--room", "dashboard-4", "--name", "ann"];
    let mut ann = Program::start(DASHBOARD, "ann", &arguments);
    for command in ["add sales chart", "drag sales 400 300 20", "undo", "layout 300 800", "quit"] {
        ann.type_in(command);
    }
    for outcome in ["add accepted", "drag accepted: 20", "undo accepted", "layout accepted"] {
        ann.until(outcome);
    }
    ann.until("bye: everything was delivered");
    let wrong = |line: &&String| line.contains("refused") || line.contains("rolled back");
    assert_eq!(ann.seen.iter().find(wrong), None, "{}", ann.seen.join("\n"));
}
