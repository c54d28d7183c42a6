//! The rooms that are live, and all that a program says about room_types of them.

pub(crate) mod channel_handle;
pub(crate) mod channel_types;
pub(crate) mod compaction;
pub(crate) mod directory;
pub(crate) mod handle;
pub(crate) mod hook_runner;
pub(crate) mod hooks;
pub(crate) mod legacy_listeners;
pub(crate) mod participant;
pub(crate) mod room;
pub(crate) mod room_session;
pub(crate) mod room_type;
pub(crate) mod room_types;
