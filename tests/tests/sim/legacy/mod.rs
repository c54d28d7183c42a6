//! Clients of the original hook.

mod simulation;
