//! The example programs as processes, driven through their terminals; and the rules that they have.

mod chat;
mod dashboard;
mod document;
mod quickstart;
mod rules;
mod terminal;
mod tictactoe;
mod todo;
