//! Clients of the original protocol, which count versions themselves: what each of them has taken of what it was sent.
//!
//! Owns no session and sends nothing: a room's [`authority`](crate::authority) asks it.

mod reconcile;

pub(crate) use reconcile::{LegacyClock, Reconcile};
