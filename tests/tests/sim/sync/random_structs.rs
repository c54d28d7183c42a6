//! The guarantees for random structs: the build script generates them, with all policies nested in each
//! other.
//!
//! `SHARED_STATE_STRUCTS` is the seed of the structs, at build time.

#![allow(missing_docs, unused_imports)]

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use indexmap::{IndexMap, IndexSet};
use serde::{Deserialize, Serialize};
use shared_state::testing::Simulation;
use shared_state::{List, SharedState, Text};
use shared_state_tests::seeds;

const SEEDS: u64 = 200;

include!(concat!(env!("OUT_DIR"), "/random_structs.rs"));
