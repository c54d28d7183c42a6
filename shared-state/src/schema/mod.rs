//! Two versions of a struct in one room: their difference ([`diff`](SchemaDiff)), and the conversion of
//! values from one to the other ([`resolve`]).
//!
//! [`Schema`](crate::core::Schema), the description of one version, is in `core`. Nothing here does I/O.

mod diff;
pub(crate) mod resolve;

pub(crate) use diff::SchemaDiff;

#[doc(inline)]
pub use crate::core::{
    FieldInfo, FieldSchema, HashedSchema, PolicyInfo, RuleInfo, Schema, SchemaError, StructInfo, Timing,
};
