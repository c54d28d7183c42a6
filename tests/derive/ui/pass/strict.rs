//! Generated code under the strictest lints.
#![forbid(unsafe_code)]
#![deny(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    rust_2018_idioms,
    unused_qualifications
)]
#![deny(warnings, clippy::all, clippy::pedantic)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

/// The inner state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
pub struct Layout {
    /// How many.
    #[shared(validate(range(min = 1, max = 12)))]
    pub columns: u8,
}

/// The state, with a field for each thing the derive can do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
#[shared(validate = Document::check)]
pub struct Document {
    /// Documented.
    #[shared(debounce = "300ms", max_wait = "1s", validate(length(max = 200), pattern("^[^<`\\n]*$")))]
    pub title: String,
    undocumented: Option<String>,
    #[shared(counter, throttle = "1s")]
    views: f64,
    #[shared(nested)]
    layout: Layout,
    #[shared(read_only, validate(custom = even))]
    last_edit: u64,
    #[shared(read_only, nested)]
    frozen: Layout,
    #[serde(skip)]
    cached: usize,
    /// Names that lints know.
    len: usize,
    next: u8,
    into_iter: u8,
    from_here: u8,
    hidden: Hidden,
    flag: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Hidden;

#[allow(clippy::trivially_copy_pass_by_ref)]
fn even(value: &u64) -> Result<(), String> {
    if value.is_multiple_of(2) { Ok(()) } else { Err(format!("{value} is odd")) }
}

impl Document {
    fn check(&self) -> Result<(), String> {
        if self.flag { Err(String::from("no flags")) } else { Ok(()) }
    }
}

mod private {
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, Serialize, Deserialize, shared_state::SharedState)]
    pub(crate) struct Unused {
        only: u8,
    }
}

/// What the test runs.
///
/// # Panics
/// If something is not as it should be.
pub fn main() {
    let document = Document { cached: 1, ..Document::default() };
    assert_eq!(document.cached, 1);
    let _ = private::Unused::clone;
}
