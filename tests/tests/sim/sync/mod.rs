//! Replica and authority: alone, together, and under random faults.

mod authority;
mod forbidden_paths;
mod no_effect;
mod random_structs;
mod replica;
mod shared_states;
mod simulation;
mod undo;
mod undo_never_written;
mod undo_others;
mod undo_own;
mod undo_unsent;
mod work;
