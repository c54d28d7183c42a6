#![deny(warnings, missing_docs, clippy::pedantic)]
//! Texts, also inside other values, and the rules that they take.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_state::Backend;
use shared_state::{SharedState, Text};

/// A document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
pub struct Document {
    #[shared(text, debounce = "300ms", validate(length(max = 20_000), pattern("^[^\t]*$"), custom = no_shouting))]
    body: Text,
    #[shared(text, validate(length(bytes, max = 200)))]
    r#abstract: Text,
    #[shared(map(text))]
    pages: BTreeMap<String, Text>,
    #[shared(nested)]
    margin: Margin,
    signature: Text,
}

/// A margin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
pub struct Margin {
    #[shared(text)]
    left: Text,
}

fn no_shouting(text: &Text) -> Result<(), &'static str> {
    if text.contains("!!!") { Err("no shouting") } else { Ok(()) }
}

fn edit<L: Backend<Document>>(document: &SharedDocument<L>) -> Result<(), L::Error> {
    document.body().insert(4, "text")?;
    document.body().delete_utf16(0, 2)?;
    document.set_body("all of it".into())?;
    document.r#abstract().apply_diff("short")?;
    document.margin().left().push("note")?;
    let _ = document.body().to_string();
    Ok(())
}

/// What the test runs.
///
/// # Panics
/// If something is not as it should be.
pub fn main() {
    let _ = edit::<Nowhere>;
}

/// A backend.
#[derive(Clone)]
pub struct Nowhere;

impl Backend<Document> for Nowhere {
    type Receipt = ();
    type Error = shared_state::Invalid;

    fn read<R>(&self, look: impl FnOnce(&Document) -> R) -> R {
        look(&Document::default())
    }

    fn write_with(&self, _: impl FnOnce(&Document) -> Vec<DocumentUpdate>) -> Result<(), Self::Error> {
        Ok(())
    }
}
