//! The examples' structs and rules with several users in memory: a pair for the cases that have a name, the simulation
//! for those that have none.

mod document;
mod tictactoe;
mod todo;
