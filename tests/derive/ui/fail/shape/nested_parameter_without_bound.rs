use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document<T> {
    #[shared(nested)]
    field: T,
}

fn apply(document: &mut Document<u8>, update: <Document<u8> as SharedState>::Update) {
    document.apply(update);
}

fn main() {}
