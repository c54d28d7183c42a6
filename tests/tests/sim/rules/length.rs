//! `validate(length(..))`: how many characters, bytes or items.

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

const MOST: usize = 3;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[shared(validate(length(chars, max = 4)))]
    main_title: String,
    #[shared(validate(length(bytes, max = 4)))]
    short_name: Option<String>,
    #[shared(validate(length(items, min = 1, max = MOST)))]
    tags: Vec<String>,
}

#[test]
fn lengths_have_units() {
    let check = |update: PageUpdate| {
        let mut page = Page { tags: vec![String::new()], ..Page::default() };
        page.apply(update.clone());
        page.check(&update).map_err(|invalid| invalid.to_string())
    };
    let refused = |update, message: &str| assert_eq!(check(update), Err(message.to_owned()));
    assert_eq!(check(Page::MAIN_TITLE.set("ÄÖÜß".into())), Ok(()));
    refused(Page::MAIN_TITLE.set("ÄÖÜßx".into()), "mainTitle: length is 5 characters, expected at most 4");
    assert_eq!(check(Page::SHORT_NAME.set(None)), Ok(()));
    refused(Page::SHORT_NAME.set(Some("ÄÖÜ".into())), "shortName: length is 6 bytes, expected at most 4");
    refused(Page::TAGS.set(vec![]), "tags: length is 0, expected at least 1");
}
