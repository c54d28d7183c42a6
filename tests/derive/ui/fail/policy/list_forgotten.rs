use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use shared_state::{Backend, List, SharedState, Text};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    items: Vec<u8>,
    votes: BTreeMap<u8, u8>,
    scores: HashMap<u8, u8>,
    tags: BTreeSet<u8>,
    parts: List<u8>,
    body: Text,
}

fn write<L: Backend<Document>>(doc: &SharedDocument<L>) {
    doc.items().push(1);
    doc.votes().insert(1, 2);
    doc.scores().clear();
    doc.tags().remove(&1);
    doc.parts().clear();
    doc.body().insert(0, "x");
    doc.items()[0] = 1;
}

fn main() {}
