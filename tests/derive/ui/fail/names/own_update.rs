use serde::{Deserialize, Serialize};
use shared_state::SharedState;

// The message is the compiler's own. The derive cannot know what else the module has; its documentation says that
// `#[shared(update = Name)]` gives the generated type another name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
}

enum DocumentUpdate {
    Title(String),
}

fn main() {}
