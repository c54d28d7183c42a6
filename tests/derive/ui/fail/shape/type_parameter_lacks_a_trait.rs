use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document<T> {
    field: T,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct NotComparable;

fn apply(document: &mut Document<NotComparable>) {
    document.apply(DocumentUpdate::Field(NotComparable));
}

fn main() {}
