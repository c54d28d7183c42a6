//! Rules over a change and its author, `#[shared(validate_change = path)]`: asked by the room of clients' changes.
#![allow(clippy::unwrap_used)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::merge::{CounterOp, NestedOp, OptionalOp};
use shared_state::protocol::Code;
use shared_state::replica::Rejected;
use shared_state::state::{Author, Live as _};
use shared_state_tests::{User, World};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
#[shared(validate_change = Self::once)]
struct Poll {
    question: String,
    #[shared(counter)]
    visits: i64,
    #[shared(nested)]
    #[serde(rename = "box")]
    ballot: Ballot,
    #[shared(nested)]
    second: Option<Box<Ballot>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
#[shared(validate_change = own_seal)]
struct Ballot {
    sealed_by: String,
    yes: u32,
}

impl Poll {
    fn once(before: &Self, after: &Self, _author: &Author) -> Result<(), &'static str> {
        match before.question.is_empty() || before.question == after.question {
            true => Ok(()),
            false => Err("the question is asked already"),
        }
    }
}

fn own_seal(before: &Ballot, after: &Ballot, author: &Author) -> Result<(), String> {
    if !before.sealed_by.is_empty() && before.sealed_by != author.name() {
        return Err(format!("`{}` has sealed it, and not `{}`", before.sealed_by, author.name()));
    }
    if after.yes < before.yes { Err("a vote is not taken back".into()) } else { Ok(()) }
}

fn refusal(user: &User<Poll>) -> (Option<String>, String) {
    let Rejected(reason) = user.answers().pop().unwrap().1.unwrap_err();
    assert_eq!(reason.code, Code::Invalid);
    (reason.field, reason.message)
}

#[test]
fn g8_a_change_rule_sees_what_was_and_what_is() {
    let mut world = World::new(Poll::default());
    let user = world.join();
    world.settle();
    user.handle().set_question("Tea?").unwrap();
    world.settle();
    assert!(user.answers().pop().unwrap().1.is_ok());
    // The client takes it, for it cannot know better; the room does not.
    user.handle().set_question("Coffee?").unwrap();
    assert_eq!(user.state().question, "Coffee?");
    world.settle();
    assert_eq!(refusal(&user), (None, "the question is asked already".to_owned()));
    assert_eq!((&*user.state().question, &*world.state().question), ("Tea?", "Tea?"));
    // The server's own program is above the rule.
    world.write(r#"[{"key":"question","value":"Coffee?"}]"#);
    world.settle();
    assert_eq!(user.state().question, "Coffee?");
}

#[test]
fn g8_the_rules_of_nested_structs_are_asked_about_changes_inside_them() {
    let mut world = World::new(Poll { second: Some(Box::default()), ..Poll::default() });
    let (ann, bob) = (world.join(), world.join());
    world.settle();
    ann.handle().ballot().set_sealed_by("user-0----------").unwrap();
    world.settle();
    bob.handle().ballot().set_yes(1).unwrap();
    world.settle();
    let message = "`user-0----------` has sealed it, and not `user-1----------`".to_owned();
    assert_eq!(refusal(&bob), (Some("box".to_owned()), message));
    // What is not inside is nothing to the nested struct's rule.
    bob.handle().add_visits(1).unwrap();
    world.settle();
    assert!(bob.answers().pop().unwrap().1.is_ok());
    // Whole or not at all.
    ann.handle().edit_second(Ballot::SEALED_BY.set("user-0----------".into())).unwrap();
    world.settle();
    assert!(ann.answers().iter().all(|(_, answer)| answer.is_ok()));
    bob.write_with(|_| {
        vec![
            PollUpdate::Visits(CounterOp::Add(1)),
            PollUpdate::Second(OptionalOp::In(NestedOp::In(Box::new(Ballot::YES.set(1))))),
        ]
    })
    .unwrap();
    world.settle();
    assert_eq!(refusal(&bob).0.as_deref(), Some("second"));
    assert_eq!(world.state().visits, 1);
    ann.handle().ballot().set_yes(1).unwrap();
    ann.handle().edit_second(Ballot::YES.set(2)).unwrap();
    world.settle();
    assert!(ann.answers().iter().all(|(_, answer)| answer.is_ok()));
    ann.handle().edit_second(Ballot::YES.set(1)).unwrap();
    world.settle();
    assert_eq!(refusal(&ann), (Some("second".to_owned()), "a vote is not taken back".to_owned()));
    // There is nothing to compare.
    ann.handle().set_second(None).unwrap();
    world.settle();
    assert_eq!(world.state().second, None);
}
