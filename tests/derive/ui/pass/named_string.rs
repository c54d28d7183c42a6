//! A struct named `String`.
#![deny(warnings)]
#![allow(dead_code)]

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, shared_state::SharedState)]
struct String {
    #[shared(validate(range(max = 3)))]
    value: u8,
    more: ::std::option::Option<::std::string::String>,
}

pub fn main() {
    let _ = (StringPatch::new().value(1), String::VALUE);
}
