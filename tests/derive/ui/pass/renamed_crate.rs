//! The crate under another name.
#![no_implicit_prelude]

mod reexports {
    pub use ::shared_state as live;
}

#[derive(
    ::std::clone::Clone,
    ::std::fmt::Debug,
    ::std::cmp::PartialEq,
    ::serde::Serialize,
    ::serde::Deserialize,
    ::shared_state::SharedState,
)]
#[shared(crate = crate::pass::renamed_crate::reexports::live)]
struct Document {
    #[shared(validate(pattern("^x"), length(min = 1)), debounce = "1s")]
    title: ::std::string::String,
    #[shared(counter)]
    views: i64,
}

pub fn main() {}
