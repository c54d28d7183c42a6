//! What the documents say is what the code does.

mod guide_page;
mod protocol;
