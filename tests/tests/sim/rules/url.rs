//! `validate(url)`: an absolute URL.
#![allow(clippy::unwrap_used)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Page {
    #[shared(validate(url))]
    home: Option<String>,
}

fn check(update: PageUpdate) -> Result<(), String> {
    let mut page = Page::default();
    page.apply(update.clone());
    assert_eq!(page.check(&update).is_ok(), page.validate().is_ok());
    page.check(&update).map_err(|invalid| invalid.to_string())
}

#[test]
fn urls_are_absolute() {
    for (url, valid) in [
        ("https://example.org/a?b#c", true),
        ("mailto:ada@example.org", true),
        ("example.org", false),
        ("/notes", false),
        ("https://", false),
        ("", false),
    ] {
        assert_eq!(check(Page::HOME.set(Some(url.to_owned()))).is_ok(), valid, "{url}");
    }
    assert_eq!(check(Page::HOME.set(None)), Ok(()));
    assert_eq!(
        check(Page::HOME.set(Some("example.org".into()))).unwrap_err(),
        "home: expected a URL: relative URL without a base"
    );
}
