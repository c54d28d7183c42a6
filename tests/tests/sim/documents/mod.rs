//! What the documents say is what the code does.

mod crate_page;
mod protocol;
