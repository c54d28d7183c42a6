use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_state::{Backend, List, SharedState};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(list(key = id))]
    items: Vec<Item>,
    #[shared(list(key = id))]
    parts: List<Part>,
    #[shared(map)]
    by_name: BTreeMap<String, Item>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Item {
    id: u32,
    title: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Part {
    id: u32,
    title: String,
}

fn write<L: Backend<Document>>(doc: &SharedDocument<L>) {
    let _ = doc.items().at(&1).title();
    let _ = doc.items().at(&1).set_title("x");
    let _ = doc.parts().at(&1).title();
    let _ = doc.by_name().at(&"x".to_owned()).title();
}

fn main() {}
