//! Programs that were built from different versions of one struct.

mod programs;
