//! A struct named `Option`.
#![deny(warnings)]
#![allow(dead_code)]

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, shared_state::SharedState)]
struct Option {
    #[shared(validate(range(max = 3)))]
    value: u8,
    more: ::std::option::Option<::std::string::String>,
}

pub fn main() {
    let _ = (OptionPatch::new().value(1), Option::VALUE);
}
