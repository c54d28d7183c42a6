use serde::{Deserialize, Serialize};
use shared_state::SharedState;

use shared_state::WriteError;
use shared_state::Backend;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(read_only)]
    last_edit: u64,
}

fn write<L: Backend<Document>>(document: &SharedDocument<L>) -> Result<L::Receipt, WriteError> {
    document.set_last_edit(1)
}

fn main() {}
