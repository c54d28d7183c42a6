//! A struct that only a function sees, and one made by a macro.
#![deny(warnings)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

macro_rules! state {
    ($name:ident { $($field:ident: $type:ty,)* }) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
        struct $name {
            $($field: $type,)*
            #[shared(counter)]
            count: i32,
        }
    };
}

state!(Made { title: String, parent: Option<Box<Self>>, });

pub fn main() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
    struct Inside {
        title: String,
    }
    let _ = InsideUpdate::Title(String::new());
    let made = Made { title: String::new(), parent: None, count: 0 };
    let _ = MadePatch { parent: Some(Some(Box::new(made))), ..MadePatch::default() };
}
