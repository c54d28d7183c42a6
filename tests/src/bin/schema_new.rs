//! A program with newer structs, of three kinds: `added`, whose struct can share rooms with that of
//! `schema_old`; `other`, whose struct has a field of another type; and `migrated`, the same with a
//! migration.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared_state::SharedState;
use shared_state_tests::evolve::run;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    title: String,
    #[serde(alias = "name")]
    author: String,
    font_size: u8,
    #[shared(counter)]
    views: i64,
    #[shared(nested)]
    layout: Layout,
    subtitle: String,
    #[shared(counter)]
    likes: u8,
    #[shared(nested)]
    theme: Theme,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Layout {
    #[serde(alias = "columns")]
    width: u8,
    wide: bool,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Theme {
    dark: bool,
}

mod other {
    use super::{Deserialize, Layout, Serialize, SharedState};

    #[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
    pub(super) struct Document {
        pub(super) title: String,
        pub(super) font_size: String,
        #[shared(nested)]
        pub(super) layout: Layout,
    }
}

mod migrated {
    use super::{Deserialize, Layout, Serialize, SharedState, Value};

    #[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
    #[shared(version = 2, migrate = Self::migrated)]
    pub(super) struct Document {
        pub(super) title: String,
        pub(super) font_size: String,
        #[shared(nested)]
        pub(super) layout: Layout,
        #[shared(counter)]
        pub(super) views: i64,
    }

    impl Document {
        fn migrated(from: u32, mut value: Value) -> Result<Value, String> {
            let points = value["font_size"].as_u64().ok_or(format!("no size in version {from}"))?;
            value["font_size"] = format!("{points} pt").into();
            Ok(value)
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("added") => run::<Document>(args).await,
        Some("other") => run::<other::Document>(args).await,
        Some("migrated") => run::<migrated::Document>(args).await,
        _ => Err("expected `added`, `other` or `migrated`".into()),
    }
}
