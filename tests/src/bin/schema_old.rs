//! A program with the older struct; `schema_new` shows how it changed.

use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state_tests::evolve::run;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    title: String,
    /// Renamed since.
    name: String,
    font_size: u8,
    #[shared(counter)]
    views: i64,
    #[shared(nested)]
    layout: Layout,
    /// Removed since.
    note: String,
    /// Removed since.
    #[shared(counter)]
    edits: u32,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Layout {
    /// Renamed since.
    columns: u8,
    /// Removed since.
    margin: u8,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    run::<Document>(std::env::args().skip(2)).await
}
