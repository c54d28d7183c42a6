//! Rooms and replicas with different structs.

mod entries;
mod schema;
