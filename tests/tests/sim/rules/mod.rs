//! The rules of validation, one a file.

mod change;
mod dive;
mod garde;
