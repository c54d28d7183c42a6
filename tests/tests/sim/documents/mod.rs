//! Checks the documents against the code.

mod guide_page;
mod limits;
mod protocol;
