//! Shared, live, typed state.

#[doc(hidden)]
pub mod __private;
pub mod authority;
#[cfg(feature = "client")]
pub mod client;
pub mod merge;
pub mod protocol;
pub mod replica;
#[cfg(feature = "server")]
pub mod server;
pub mod state;
#[cfg(feature = "server")]
pub mod store;

#[cfg(feature = "testing")]
pub mod testing;

pub use replica::WriteError;
pub use state::{Field, Invalid, SharedState};

#[cfg(feature = "derive")]
pub use shared_state_derive::SharedState;
