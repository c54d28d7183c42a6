//! Legacy clients.

mod simulation;
