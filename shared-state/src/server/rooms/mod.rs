//! The rooms in memory: opening and closing them, their hooks, and the program's handles of them.
//!
//! `directory` lists the rooms and opens them; `room` is one of them; `room_types` and `channel_types` say which
//! rooms and channels may exist; `hooks` and `hook_runner` call the program's [`RoomHooks`](hooks::RoomHooks);
//! `handle` and `channel_handle` are what the program reads and writes through; `legacy_listeners` sends a room's
//! channels to its legacy clients.

pub(crate) mod appends;
pub(crate) mod channel_handle;
pub(crate) mod channel_kind;
pub(crate) mod compaction;
pub(crate) mod directory;
pub(crate) mod handle;
pub(crate) mod hook_runner;
pub(crate) mod hooks;
pub(crate) mod in_flight;
pub(crate) mod legacy_listeners;
pub(crate) mod participant;
pub(crate) mod room;
pub(crate) mod room_session;
pub(crate) mod room_type;
pub(crate) mod room_types;
