//! Shared, live, typed state.

#[doc(hidden)]
pub mod __private;
pub mod merge;
pub mod replica;
pub mod state;

pub use replica::WriteError;
pub use state::{Field, Invalid, SharedState};

#[cfg(feature = "derive")]
pub use shared_state_derive::SharedState;
