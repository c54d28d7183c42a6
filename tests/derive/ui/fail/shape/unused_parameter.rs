use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document<T> {
    title: String,
    #[serde(skip)]
    marker: PhantomData<T>,
}

fn main() {}
