//! Rules over a change and its author, `#[shared(validate_change = path)]`: the room checks them for changes
//! of clients.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_state::Rejected;
use shared_state::merge::{CounterOp, NestedOp, OptionalOp};
use shared_state::proto::Code;
use shared_state::proto::replica::WriteId;
use shared_state::{Author, Backend as _};
use shared_state::{SharedState, WriteError};
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
    // The client accepts the write, because it cannot check the rule; the room refuses it.
    user.handle().set_question("Coffee?").unwrap();
    assert_eq!(user.state().question, "Coffee?");
    world.settle();
    assert_eq!(refusal(&user), (None, "the question is asked already".to_owned()));
    assert_eq!((&*user.state().question, &*world.state().question), ("Tea?", "Tea?"));
    // The rule does not apply to the server's program.
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
    // A change outside the nested struct does not concern its rule.
    bob.handle().add_visits(1).unwrap();
    world.settle();
    assert!(bob.answers().pop().unwrap().1.is_ok());
    // A change is applied as a whole or not at all.
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
    // The rule is not checked, because there is nothing to compare with.
    ann.handle().set_second(None).unwrap();
    world.settle();
    assert_eq!(world.state().second, None);
}

/// Polls in collections, each with the rules of its type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Town {
    name: String,
    #[shared(list(key = id, nested))]
    motions: Vec<Motion>,
    #[shared(map(nested))]
    by_street: BTreeMap<String, Motion>,
    #[shared(map(list(key = id, nested)))]
    by_year: BTreeMap<u16, Vec<Motion>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
#[shared(validate = Self::told, validate_change = Self::by_its_owner)]
struct Motion {
    id: u32,
    owner: String,
    text: String,
    open: bool,
    #[shared(nested)]
    ballot: Ballot,
}

impl Motion {
    fn told(&self) -> Result<(), &'static str> {
        if self.open && self.text.is_empty() { Err("an open motion has a text") } else { Ok(()) }
    }

    fn by_its_owner(before: &Self, after: &Self, author: &Author) -> Result<(), String> {
        match before.text == after.text || before.owner == author.name() {
            true => Ok(()),
            false => Err(format!("only {} may change the text", before.owner)),
        }
    }
}

const ANN: &str = "user-0----------";

fn town() -> Town {
    let motion = |id| Motion { id, owner: ANN.into(), text: "More trees".into(), ..Motion::default() };
    Town {
        name: "Springfield".into(),
        motions: vec![motion(1), motion(2)],
        by_street: [("elm".into(), motion(3))].into(),
        by_year: [(2026, vec![motion(4)])].into(),
    }
}

type Write = fn(&SharedTown<User<Town>>) -> Result<WriteId, WriteError>;

fn fewer(motion: &mut Motion) {
    motion.text = "Fewer trees".into();
}

fn refused_at<S: SharedState>(user: &User<S>) -> (String, String) {
    let Rejected(reason) = user.answers().pop().unwrap().1.unwrap_err();
    assert_eq!(reason.code, Code::Invalid);
    (reason.field.unwrap(), reason.message)
}

fn taken<S: SharedState>(user: &User<S>) -> bool {
    user.answers().iter().all(|(_, answer)| answer.is_ok())
}

#[test]
fn g8_the_change_rules_of_items_and_entries_are_asked_about_each_that_changed() {
    let mut world = World::new(town());
    let (ann, bob) = (world.join(), world.join());
    let message = format!("only {ANN} may change the text");
    let writes: [(Write, _); 4] = [
        (|town| town.motions().edit(&2, fewer), "motions/2"),
        (|town| town.by_street().edit(&"elm".into(), fewer), "by_street/elm"),
        (|town| town.by_year().edit(&2026, |year| fewer(&mut year[0])), "by_year/2026/4"),
        // A put of the whole entry is the same change.
        (|town| town.by_street().put("elm".into(), Motion::default()), "by_street/elm"),
    ];
    for (write, field) in writes {
        write(&bob.handle()).unwrap();
        world.settle();
        assert_eq!(refused_at(&bob), (field.to_owned(), message.clone()));
        assert_eq!(world.state(), town());
    }
    // Fields that the rule does not concern may be changed by anyone, and so may entries be added and
    // removed.
    bob.handle().motions().edit(&1, |motion| motion.open = true).unwrap();
    bob.handle().motions().push(Motion { id: 9, ..Motion::default() }).unwrap();
    bob.handle().motions().remove(&2).unwrap();
    bob.handle().by_street().remove(&"elm".into()).unwrap();
    ann.handle().motions().edit(&1, fewer).unwrap();
    world.settle();
    assert!(taken(&ann) && taken(&bob));
    assert_eq!(world.state().motions[0].text, "Fewer trees");
}

#[test]
fn g8_the_change_rule_of_a_struct_in_an_item_is_asked_with_its_place() {
    let mut world = World::new(town());
    let (ann, bob) = (world.join(), world.join());
    ann.handle().motions().edit(&1, |motion| motion.ballot.sealed_by = ANN.into()).unwrap();
    world.settle();
    bob.handle().motions().edit(&1, |motion| motion.ballot.yes = 1).unwrap();
    world.settle();
    let message = format!("`{ANN}` has sealed it, and not `user-1----------`");
    assert_eq!(refused_at(&bob), ("motions/1/ballot".to_owned(), message));
    // The entry of another collection is not sealed.
    bob.handle().by_street().edit(&"elm".into(), |motion| motion.ballot.yes = 1).unwrap();
    world.settle();
    assert!(taken(&bob));
}

#[test]
fn g8_the_rules_of_an_item_as_a_whole_are_asked_on_both_sides() {
    let mut world = World::new(town());
    let (ann, bob) = (world.join(), world.join());
    let silent = |motion: &mut Motion| (motion.text, motion.open) = (String::new(), true);
    let refused = |written: Result<_, WriteError>| match written.unwrap_err() {
        WriteError::Invalid(invalid) => (invalid.field, invalid.message),
        other => panic!("{other}"),
    };
    let town = ann.handle();
    let message = "an open motion has a text".to_owned();
    for (written, field) in [
        (town.motions().edit(&2, silent), "motions/2"),
        (town.by_street().edit(&"elm".into(), silent), "by_street/elm"),
        (town.by_year().edit(&2026, |year| silent(&mut year[0])), "by_year/2026/4"),
        (town.motions().push(Motion { id: 9, open: true, ..Motion::default() }), "motions/9"),
        (town.by_street().put("oak".into(), Motion { open: true, ..Motion::default() }), "by_street/oak"),
    ] {
        assert_eq!(refused(written), (field.to_owned(), message.clone()));
    }
    // Each of these changes is valid where it is written, but not together.
    ann.handle().motions().edit(&1, |motion| motion.text.clear()).unwrap();
    bob.handle().motions().edit(&1, |motion| motion.open = true).unwrap();
    ann.handle().by_year().edit(&2026, |year| year[0].text.clear()).unwrap();
    bob.handle().by_year().edit(&2026, |year| year[0].open = true).unwrap();
    world.settle();
    assert!(taken(&ann));
    let refused: Vec<_> = bob.answers().into_iter().map(|(_, answer)| answer.unwrap_err().0).collect();
    let fields: Vec<_> = refused.iter().map(|reason| reason.field.as_deref().unwrap()).collect();
    assert_eq!(fields, ["motions/1", "by_year/2026/4"]);
    assert!(refused.iter().all(|reason| reason.code == Code::Invalid && reason.message == message));
}

#[test]
fn a_struct_without_change_rules_anywhere_is_not_asked() {
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
    struct Folder {
        name: String,
        #[shared(map(nested))]
        inside: BTreeMap<String, Folder>,
    }
    let inside =
        |fields: &[shared_state::schema::FieldInfo]| fields[1].about.unwrap().entries.unwrap().change_rule;
    assert!(!inside(Folder::FIELDS));
    assert!(Town::FIELDS[1].about.unwrap().entries.unwrap().change_rule);
    // A struct that contains itself is visited once.
    let mut world = World::new(Folder::default());
    let user = world.join();
    user.handle().inside().put("a".into(), Folder::default()).unwrap();
    user.handle().inside().edit(&"a".into(), |folder| folder.name = "x".into()).unwrap();
    world.settle();
    assert!(taken(&user));
}
