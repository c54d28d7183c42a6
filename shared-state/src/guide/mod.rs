//! The guide: how to use the crate, page by page. Documentation only, there is nothing here to call.
//!
//! * [`grow`]: a struct that grows, one attribute at a time. Start here.
//! * [`client`]: a program that joins rooms: receipts, transactions, streams, presence, channels, the end of a client.
//! * [`server`]: a server of your own: rooms, users and rights, the program's own rules, stores.
//! * [`testing`]: tests of your own struct, without sockets.
//!
//! Every example is compiled, and those that need no socket are run.

/// A struct that grows.
///
#[cfg_attr(all(feature = "derive", feature = "testing"), doc = include_str!("grow.md"))]
#[cfg_attr(
    not(all(feature = "derive", feature = "testing")),
    doc = "This page is there with the features `derive` and `testing`: `cargo doc --all-features`."
)]
pub mod grow {}

/// A program that joins rooms.
///
#[cfg_attr(all(feature = "derive", feature = "client"), doc = include_str!("client.md"))]
#[cfg_attr(
    not(all(feature = "derive", feature = "client")),
    doc = "This page is there with the features `derive` and `client`: `cargo doc --all-features`."
)]
pub mod client {}

/// A server of your own.
///
#[cfg_attr(all(feature = "derive", feature = "redb", feature = "password"), doc = include_str!("server.md"))]
#[cfg_attr(
    not(all(feature = "derive", feature = "redb", feature = "password")),
    doc = "This page is there with the features `derive`, `redb` and `password`: `cargo doc --all-features`."
)]
pub mod server {}

/// Tests of your own struct.
///
#[cfg_attr(all(feature = "derive", feature = "testing"), doc = include_str!("testing.md"))]
#[cfg_attr(
    not(all(feature = "derive", feature = "testing")),
    doc = "This page is there with the features `derive` and `testing`: `cargo doc --all-features`."
)]
pub mod testing {}
