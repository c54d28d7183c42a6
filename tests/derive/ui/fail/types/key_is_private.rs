mod inside {
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, shared_state::SharedState)]
    struct Hidden {
        title: String,
    }
}

fn main() {
    let _ = inside::Hidden::TITLE;
}
