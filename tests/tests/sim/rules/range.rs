//! `validate(range(..))`: bounds of a number, both included.

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

const MOST: u8 = 24;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Page {
    #[shared(validate(range(min = 12, max = MOST)))]
    size: u8,
    #[shared(validate(range(min = -0.5)))]
    ratio: Option<f64>,
}

#[test]
fn g8_bounds_are_included_and_what_is_absent_keeps_the_rule() {
    let check = |update: PageUpdate| {
        let mut page = Page { size: 12, ..Page::default() };
        page.apply(update.clone());
        assert_eq!(page.check(&update).is_ok(), page.validate().is_ok());
        page.check(&update).map_err(|invalid| invalid.to_string())
    };
    for (size, valid) in [(11, false), (12, true), (24, true), (25, false)] {
        assert_eq!(check(Page::SIZE.set(size)).is_ok(), valid, "{size}");
    }
    assert_eq!(check(Page::SIZE.set(11)), Err("size: value is 11, expected at least 12".to_owned()));
    assert_eq!(check(Page::SIZE.set(25)), Err("size: value is 25, expected at most 24".to_owned()));
    for (ratio, valid) in [(None, true), (Some(-0.5), true), (Some(-0.6), false), (Some(f64::MAX), true)] {
        assert_eq!(check(Page::RATIO.set(ratio)).is_ok(), valid, "{ratio:?}");
    }
}
