use shared_state::SharedState;

#[derive(SharedState)]
struct Document {
    title: String,
}

fn main() {}
