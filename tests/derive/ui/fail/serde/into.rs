use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[serde(into = "String", from = "String")]
struct Document {
    title: String,
}

impl From<Document> for String {
    fn from(document: Document) -> Self {
        document.title
    }
}

impl From<String> for Document {
    fn from(title: String) -> Self {
        Document { title }
    }
}

fn main() {}
