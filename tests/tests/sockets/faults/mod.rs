//! Broken connections, killed servers, and bad input.

mod bad_input;
mod connections;
mod kill;
mod read_back;
mod refusals;
mod slow;
