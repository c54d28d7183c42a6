//! `validate(custom = path)`: a function of the field's value.

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

fn even(number: &u32) -> Result<(), String> {
    if number.is_multiple_of(2) { Ok(()) } else { Err(format!("{number} is odd")) }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Page {
    #[shared(validate(custom = even))]
    columns: u32,
}

#[test]
fn g8_the_functions_message_is_the_errors() {
    let mut page = Page::default();
    let update = Page::COLUMNS.set(3);
    page.apply(update.clone());
    assert_eq!(page.check(&update).unwrap_err().to_string(), "columns: 3 is odd");
    assert_eq!(page.validate().unwrap_err().to_string(), "columns: 3 is odd");
    let update = Page::COLUMNS.set(4);
    page.apply(update.clone());
    assert_eq!((page.check(&update), page.validate()), (Ok(()), Ok(())));
}
