//! Values made for merge policies: what the standard collections do not give them.

mod list;
mod tree;

pub use list::{Iter, List};
