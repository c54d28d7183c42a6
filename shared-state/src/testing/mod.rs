//! Tests of your own structs without sockets: a [`Pair`] in memory for the cases that you can name, and the
//! deterministic [`Simulation`] for those that you cannot.
//!
//! A [`Simulation`] runs replicas and a room's authority over a simulated network and disk that fail.
//! Everything is derived from one seed: the writes to the struct's fields, the roles of the clients, the order
//! of deliveries and the faults. After each step the guarantees are checked against a reference model that
//! knows nothing of replicas: it applies an ordered log to JSON. What an app has besides the struct can be
//! added: its rules, operations and invariants.
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
//! A failure reports its seed. Set `SHARED_STATE_SEED=<seed>` to run that seed alone, and
//! `SHARED_STATE_SEEDS=<n>` to run another number of seeds, or `SHARED_STATE_SEEDS=<m>..<n>` to run some of them.

mod app;
mod around;
mod client;
mod hints;
mod json;
mod ledger;
mod legacy;
mod limits;
mod model;
mod pair;
mod propose;
mod roles;
mod sample;
mod server;
mod simulation;
mod taken_back;
#[cfg(feature = "text")]
mod text;
mod world;

pub use app::{Holds, SimulatedClient};
pub use fastrand::Rng;
pub use legacy::LegacyClient;
pub use pair::{Pair, PairChannel, PairClient, PairPresence, PairReceipt, PairServer};
pub use sample::{Sampler, sample_update};
pub use simulation::{Failure, Report, Simulation};
