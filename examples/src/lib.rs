//! What the example programs share: the structs that are shared, one module each, and the look of a terminal.
//!
//! The programs are in `src/bin`. Start `cargo demo` first, it says how to go on.

pub mod chat;
pub mod dashboard;
pub mod document;
pub mod quickstart;
pub mod terminal;
pub mod tictactoe;
pub mod todo;
