//! The examples' structs and rules with several users in memory: a pair for the cases that have a name, the simulation
//! for those that have none.

mod chat;
mod dashboard;
mod document;
mod quickstart;
mod tictactoe;
mod todo;
