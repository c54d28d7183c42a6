//! The operations of the policies as methods of a field's handle, one file for each policy.

mod list;
mod map;
mod set;
#[cfg(feature = "text")]
mod text;

use serde::Serialize;

use crate::merge::Key;
use crate::state::Invalid;

/// The key that a caller names an entry by.
fn key<Q: Serialize + ?Sized>(id: &Q) -> Result<Key, Invalid> {
    Key::of(id).map_err(|error| Invalid::new("key", error.to_string()))
}
