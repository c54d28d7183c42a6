//! Presence.

mod simulation;
