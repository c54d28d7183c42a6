//! Replica and authority: alone, together, and under everything that can go wrong.

mod authority;
mod random_structs;
mod replica;
mod simulation;
mod undo;
