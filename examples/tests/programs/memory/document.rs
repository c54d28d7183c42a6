//! The document: debounced fields, a field of the server's, and a rule about changes.

use std::time::Duration;

use shared_state::server::Verdict;
use shared_state::testing::{Pair, Simulation};
use shared_state_examples::document::{Document, Theme, rules};

#[test]
fn a_title_is_sent_when_its_author_pauses() {
    let mut pair = Pair::new(Document::default()).hooks(rules);
    let (ann, ben) = (pair.client(0), pair.client(1));
    for title in ["P", "Pl", "Plans"] {
        ann.set_title(title).expect("valid");
        pair.advance(Duration::from_millis(200));
    }
    ann.set_theme(Theme::Dark).expect("valid");
    pair.advance(Duration::from_millis(99));
    assert_eq!((ann.title(), ben.title(), ben.theme()), ("Plans".into(), String::new(), Theme::Dark));
    pair.advance(Duration::from_millis(1));
    assert_eq!((ben.title(), ben.version()), ("Plans".into(), 2));
}

#[test]
fn a_document_keeps_its_title_also_against_a_client_that_was_away() {
    let mut pair = Pair::new(Document::default()).hooks(rules);
    let (ann, ben) = (pair.client(0), pair.client(1));
    ben.disconnect();
    // What he clears is a title of his own, before it is sent.
    ben.set_title("Notes").expect("valid");
    let cleared = ben.set_title("").expect("valid");
    ann.set_title("Plans").expect("valid");
    pair.sync();
    ben.connect();
    pair.sync();
    let refused = cleared.answer().expect("answered").expect_err("the document has a title");
    assert!(refused.to_string().contains("keeps one"), "{refused}");
    assert_eq!((ann.title(), ben.title()), ("Plans".into(), "Plans".into()));
    assert!(ann.set_font_size(25).is_err());
}

#[test]
fn the_server_stamps_each_edit_and_no_view() {
    let mut pair = Pair::new(Document::default()).on_change(|change| {
        Ok(Verdict::amended(change, |document| {
            if document.is_edited_since(change.before) {
                document.last_edit_time += 1;
            }
        }))
    });
    pair.client(0).add_views(1).expect("taken");
    pair.client(1).set_theme(Theme::Sepia).expect("taken");
    pair.sync();
    for client in 0..2 {
        assert_eq!((pair.client(client).views(), pair.client(client).last_edit_time()), (1, 1));
    }
}

#[test]
fn a_document_is_valid_whatever_happens() {
    let report = Simulation::new(Document { title: "Plans".to_owned(), ..Document::default() })
        .hooks(rules)
        .operation("edit", |document, rng| {
            let text = "words ".repeat(rng.usize(1..9));
            document.update(|document| {
                document.title = text.trim().to_owned();
                document.last_editor = "ann".to_owned();
            })
        })
        .operation("clear the title", |document, _| document.set_title(""))
        .invariant("a document that has a title keeps one", |document: &Document| !document.title.is_empty())
        .invariant("the size can be read", |document: &Document| (12..=24).contains(&document.font_size))
        .seeds(20);
    assert!(report.operations > 0 && report.acknowledged > 300, "{report:?}");
}
