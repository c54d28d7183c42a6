//! Replica and authority: alone, together, and under random faults.

mod authority;
mod random_structs;
mod replica;
mod simulation;
mod undo;
