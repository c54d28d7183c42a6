//! The task of a client: it keeps the connection and feeds the state machines. What it shares with the handles is in
//! [`core`].

pub(crate) mod connection;
pub(crate) mod core;
pub(crate) mod driver;
pub(crate) mod shared_replica;
pub(crate) mod slots;
