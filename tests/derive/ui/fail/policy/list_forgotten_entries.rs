use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_state::{Backend, List, SharedState, Text};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    items: Vec<Item>,
    parts: List<Item>,
    by_name: BTreeMap<String, Item>,
    body: Text,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Item {
    id: u32,
    title: String,
}

fn write<L: Backend<Document>>(doc: &SharedDocument<L>, item: Item) -> Result<(), L::Error> {
    doc.items().at(&1).set_title("x")?;
    let _ = doc.items().item(&1).is_some();
    let _ = doc.items().position(&1).is_some();
    doc.items().insert_at(0, item.clone())?;
    doc.items().insert_after(&1, item.clone())?;
    doc.items().move_after(&1, &2)?;
    doc.items().move_between(&1, &doc.parts(), 0)?;
    doc.items().write_in(&1, Item::TITLE.set(String::new()))?;
    let _ = doc.parts().at(&1).title();
    let _ = doc.parts().position(&1);
    let _ = doc.by_name().at(&String::new()).title();
    doc.body().insert_utf16(0, "x")?;
    doc.items().watch();
    Ok(())
}

fn main() {}
