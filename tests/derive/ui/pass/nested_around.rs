//! Nested structs in boxes and options, also of the struct itself, and their accessors.
#![forbid(unsafe_code)]
#![deny(missing_docs, missing_debug_implementations, unreachable_pub, unused_qualifications, warnings)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::{Backend, Invalid};

/// Inside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
pub struct Layout<T> {
    /// How many.
    pub columns: T,
}

/// Outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
pub struct Document<T> {
    /// There or not.
    #[shared(nested)]
    pub optional: Option<Layout<T>>,
    #[shared(nested)]
    boxed: Box<Layout<T>>,
    #[shared(nested)]
    both: Option<Box<Layout<T>>>,
    #[shared(nested)]
    child: Option<Box<Self>>,
    plain: T,
}

fn edit<L: Backend<Document<u8>>>(document: &SharedDocument<u8, L>) -> Result<(), L::Error> {
    document.set_optional(Some(Layout { columns: 1 }))?;
    document.edit_optional(Layout::<u8>::COLUMNS.set(2))?;
    document.edit_child(Document::<u8>::PLAIN.set(3))?;
    let _: Option<Layout<u8>> = document.optional();
    let _: Option<u8> = document.with_optional(|layout| layout.as_ref().map(|layout| layout.columns));
    document.boxed().set_columns(4)?;
    let _: u8 = document.boxed().columns();
    let _: Layout<u8> = document.boxed().state();
    Ok(())
}

/// What the test runs.
///
/// # Panics
/// If something is not as it should be.
pub fn main() {
    let _ = edit::<NoLive>;
    let patch = DocumentPatch::<u8>::new().optional(None).boxed(LayoutPatch::new().columns(3));
    assert_eq!(Document::patch_updates(patch).len(), 2);
}

#[derive(Clone, Debug)]
struct NoLive;

impl Backend<Document<u8>> for NoLive {
    type Receipt = ();
    type Error = Invalid;

    fn read<R>(&self, look: impl FnOnce(&Document<u8>) -> R) -> R {
        look(&Document::default())
    }

    fn write_with(&self, _: impl FnOnce(&Document<u8>) -> Vec<DocumentUpdate<u8>>) -> Result<(), Invalid> {
        Ok(())
    }
}
