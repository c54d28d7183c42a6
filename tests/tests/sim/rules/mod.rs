//! Validation rules, one kind in each file.

mod change;
mod custom;
mod dive;
mod email;
mod garde;
mod inner;
mod length;
mod pattern;
mod range;
mod url;
