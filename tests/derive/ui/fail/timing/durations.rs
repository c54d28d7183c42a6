use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(debounce = "300")]
    no_unit: String,
    #[shared(debounce = "3h")]
    unknown_unit: String,
    #[shared(throttle = "fast")]
    no_number: String,
    #[shared(throttle = "0.5s")]
    fraction: String,
    #[shared(throttle = "0ms")]
    zero: String,
    #[shared(debounce = "99999999999999999999s")]
    endless: String,
}

fn main() {}
