//! Clients of the original protocol, which count versions themselves: which of the changes sent to each of them it has
//! accepted.
//!
//! Owns no session and sends nothing: a room's [`authority`](crate::authority) asks it.

mod reconcile;

pub(crate) use reconcile::{LegacyClock, Reconcile};
