//! Channels: one order, none lost, none twice.

mod simulation;
