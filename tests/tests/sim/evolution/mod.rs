//! Rooms and replicas of different structs.

mod entries;
mod schema;
