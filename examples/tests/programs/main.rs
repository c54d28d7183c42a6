//! The example programs as processes, driven through their terminals; their rules; and their structs in memory, without
//! programs and sockets.

mod chat;
mod dashboard;
mod document;
mod memory;
mod quickstart;
mod rules;
mod terminal;
mod tictactoe;
mod todo;
