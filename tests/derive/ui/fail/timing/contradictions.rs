use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(debounce = "300ms", throttle = "50ms")]
    both: String,
    #[shared(read_only, debounce = "300ms")]
    read_only: String,
    #[shared(counter, debounce = "300ms")]
    views: i64,
    #[shared(nested, throttle = "1s")]
    layout: u8,
}

fn main() {}
