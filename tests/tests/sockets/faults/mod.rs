//! Connections that break, servers that are killed, and bad input.

mod bad_input;
mod connections;
mod kill;
