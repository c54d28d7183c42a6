//! Legacy clients: those of the original protocol, which count versions themselves. This module infers which of the
//! changes sent to a legacy client it has accepted.
//!
//! It owns no session and sends nothing. Called by the [`authority`](crate::authority).

mod reconcile;

pub(crate) use reconcile::{LegacyClock, Reconcile};
