use serde::Serialize;
use shared_state::SharedState;

#[derive(Clone, Serialize, SharedState)]
struct Document<'a> {
    title: &'a str,
}

fn main() {}
