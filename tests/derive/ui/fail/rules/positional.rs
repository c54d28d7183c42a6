use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(validate(length(1, 3)))]
    title: String,
    #[shared(validate(length(bytes, 3), custom = check))]
    body: String,
    #[shared(validate(length(..=3)))]
    part: String,
    #[shared(validate(range(MIN, Self::MOST), email(1)))]
    size: u8,
    #[shared(validate(range(-1.0, max = 1.0)))]
    angle: f64,
    #[shared(validate(range(min(1), 3)))]
    age: u8,
    #[shared(validate(inner(length(MIN))))]
    names: Vec<String>,
    #[shared(validate(inner("a")))]
    texts: Vec<String>,
    #[shared(validate("^[a-z]+$"))]
    text: String,
}

const MIN: u8 = 12;

fn main() {}
