//! Two versions of a struct: what is different ([`diff`](Differences)), and values of one read by the other
//! ([`resolve`]). What a single struct is to other programs is [`Schema`](crate::core::Schema).

mod diff;
pub(crate) mod resolve;

pub(crate) use diff::Differences;

#[doc(inline)]
pub use crate::core::{
    About, FieldInfo, FieldSchema, Known, PolicyInfo, RuleInfo, Schema, SchemaError, Timing,
};
