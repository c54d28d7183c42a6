//! Shared states and items with the names of the standard library's types, nested in each other.
#![deny(warnings)]
#![allow(dead_code)]

macro_rules! named {
    ($($name:ident)*) => {$(
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, shared_state::SharedState)]
        struct $name {
            #[shared(validate(length(max = 3), pattern("^a*$")))]
            text: ::std::string::String,
            #[shared(counter, validate(range(max = 3)))]
            count: u8,
            #[shared(map)]
            map: ::std::collections::BTreeMap<u8, u8>,
            #[shared(nested)]
            inner: ::std::option::Option<::std::boxed::Box<Self>>,
        }
    )*};
}

// Serde's own code says `Result` and `Some`, but by paths.
named![Box Option Vec String Result Some None Ok Err Default Clone Debug PartialEq From Into Iterator Send ToString];

#[derive(
    ::std::clone::Clone,
    ::std::fmt::Debug,
    ::std::cmp::PartialEq,
    serde::Serialize,
    serde::Deserialize,
    shared_state::SharedState,
)]
#[shared(validate = Self::check)]
struct Document {
    #[shared(nested)]
    r#box: Box,
    #[shared(nested)]
    option: Option,
    #[shared(nested)]
    vec: Vec,
    #[shared(nested)]
    string: String,
    #[shared(nested)]
    result: ::std::option::Option<Result>,
    #[shared(nested)]
    some: ::std::boxed::Box<Some>,
    #[shared(list(key = text))]
    list: ::std::vec::Vec<Vec>,
    #[shared(list(key = text, nested))]
    boxes: shared_state::List<Box>,
    #[shared(map(nested))]
    map: ::std::collections::HashMap<u8, Option>,
    plain: (Default, Clone),
    #[shared(read_only)]
    #[allow(dead_code)]
    from: From,
}

impl Document {
    fn check(&self) -> ::std::result::Result<(), ::std::string::String> {
        ::std::result::Result::Ok(())
    }
}

pub fn main() {
    let _ =
        (Document::BOX, Document::OPTION, Document::VEC, Document::STRING, Document::RESULT, Document::SOME);
    let _ = (DocumentPatch::new(), Box::COUNT, StringPatch::new().text("a"));
}
