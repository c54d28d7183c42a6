use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(validate(email))]
    age: u8,
    #[shared(validate(url))]
    home: Vec<String>,
}

fn main() {}
