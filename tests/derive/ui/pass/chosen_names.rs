//! Generated types with names of the user's choice, beside types that have the usual names.
#![deny(warnings)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use shared_state::{Backend, SharedState};

pub struct DocumentUpdate;
pub struct DocumentPatch;
pub struct SharedDocument;
pub struct DocumentItemsKey;
pub struct TitleCodec;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
#[shared(handle = LiveDocument, patch = DocumentChanges, update = DocumentOp)]
struct Document {
    #[serde(with = "codec")]
    title: u8,
    #[shared(list(key = id))]
    items: Vec<Item>,
    #[shared(nested)]
    part: Part,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Item {
    id: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
#[shared(update = PartOp)]
struct Part {
    title: u8,
}

mod codec {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &u8, serializer: S) -> Result<S::Ok, S::Error> {
        super::TitleCodec::both(*value).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
        u8::deserialize(deserializer)
    }
}

impl TitleCodec {
    const fn both(value: u8) -> u8 {
        value
    }
}

fn write<L: Backend<Document>>(document: &LiveDocument<L>) -> Result<L::Receipt, L::Error> {
    document.part().set_title(3)?;
    document.set_title(2)
}

pub fn main() {
    let mut document = Document { title: 1, items: vec![], part: Part { title: 0 } };
    document.apply(DocumentOp::Title(3));
    for update in Document::patch_updates(DocumentChanges::new().part(PartPatch::new().title(4))) {
        document.apply(update);
    }
    assert_eq!((document.title, document.part), (3, Part { title: 4 }));
    let _ = (PartOp::Title(1), DocumentUpdate, DocumentPatch, SharedDocument, DocumentItemsKey);
}
