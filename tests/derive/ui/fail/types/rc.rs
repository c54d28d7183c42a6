use std::rc::Rc;

use shared_state::SharedState;

#[derive(Clone, SharedState)]
struct Document {
    title: Rc<str>,
    parts: Vec<std::rc::Rc<u8>>,
}

fn main() {}
