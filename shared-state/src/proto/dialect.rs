//! The two dialects of the protocol.

/// The messages that a client sends and receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// The subprotocol `shared-state.v1.json`.
    V1,
    /// The messages of the original `useSharedState` hook, for a client without a subprotocol.
    Legacy,
}
