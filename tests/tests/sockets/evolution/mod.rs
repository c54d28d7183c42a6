//! Programs that were built with different versions of one struct.

mod programs;
