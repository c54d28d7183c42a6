use std::rc::Rc;

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    title: Rc<str>,
    parts: Vec<std::rc::Rc<u8>>,
}

fn main() {}
