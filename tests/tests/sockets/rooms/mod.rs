//! Rooms: how they are joined, left, set up, closed, and what the program has to say about them.

mod amend;
mod client;
mod many;
mod rules;
mod server;
mod settings;
