//! What the testing kit itself promises: it passes right structs, and finds faults.

mod app;
mod faults;
mod right_structs;
