//! Tests of your own structs without sockets: a [`Pair`] in memory for the cases that you can name, and the
//! deterministic [`Simulation`] for those that you cannot.
//!
//! A [`Simulation`] runs replicas and an authority over a network and a disk that misbehave, all from one seed,
//! with random writes to the struct's own fields, and checks the guarantees against a model that knows nothing
//! of replicas: an ordered log, interpreted as JSON.
//!
#![cfg_attr(feature = "derive", doc = "```")]
#![cfg_attr(not(feature = "derive"), doc = "```ignore")]
//! use serde::{Deserialize, Serialize};
//! use shared_state::{SharedState, testing::Simulation};
//!
//! #[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
//! struct Poll {
//!     question: String,
//!     #[shared(counter)]
//!     yes: i64,
//! }
//!
//! Simulation::new(Poll::default()).seeds(20);
//! ```
//!
//! A failure names its seed; `SHARED_STATE_SEED=<seed>` runs that one alone, `SHARED_STATE_SEEDS=<n>` more of
//! them.

mod client;
mod json;
mod ledger;
mod legacy;
mod model;
mod pair;
mod sample;
mod server;
mod simulation;
#[cfg(feature = "text")]
mod text;

pub use legacy::LegacyClient;
pub use pair::{Pair, PairClient, PairReceipt, PairServer};
pub use sample::{Sampler, sample_update};
pub use simulation::{Failure, Report, Simulation};
