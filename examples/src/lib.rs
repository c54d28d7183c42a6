//! What the example programs have in common: the shared structs, one module each, and the terminal.
//!
//! The programs are in `src/bin`. Start with `cargo demo`, which prints what to run next.

pub mod chat;
pub mod dashboard;
pub mod document;
pub mod quickstart;
pub mod terminal;
pub mod tictactoe;
pub mod todo;
