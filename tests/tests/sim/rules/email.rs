//! `validate(email)`: the address of one mailbox.
#![allow(clippy::unwrap_used)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Page {
    #[shared(validate(email))]
    owner: Option<String>,
    #[shared(validate(inner(email)))]
    editors: Vec<String>,
}

fn check(update: PageUpdate) -> Result<(), String> {
    let mut page = Page::default();
    page.apply(update.clone());
    assert_eq!(page.check(&update).is_ok(), page.validate().is_ok());
    page.check(&update).map_err(|invalid| invalid.to_string())
}

#[test]
fn addresses_are_those_of_one_mailbox() {
    for (address, valid) in [
        ("ada@example.org", true),
        ("ada+notes@mail.example.org", true),
        ("ada@localhost", false),
        ("Ada <ada@example.org>", false),
        ("ada@[127.0.0.1]", false),
        ("@example.org", false),
        ("ada@", false),
        ("", false),
    ] {
        assert_eq!(check(Page::EDITORS.set(vec![address.to_owned()])).is_ok(), valid, "{address}");
    }
    let refused = check(Page::EDITORS.set(vec!["ada@example.org".into(), "ada".into()])).unwrap_err();
    assert!(refused.starts_with("editors: item 2: expected an email address: "), "{refused}");
    assert_eq!(check(Page::OWNER.set(None)), Ok(()));
    assert!(check(Page::OWNER.set(Some("ada".into()))).is_err());
}
