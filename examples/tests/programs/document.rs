//! Two editors of one document.

use crate::terminal::{connected, demo};

const DOCUMENT: &str = env!("CARGO_BIN_EXE_document");

#[test]
fn what_one_editor_does_the_other_sees() {
    let data = tempfile::tempdir().expect("there is a directory for temporary files");
    let (_server, url) = demo(data.path(), "127.0.0.1:0");
    let mut ann = connected(DOCUMENT, &url, "document-1", "ann");
    let mut ben = connected(DOCUMENT, &url, "document-1", "ben");
    ann.until("2 views");
    ben.until("2 views");

    // Where the other is shows at once, and is no change.
    ann.until("with ben at Title");
    ben.until("with ann at Title");
    ben.type_in("at content");
    ann.until("ben is at Content");
    ann.until("with ben at Content");

    // A merge is one change: one event for everybody.
    ann.ask("merge dark 18 Plans", "merge accepted: version ");
    let merge = ben.until("Theme(Dark)");
    assert!(merge.starts_with("remote, version ") && merge.contains("FontSize(18)"), "{merge}");
    assert!(merge.contains(r#"Title("Plans")"#) && merge.contains(r#"LastEditor("ann")"#), "{merge}");

    // The time is written by the server, whoever edits.
    let stamp = ben.until("LastEditTime(");
    assert!(stamp.contains(" by server: "), "{stamp}");
    ann.until("LastEditTime(");
    ann.ask("stamp", "stamp refused: `last_edit_time` is read-only");

    // What breaks a rule of the struct is not even sent.
    ann.ask("size 99", "size refused: font_size: value is 99, expected at most 24");
    ann.ask("size much", "no such size");
    ann.ask("show", "Dark, 18 pt");

    // What breaks a rule of the server shows, and is taken back.
    ann.ask("title", r#"local: Title("")"#);
    ann.until(r#"rolled back to: Title("Plans")"#);
    ann.until("title refused: invalid: a document that has a title keeps one");

    // Typing is sent when it pauses, once.
    ann.ask("type Hello", "type accepted: version ");
    ben.until("Content(");
    let typed: Vec<_> = ben.seen.iter().filter(|line| line.contains("Content(")).collect();
    assert!(typed.len() == 1 && typed[0].ends_with(r#"Content("Hello")"#), "{typed:?}");
    let seen = ann.seen.iter().filter(|line| line.starts_with("local: Content(")).count();
    assert_eq!(seen, 5, "ann sees every letter at once");

    // Who writes is where they write.
    while !ben.ask("show", "with ann at ").ends_with("Content") {}

    assert!(ann.end().success());
    ben.until("ann is gone");
    assert!(ben.end().success());
}
