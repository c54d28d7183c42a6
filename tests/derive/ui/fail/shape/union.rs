use shared_state::SharedState;

#[derive(Clone, Copy, SharedState)]
union Bits {
    int: u32,
    float: f32,
}

fn main() {}
