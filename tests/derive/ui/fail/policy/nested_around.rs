use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Layout {
    columns: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(nested)]
    twice: Option<Option<Layout>>,
    #[shared(nested)]
    counted: Option<Vec<Layout>>,
    #[shared(nested)]
    number: Box<u64>,
}

fn main() {}
