//! The merge policies: how their operations combine, and what these cost.

mod counters;
mod entries;
mod grown;
mod intent;
mod keys;
mod laws;
mod moves;
mod outcomes;
mod own_policy;
mod text;
mod text_hostile;
mod untyped;
mod wire_cost;
