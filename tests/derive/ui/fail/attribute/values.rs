use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(validate = "Document::check")]
struct Document {
    #[shared(debounce)]
    a: String,
    #[shared(debounce = 300)]
    b: String,
    #[shared(skip = true)]
    c: String,
    #[shared(rename = fontSize)]
    d: String,
    #[shared(validate(custom = "check", pattern = "x", length, range()))]
    e: String,
    #[shared]
    f: String,
}

fn main() {}
