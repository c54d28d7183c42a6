//! A struct named `Result`.
#![deny(warnings)]
#![allow(dead_code)]

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, shared_state::SharedState)]
struct Result {
    #[shared(validate(range(max = 3)))]
    value: u8,
    more: ::std::option::Option<::std::string::String>,
}

pub fn main() {
    let _ = (ResultPatch::new().value(1), Result::VALUE);
}
