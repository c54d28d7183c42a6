//! Rooms: joining, leaving, settings, closing, and the program's hooks.

mod amend;
mod client;
mod many;
mod rules;
mod server;
mod settings;
