//! Two structs that contain each other.
#![deny(warnings)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Chapter {
    title: String,
    #[shared(nested)]
    aside: Option<Box<Aside>>,
    #[shared(list(key = title, nested))]
    asides: Vec<Aside>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
#[shared(validate = Self::short)]
struct Aside {
    title: String,
    #[shared(nested)]
    chapter: Option<Box<Chapter>>,
    #[shared(map(nested))]
    chapters: std::collections::BTreeMap<String, Chapter>,
}

impl Aside {
    fn short(&self) -> Result<(), &'static str> {
        if self.title.len() < 9 { Ok(()) } else { Err("too long") }
    }
}

pub fn main() {
    let long = Aside { title: "a long title".into(), ..Aside::default() };
    let mut chapter = Chapter::default();
    assert!(chapter.check_rule().is_ok());
    chapter.apply(Chapter::ASIDE.set(Some(Box::new(Aside::default()))));
    let inner = Chapter { aside: Some(Box::new(long)), ..Chapter::default() };
    chapter.aside = Some(Box::new(Aside { chapter: Some(Box::new(inner)), ..Aside::default() }));
    let refused = chapter.check_rule().expect_err("the title is too long").to_string();
    assert_eq!(refused, "aside/chapter/aside: too long");
    let schema = shared_state::schema::Schema::of::<Chapter>();
    assert!(schema.schema.fields["aside"].policy.starts_with("nested"));
}
