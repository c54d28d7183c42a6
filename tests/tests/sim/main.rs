//! Tests that need no socket, process or clock: the state machines in memory, step by step and from seeds.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod channels;
mod documents;
mod evolution;
mod legacy;
mod merge;
mod presence;
mod rules;
mod state;
mod sync;
mod testing;
