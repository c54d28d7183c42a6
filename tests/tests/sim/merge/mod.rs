//! The merge policies: what they make of each other's operations, and what those cost.

mod entries;
mod intent;
mod laws;
mod own_policy;
mod text;
mod untyped;
mod wire_cost;
