use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(validade = Self::check)]
struct Document {
    #[shared(readonly)]
    title: String,
    #[shared(debounced = "300ms")]
    body: String,
    #[shared(frobnicate)]
    theme: u8,
}

fn main() {}
