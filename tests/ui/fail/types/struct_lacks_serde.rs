use shared_state::SharedState;

#[derive(Clone, SharedState)]
struct Document {
    title: String,
}

fn main() {}
