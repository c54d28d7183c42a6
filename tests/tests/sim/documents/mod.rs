//! Checks the documents against the code.

mod crate_page;
mod protocol;
