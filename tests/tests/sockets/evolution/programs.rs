//! G11: programs that were built with two versions of one struct, each in its own process, share rooms or are
//! told why they cannot; and each opens rooms that the other has stored.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use shared_state_tests::Process;
use shared_state_tests::evolve::Program;

const OLD: &str = env!("CARGO_BIN_EXE_schema_old");
const NEW: &str = env!("CARGO_BIN_EXE_schema_new");
const ROOM: &str = "doc";

/// Checks some values of a state, by their JSON pointers.
fn holds(state: &Value, expected: &[(&str, Value)]) {
    for (path, value) in expected {
        assert_eq!(state.pointer(path), Some(value), "{path} of {state}");
    }
}

/// What the newer clients have written that the old struct lacks.
fn newer() -> Vec<(&'static str, Value)> {
    vec![
        ("/subtitle", json!("FieldHandle 1")),
        ("/likes", json!(3)),
        ("/theme/dark", json!(true)),
        ("/layout/wide", json!(true)),
    ]
}

#[tokio::test]
async fn g11_an_old_server_keeps_what_newer_clients_write() {
    let data = tempfile::tempdir().unwrap();
    let address = Process::address();
    let server = Program::serve(OLD, "", address, data.path()).await;
    let mut old = Program::join(OLD, "", address, ROOM).await;
    let mut new = Program::join(NEW, "added", address, ROOM).await;
    let mut newer_too = Program::join(NEW, "added", address, ROOM).await;

    // Common fields are exchanged in both directions, under their old and new names.
    old.set(r#"{"key":"title","value":"Plans"}"#).await;
    old.set(r#"{"key":"name","value":"Ann"}"#).await;
    old.set(r#"{"key":"layout","value":{"columns":2,"margin":7}}"#).await;
    new.state("until /author \"Ann\"").await;
    holds(&new.state("until /layout/width 2").await, &[("/title", json!("Plans"))]);
    new.set(r#"{"key":"author","value":"Bob"}"#).await;
    new.set(r#"{"key":"layout","value":{"width":3,"wide":true}}"#).await;
    new.set(r#"{"key":"views","op":"add","value":5}"#).await;
    let seen = old.state("until /views 5").await;
    holds(&seen, &[("/name", json!("Bob")), ("/layout", json!({"columns": 3, "margin": 7}))]);

    // Fields that only the newer struct has.
    new.set(r#"{"key":"subtitle","value":"FieldHandle 1"}"#).await;
    new.set(r#"{"key":"theme","value":{"dark":true}}"#).await;
    new.set(r#"{"key":"likes","op":"add","value":1}"#).await;
    newer_too.set(r#"{"key":"likes","op":"add","value":2}"#).await;
    holds(&newer_too.state("until /likes 3").await, &newer());
    holds(&new.state("until /likes 3").await, &newer());

    // The old client writes its own fields, and overwrites none of these.
    old.set(r#"{"key":"layout","value":{"columns":4,"margin":8}}"#).await;
    old.set(r#"{"key":"font_size","value":12}"#).await;
    holds(&new.state("until /font_size 12").await, &newer());
    let mut late = Program::join(NEW, "added", address, ROOM).await;
    holds(&late.state("until /layout/width 4").await, &newer());

    // They survive a kill, in the log, and a shutdown, in a snapshot; clients resume.
    server.kill().await;
    let server = Program::serve(OLD, "", address, data.path()).await;
    old.set(r#"{"key":"font_size","value":13}"#).await;
    newer_too.set(r#"{"key":"likes","op":"add","value":1}"#).await;
    newer_too.set(r#"{"key":"likes","value":3}"#).await;
    let mut late = Program::join(NEW, "added", address, ROOM).await;
    holds(&late.state("until /likes 3").await, &newer());
    holds(&new.state("until /font_size 13").await, &newer());
    server.end().await;
    let server = Program::serve(OLD, "", address, data.path()).await;
    let mut late = Program::join(NEW, "added", address, ROOM).await;
    holds(&late.state("until /font_size 13").await, &newer());
    late.set(r#"{"key":"likes","op":"add","value":1}"#).await;
    new.state("until /likes 4").await;
    late.set(r#"{"key":"likes","value":3}"#).await;

    // A newer server takes them over.
    server.end().await;
    let _server = Program::serve(NEW, "added", address, data.path()).await;
    let mut late = Program::join(NEW, "added", address, ROOM).await;
    assert_eq!(late.ask("live").await, "live");
    let state = late.state("until /font_size 13").await;
    holds(&state, &newer());
    holds(&state, &[("/author", json!("Bob")), ("/layout/width", json!(4)), ("/views", json!(5))]);
    holds(&new.state("show").await, &newer());
    new.set(r#"{"key":"subtitle","value":"FieldHandle 2"}"#).await;
    late.state("until /subtitle \"FieldHandle 2\"").await;
    old.set(r#"{"key":"name","value":"Cyd"}"#).await;
    let state = late.state("until /author \"Cyd\"").await;
    holds(&state, &[("/subtitle", json!("FieldHandle 2"))]);
}

#[tokio::test]
async fn g11_a_new_server_keeps_what_older_clients_write() {
    let data = tempfile::tempdir().unwrap();
    let address = Process::address();
    let server = Program::serve(NEW, "added", address, data.path()).await;
    let mut old = Program::join(OLD, "", address, ROOM).await;
    let mut new = Program::join(NEW, "added", address, ROOM).await;
    new.set(r#"{"key":"layout","value":{"width":3,"wide":true}}"#).await;
    new.set(r#"[{"key":"subtitle","value":"FieldHandle 1"},{"key":"theme","value":{"dark":true}}]"#).await;
    new.set(r#"{"key":"likes","value":3}"#).await;
    new.set(r#"{"key":"author","value":"Bob"}"#).await;
    holds(&old.state("until /name \"Bob\"").await, &[("/layout/columns", json!(3))]);

    old.set(r#"{"key":"layout","value":{"columns":4,"margin":8}}"#).await;
    old.set(r#"[{"key":"name","value":"Ann"},{"key":"note","value":"mine"}]"#).await;
    old.set(r#"{"key":"edits","op":"add","value":2}"#).await;
    let state = new.state("until /author \"Ann\"").await;
    holds(&state, &newer());
    holds(&state, &[("/layout/width", json!(4))]);

    // Fields that the new struct has lost are kept for the clients that have them.
    server.kill().await;
    let server = Program::serve(NEW, "added", address, data.path()).await;
    let own = [("/note", json!("mine")), ("/edits", json!(2)), ("/layout/margin", json!(8))];
    let mut late = Program::join(OLD, "", address, ROOM).await;
    holds(&late.state("until /name \"Ann\"").await, &own);
    new.set(r#"{"key":"layout","value":{"width":5,"wide":true}}"#).await;
    holds(&late.state("until /layout/columns 5").await, &own);
    server.end().await;
    // They are kept for an older server too: the log contains the old names.
    let _server = Program::serve(OLD, "", address, data.path()).await;
    let mut late = Program::join(OLD, "", address, ROOM).await;
    holds(&late.state("until /name \"Ann\"").await, &own);
    let mut late = Program::join(NEW, "added", address, ROOM).await;
    assert_eq!(late.ask("live").await, "live");
    holds(&late.state("until /author \"Ann\"").await, &newer());
}

#[tokio::test]
async fn g11_a_client_whose_struct_does_not_fit_is_told_why() {
    let data = tempfile::tempdir().unwrap();
    let address = Process::address();
    let server = Program::serve(OLD, "", address, data.path()).await;
    let mut other = Program::join(NEW, "other", address, ROOM).await;
    // A write made before the room has answered is rejected, not silently lost.
    let answer = other.ask(r#"set {"key":"title","value":"Plans"}"#).await;
    let why = "`font_size`: expected string (lww), found u8 (lww)";
    assert!(answer.contains("incompatible_schema") && answer.contains(why), "{answer}");
    let answer = other.ask("live").await;
    assert!(answer.contains("incompatible_schema") && answer.contains(why), "{answer}");
    let answer = other.ask(r#"set {"key":"title","value":"Plans"}"#).await;
    assert!(answer.starts_with("refused: incompatible_schema"), "{answer}");
    assert_eq!(other.state("show").await["title"], "");

    // A client with another version of the struct is refused too, and the others do not notice.
    let mut migrated = Program::join(NEW, "migrated", address, ROOM).await;
    let answer = migrated.ask("live").await;
    assert!(answer.contains("expected version 2 of the state, found version 1 of the state"), "{answer}");
    let mut old = Program::join(OLD, "", address, ROOM).await;
    assert_eq!(old.set(r#"{"key":"title","value":"Mine"}"#).await, 1);

    // Two newer clients have a field of the same name with different types: the second one is refused.
    server.end().await;
    let _server = Program::serve(NEW, "other", address, data.path()).await;
    let mut new = Program::join(NEW, "added", address, "another").await;
    let answer = new.ask("live").await;
    assert!(answer.contains("`font_size`: expected u8 (lww), found string (lww)"), "{answer}");
    let mut other = Program::join(NEW, "other", address, "another").await;
    assert_eq!(other.ask("live").await, "live");
}

#[tokio::test]
async fn g11_a_stored_room_is_migrated_or_refused() {
    let data = tempfile::tempdir().unwrap();
    let address = Process::address();
    // A shutdown leaves a snapshot, and a kill leaves a log after it.
    let server = Program::serve(OLD, "", address, data.path()).await;
    let mut old = Program::join(OLD, "", address, ROOM).await;
    old.set(r#"{"key":"font_size","value":11}"#).await;
    old.set(r#"{"key":"views","op":"add","value":2}"#).await;
    server.end().await;
    let server = Program::serve(OLD, "", address, data.path()).await;
    old.set(r#"{"key":"font_size","value":12}"#).await;
    old.set(r#"{"key":"views","op":"add","value":3}"#).await;
    old.set(r#"{"key":"layout","value":{"columns":2,"margin":7}}"#).await;
    let last = old.set(r#"{"key":"note","value":"mine"}"#).await;
    server.kill().await;

    let refused = Program::open(NEW, "other", ROOM, data.path()).await;
    for part in
        ["room `doc` cannot be opened", "`font_size`", "invalid type: integer `11`", "expected a string"]
    {
        assert!(refused.contains(part), "{part}: {refused}");
    }

    // The migration runs again until something is written after it.
    for _ in 0..2 {
        let server = Program::serve(NEW, "migrated", address, data.path()).await;
        let mut new = Program::join(NEW, "migrated", address, ROOM).await;
        let state = new.state("until /font_size \"12 pt\"").await;
        holds(&state, &[("/views", json!(5)), ("/layout/width", json!(2))]);
        server.kill().await;
    }
    let server = Program::serve(NEW, "migrated", address, data.path()).await;
    let mut new = Program::join(NEW, "migrated", address, ROOM).await;
    new.state("until /font_size \"12 pt\"").await;
    assert_eq!(new.set(r#"{"key":"views","op":"add","value":1}"#).await, last + 1);
    new.set(r#"{"key":"font_size","value":"1 em"}"#).await;
    let answer = old.ask("live").await;
    assert!(answer.contains("expected version 1 of the state, found version 2 of the state"), "{answer}");
    server.kill().await;
    let server = Program::serve(NEW, "migrated", address, data.path()).await;
    let mut late = Program::join(NEW, "migrated", address, ROOM).await;
    holds(
        &late.state("until /font_size \"1 em\"").await,
        &[("/views", json!(6)), ("/layout/width", json!(2))],
    );
    server.end().await;

    // The older program is told that the room is newer.
    let refused = Program::open(OLD, "", ROOM, data.path()).await;
    assert!(refused.contains("written by version 2 of the struct, this program has version 1"), "{refused}");
    let opened = Program::open(NEW, "migrated", ROOM, data.path()).await;
    assert_eq!(opened, "opened");
}
