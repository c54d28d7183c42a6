//! `validate(pattern(..))`: a regular expression that a text matches.

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Page {
    #[shared(validate(pattern("^[a-z]*$")))]
    word: String,
    #[shared(validate(pattern("b")))]
    with_b: Option<String>,
}

#[test]
fn g8_a_text_matches_somewhere_unless_the_pattern_is_anchored() {
    let check = |update: PageUpdate| {
        let mut page = Page::default();
        page.apply(update.clone());
        assert_eq!(page.check(&update).is_ok(), page.validate().is_ok());
        page.check(&update).map_err(|invalid| invalid.to_string())
    };
    for (word, valid) in [("", true), ("abc", true), ("aBc", false), ("abc1", false)] {
        assert_eq!(check(Page::WORD.set(word.to_owned())).is_ok(), valid, "{word}");
    }
    for (text, valid) in [(None, true), (Some("abc"), true), (Some("ac"), false)] {
        assert_eq!(check(Page::WITH_B.set(text.map(str::to_owned))).is_ok(), valid, "{text:?}");
    }
    assert_eq!(
        check(Page::WORD.set("A".to_owned())),
        Err("word: expected a text that matches `^[a-z]*$`".to_owned())
    );
}
