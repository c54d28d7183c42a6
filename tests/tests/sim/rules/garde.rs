//! `#[shared(garde)]`: the rules of a struct's own `garde::Validate`, on both sides.
#![allow(clippy::unwrap_used)]

use garde::Validate;
use serde::{Deserialize, Serialize};
use shared_state::Invalid;
use shared_state::merge::{ListOp, NestedOp, Place};
use shared_state::proto::Code;
use shared_state::proto::authority::{RoomState as _, Typed, Writer};
use shared_state::{SharedState, WriteError};
use shared_state_tests::World;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState, Validate)]
#[serde(rename_all = "camelCase")]
#[shared(garde)]
struct Account {
    #[garde(length(chars, min = 1, max = 8))]
    user_name: String,
    #[garde(ascii)]
    r#type: String,
    #[garde(matches(user_name))]
    repeated: String,
    #[garde(dive)]
    #[shared(list(key = id, nested))]
    notes: Vec<Note>,
    #[garde(skip)]
    #[shared(nested)]
    size: Size,
    #[garde(dive)]
    tags: Vec<Tag>,
    #[garde(skip)]
    #[shared(counter)]
    visits: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState, Validate)]
#[shared(garde)]
struct Note {
    #[garde(skip)]
    id: u32,
    #[garde(length(max = 3))]
    text: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState, Validate)]
#[shared(garde)]
struct Size {
    #[garde(range(max = 9))]
    columns: u8,
}

/// Not a shared struct, so it is set as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Validate)]
struct Tag {
    #[garde(length(max = 2))]
    name: String,
}

fn account() -> Account {
    Account {
        user_name: "ada".into(),
        r#type: "user".into(),
        repeated: "ada".into(),
        notes: vec![Note { id: 7, text: "hi".into() }],
        size: Size { columns: 3 },
        tags: Vec::new(),
        visits: 0,
    }
}

/// The verdict of the rules after `updates`, checked as both sides check it.
fn verdict(updates: impl IntoIterator<Item = AccountUpdate>) -> Result<(), (String, String)> {
    let mut state = account();
    let touched: Vec<_> = updates.into_iter().map(|update| state.apply(update)).collect();
    let by_update = touched.iter().try_for_each(|touched| state.check(touched));
    let verdict = by_update.and_then(|()| state.check_rule());
    assert_eq!(verdict.is_ok(), SharedState::validate(&state).is_ok());
    verdict.map_err(|Invalid { field, message, .. }| (field, message))
}

fn broken(field: &str, message: &str) -> Result<(), (String, String)> {
    Err((field.to_owned(), message.to_owned()))
}

#[test]
fn an_error_is_at_the_field_under_its_name_on_the_wire() {
    const { assert!(Account::HAS_RULE && Size::HAS_RULE) };
    assert_eq!(verdict([]), Ok(()));
    assert_eq!(verdict([Account::TYPE.set("ü".into())]), broken("type", "not ascii"));
    let both = |name: &str| [Account::USER_NAME.set(name.into()), Account::REPEATED.set(name.into())];
    assert_eq!(verdict(both("grace")), Ok(()));
    assert_eq!(verdict(both("")), broken("userName", "length is lower than 1"));
    // Changing one of the two fields alone makes the state invalid.
    assert_eq!(
        verdict([Account::USER_NAME.set("grace".into())]),
        broken("repeated", "does not match user_name field")
    );
    let tag = Tag { name: "long".into() };
    assert_eq!(
        verdict([Account::TAGS.set(vec![Tag::default(), tag])]),
        broken("tags/1/name", "length is greater than 2")
    );
}

#[test]
fn what_is_nested_has_its_own() {
    let columns = |columns| Account::SIZE.op(NestedOp::In(Box::new(Size::COLUMNS.set(columns))));
    assert_eq!(verdict([columns(9)]), Ok(()));
    assert_eq!(verdict([columns(10)]), broken("size/columns", "greater than 9"));
    let note = Note { id: 8, text: "long".into() };
    let insert = Account::NOTES.op(ListOp::Insert(Place::End, note));
    assert_eq!(verdict([insert]), broken("notes/8/text", "length is greater than 3"));
}

#[test]
fn g8_garde_is_asked_on_both_sides() {
    let mut world = World::new(account());
    let user = world.join();
    world.settle();
    let Err(WriteError::Invalid(invalid)) = user.handle().set_type("ü") else { panic!("taken") };
    assert_eq!(invalid.to_string(), "type: not ascii");
    user.handle().set_type("admin").unwrap();
    user.handle().notes().edit(&7, |note| note.text.push('!')).unwrap();
    assert!(user.handle().notes().edit(&7, |note| note.text.push('!')).is_err());
    world.settle();
    assert_eq!((&*world.state().r#type, &*world.state().notes[0].text), ("admin", "hi!"));

    let mut room = Typed::new(account());
    let mut write =
        |text: &str| room.apply(&serde_json::from_str::<Vec<_>>(text).unwrap(), Writer::Server, 1);
    let refused = write(r#"[{"key":"visits","op":"add","value":1},{"key":"type","value":"ü"}]"#).unwrap_err();
    assert_eq!((refused.code, refused.field.as_deref()), (Code::Invalid, Some("type")));
    assert_eq!(*room.get(), account());
}
