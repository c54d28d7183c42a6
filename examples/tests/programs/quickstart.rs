//! Two terminals with a note between them, and a server that is killed.

use crate::terminal::{Program, connected, demo};

const QUICKSTART: &str = env!("CARGO_BIN_EXE_quickstart");

#[test]
fn edits_made_offline_arrive_when_the_killed_server_is_back() {
    let data = tempfile::tempdir().expect("there is a directory for temporary files");
    let (server, url) = demo(data.path(), "127.0.0.1:0");
    let mut ann = connected(QUICKSTART, &url, "quickstart", "ann");
    let mut ben = connected(QUICKSTART, &url, "quickstart", "ben");

    ann.ask("title Plans", "title accepted: version ");
    ben.until(r#"Title("Plans")"#);
    ben.ask("add 1", "add accepted: version ");
    ann.until(r#""Plans", 1 stars"#);

    server.kill();
    ann.until("status: offline");
    ben.until("status: offline");
    ann.ask("title Made offline", "local: ");
    ann.ask("add 2", r#""Made offline", 3 stars | version 2, 2 pending, offline"#);
    ben.ask("add 4", r#""Plans", 5 stars | version 2, 1 pending, offline"#);
    ann.type_in("wait");

    let address = url.trim_start_matches("ws://").trim_end_matches("/ws");
    let (server, _) = demo(data.path(), address);
    ann.until("nothing pending: version ");
    ann.ask("show", r#""Made offline", 7 stars | version 5, 0 pending, connected"#);
    ben.until(r#""Made offline", 7 stars | version 5, 0 pending, connected"#);

    assert!(ann.end().success());
    assert!(ben.end().success());
    server.kill();
}

#[test]
fn commands_of_a_script_are_delivered_before_the_end() {
    let data = tempfile::tempdir().expect("there is a directory for temporary files");
    let (_server, url) = demo(data.path(), "127.0.0.1:0");
    let mut ann = connected(QUICKSTART, &url, "quickstart-script", "ann");
    ann.type_in("title Scripted");
    ann.type_in("add three");
    ann.type_in("add 3");
    ann.type_in("");
    ann.type_in("dance");
    ann.type_in("quit");
    ann.until(r#"add refused: "three""#);
    ann.until("no such command: dance");
    assert!(ann.end().success());

    let mut ben = connected(QUICKSTART, &url, "quickstart-script", "ben");
    ben.until(r#""Scripted", 3 stars"#);
    assert!(ben.end().success());
}

#[test]
fn a_client_that_can_never_connect_says_why() {
    let arguments = ["--url", "http://127.0.0.1:1/ws"];
    let mut ann = Program::start(QUICKSTART, "ann", &arguments);
    ann.until("status: ended, the URL cannot be used");
    ann.ask("add 1", "add refused: the room is closed");
    assert!(ann.end().success());
}

#[test]
fn without_a_server_it_says_what_commands_act_on() {
    let mut ann = Program::start(QUICKSTART, "ann", &["--url", "ws://127.0.0.1:1/ws"]);
    ann.type_in("add 1");
    ann.until("the room's state has not come: commands act on an empty one");
    ann.until("1 stars | version 0, 1 pending, offline");
}

#[cfg(unix)]
#[test]
fn a_server_that_is_asked_to_stop_stores_everything() {
    let data = tempfile::tempdir().expect("there is a directory for temporary files");
    let (mut server, url) = demo(data.path(), "127.0.0.1:0");
    let mut ann = connected(QUICKSTART, &url, "any name", "ann");
    ann.ask("title Kept", "title accepted: version 1");
    server.terminate();
    server.until("stopped: everything is stored");
    assert!(server.wait().success());
    ann.until("status: offline");
    assert!(ann.end().success());

    let (_server, url) = demo(data.path(), "127.0.0.1:0");
    let mut ben = connected(QUICKSTART, &url, "any name", "ben");
    ben.until(r#""Kept", 0 stars"#);
}
