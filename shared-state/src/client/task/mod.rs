//! The task of a client: keeps the connection and drives the state machines. [`shared`] is what it shares with
//! the handles.

pub(crate) mod connection;
pub(crate) mod dial;
pub(crate) mod driver;
pub(crate) mod shared;
pub(crate) mod shared_replica;
pub(crate) mod slots;
