//! A struct named `Update`.
#![deny(warnings)]
#![allow(dead_code)]

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, shared_state::SharedState)]
struct Update {
    #[shared(validate(range(max = 3)))]
    value: u8,
    more: ::std::option::Option<::std::string::String>,
}

pub fn main() {
    let _ = (UpdatePatch::new().value(1), Update::VALUE);
}
