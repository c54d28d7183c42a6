//! Who is there.

mod simulation;
