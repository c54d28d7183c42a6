//! Validation rules, one kind in each file.

mod change;
mod dive;
mod garde;
