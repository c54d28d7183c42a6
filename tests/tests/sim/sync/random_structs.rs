//! The guarantees for structs that nobody has thought of: the build script makes them up, of all policies in each other.
//!
//! `SHARED_STATE_STRUCTS` is the seed that they are made from, at build time.

#![allow(missing_docs, unused_imports)]

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use indexmap::{IndexMap, IndexSet};
use serde::{Deserialize, Serialize};
use shared_state::testing::Simulation;
use shared_state::{List, SharedState, Text};
use shared_state_tests::seeds;

const SEEDS: u64 = 200;

include!(concat!(env!("OUT_DIR"), "/random_structs.rs"));
