//! The traits that the type of a field, and the struct itself, need.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value that can be shared as a whole: it can be cloned, compared, printed, serialized and deserialized.
///
/// Implemented for every type that has these traits; there is nothing to implement by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the type of a shared field",
    label = "lacks a trait that shared fields need",
    note = "write `#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]` above `{Self}`, or above the types in it \
            that lack it, or `#[serde(skip)]` above the field if it is not to be shared",
    note = "for an `Arc`, write `features = [\"derive\", \"rc\"]` at `serde` in `Cargo.toml`; other types of other crates mostly \
            need the feature `serde` of their crate"
)]
pub trait Value: Clone + PartialEq + Debug + Serialize + DeserializeOwned + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Clone + PartialEq + Debug + Serialize + DeserializeOwned + Send + Sync + 'static> Value for T {}

/// What a struct needs before it can be a shared state: it can be cloned, serialized and deserialized.
///
/// Implemented for every type that has these traits; there is nothing to implement by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` lacks a trait that a shared state needs",
    label = "a shared struct needs `Clone`, `Serialize` and `Deserialize`",
    note = "write `#[derive(Clone, Serialize, Deserialize, SharedState)]` above `{Self}`; as an item of a list, an entry of a \
            map or in an `Option` it also needs `Debug` and `PartialEq`"
)]
pub trait Shareable: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Shareable for T {}
