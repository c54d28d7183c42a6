//! A struct named `Vec`.
#![deny(warnings)]
#![allow(dead_code)]

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, shared_state::SharedState)]
struct Vec {
    #[shared(validate(range(max = 3)))]
    value: u8,
    more: ::std::option::Option<::std::string::String>,
}

pub fn main() {
    let _ = (VecPatch::new().value(1), Vec::VALUE);
}
