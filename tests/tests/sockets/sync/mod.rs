//! Writes, answers, streams and transactions.

mod atomic;
mod closing;
mod edits;
mod resume;
mod streams;
mod threads;
mod transactions;
mod typed;
mod v1;
mod watch;
