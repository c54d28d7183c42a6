//! Two versions of a struct: what is different ([`diff`](SchemaDiff)), and values of one read by the other
//! ([`resolve`]). What a single struct is to other programs is [`Schema`](crate::core::Schema).

mod diff;
pub(crate) mod resolve;

pub(crate) use diff::SchemaDiff;

#[doc(inline)]
pub use crate::core::{
    FieldInfo, FieldSchema, HashedSchema, PolicyInfo, RuleInfo, Schema, SchemaError, StructInfo, Timing,
};
