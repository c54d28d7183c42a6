//! The chat: lines in one order for everybody, and who is typing.

use std::time::Duration;

use shared_state::presence::PresenceOptions;
use shared_state::testing::Pair;
use shared_state_examples::chat::{Doing, Line};
use shared_state_examples::quickstart::Note;

fn line(name: &str, text: &str) -> Line {
    Line { name: name.to_owned(), text: text.to_owned() }
}

#[test]
fn lines_are_in_one_order_for_everybody_also_those_said_offline() {
    let mut pair = Pair::new(Note::default());
    let (ann, ben) = (pair.channel::<Line>(0, "chat"), pair.channel::<Line>(1, "chat"));
    pair.sync();
    ann.send(&line("ann", "hello")).expect("a line");
    ben.send(&line("ben", "good morning")).expect("a line");
    pair.sync();
    let said = |history: Vec<shared_state::channel::Item<Line>>| {
        let lines = history.into_iter().map(|item| match item {
            shared_state::channel::Item::Message(message) => message.value().clone(),
            other => panic!("{other:?}"),
        });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(said(ann.history()), said(ben.history()));
    assert_eq!(said(ann.history()).len(), 2);
}

#[test]
fn typing_is_seen_by_the_others_and_is_not_kept() {
    let mut pair = Pair::new(Note::default());
    let options = PresenceOptions::default;
    let ann = pair.presence(0, "ann".to_owned(), Doing::default(), options()).expect("a presence");
    let ben = pair.presence(1, "ben".to_owned(), Doing::default(), options()).expect("a presence");
    pair.sync();
    ann.set(Doing { typing: true }).expect("a presence");
    pair.advance(Duration::from_secs(1));
    let seen = ben.others();
    assert_eq!((seen.len(), seen[0].data.typing), (1, true));
    assert!(!ann.others()[0].data.typing);
}
