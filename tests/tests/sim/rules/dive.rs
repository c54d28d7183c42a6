//! Rules that call another crate or the rules of another struct.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::schema::RuleInfo;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
#[shared(validate = Self::calm)]
struct Comment {
    #[shared(validate(length(max = 5)))]
    text: String,
    #[shared(validate(email))]
    author: Option<String>,
}

impl Comment {
    fn calm(&self) -> Result<(), &'static str> {
        if self.text.ends_with('!') { Err("stay calm") } else { Ok(()) }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Page {
    #[shared(validate(length(max = 3), dive))]
    comments: Vec<Comment>,
    #[shared(validate(dive))]
    by_user: BTreeMap<String, Option<Comment>>,
}

fn comment(text: &str) -> Comment {
    Comment { text: text.to_owned(), author: None }
}

fn check(update: PageUpdate) -> Result<(), String> {
    let mut page = Page::default();
    page.apply(update.clone());
    assert_eq!(page.check(&update).is_ok(), page.validate().is_ok());
    page.check(&update).map_err(|invalid| invalid.to_string())
}

#[test]
fn items_keep_the_rules_of_their_own_type() {
    assert_eq!(check(Page::COMMENTS.set(vec![comment("fine")])), Ok(()));
    assert_eq!(
        check(Page::COMMENTS.set(vec![comment("fine"), comment("too long")])).unwrap_err(),
        "comments: item 2: text: length is 8, expected at most 5"
    );
    assert_eq!(check(Page::COMMENTS.set(vec![comment("no!")])).unwrap_err(), "comments: item 1: stay calm");
    let by_user =
        |text| Page::BY_USER.set(BTreeMap::from([("ada".into(), None), ("bob".into(), Some(comment(text)))]));
    assert_eq!(check(by_user("fine")), Ok(()));
    assert_eq!(
        check(by_user("too long")).unwrap_err(),
        "by_user: item 2: text: length is 8, expected at most 5"
    );
    assert_eq!(Page::FIELDS[Page::COMMENTS.id()].rules[1], RuleInfo::Dive);
    assert!(Page::INFO.to_string().contains("[length ..=3] [each item by its own rules]"));
}
