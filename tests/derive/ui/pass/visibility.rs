//! Every visibility, and types that are more private than the struct.
#![deny(warnings)]

pub mod outer {
    pub mod inner {
        use serde::{Deserialize, Serialize};
        use shared_state::SharedState;

        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        struct Private;

        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
        pub struct Public {
            private: Private,
        }

        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
        pub(in crate::pass::visibility::outer) struct Restricted {
            pub(crate) title: String,
            #[shared(nested)]
            public: Public,
        }

        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
        struct Hidden {
            #[shared(nested)]
            restricted: Restricted,
            #[shared(read_only)]
            only: u8,
        }
    }
    pub(crate) fn name() -> &'static str {
        inner::Restricted::TITLE.name()
    }
}

pub fn main() {
    assert_eq!(outer::name(), "title");
}
