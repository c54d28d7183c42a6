use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Layout {
    columns: u8,
}

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(nested, validate(dive))]
    layout: Layout,
    #[shared(validate(dive(items)))]
    layouts: Vec<Layout>,
}

fn main() {}
