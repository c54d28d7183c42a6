//! Channels: every message is delivered once, in one order.

mod simulation;
