//! The dialects of the protocol.

/// What a session's client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `shared-state.v1.json`.
    V1,
    /// The original hook's messages.
    Legacy,
}
