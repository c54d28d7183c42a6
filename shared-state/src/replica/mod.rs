//! The client's state machine.
mod error;
pub use error::WriteError;
