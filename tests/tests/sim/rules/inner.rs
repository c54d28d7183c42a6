//! `validate(inner(..))`: rules for each item.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

fn calm(text: &str) -> Result<(), &'static str> {
    if text.contains('!') { Err("calm down") } else { Ok(()) }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Page {
    #[shared(validate(inner(length(max = 2), pattern("^[a-z]*$"), custom = calm)))]
    tags: Vec<String>,
    #[shared(validate(inner(inner(range(min = 1, max = 9)))))]
    grades: BTreeMap<String, Option<u8>>,
}

#[test]
fn items_have_rules() {
    let check = |update: PageUpdate| {
        let mut page = Page::default();
        page.apply(update.clone());
        page.check(&update).map_err(|invalid| invalid.to_string())
    };
    let refused = |update, message: &str| assert_eq!(check(update), Err(message.to_owned()));
    refused(Page::TAGS.set(vec!["a".into(), "abc".into()]), "tags: item 2: length is 3, expected at most 2");
    refused(Page::TAGS.set(vec!["A".into()]), "tags: item 1: expected a text that matches `^[a-z]*$`");
    let grades = |grade| Page::GRADES.set(BTreeMap::from([("a".into(), None), ("b".into(), grade)]));
    assert_eq!(check(grades(Some(9))), Ok(()));
    refused(grades(Some(10)), "grades: item 2: item 1: value is 10, expected at most 9");
}
