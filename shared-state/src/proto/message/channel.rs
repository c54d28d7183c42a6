//! A channel's messages: the one field that its state has, and the operations on it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The field of a channel's state.
pub const MESSAGES: &str = "messages";
/// The operation of a client: a message, not yet stamped.
pub const SEND: &str = "send";
/// The operation that everybody gets: a [`ChannelEntry`].
pub const APPEND: &str = "append";
/// The operation that says up to which number the receiver can get messages no more.
pub const GONE: &str = "gone";

/// A message in a channel's history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChannelEntry<'a> {
    /// Its number: the channel's version that it made.
    pub seq: u64,
    /// The public name of its sender.
    #[serde(borrow)]
    pub from: Cow<'a, str>,
    /// When the server took it, in milliseconds since 1970; never before the message ahead of it.
    pub at: u64,
    /// Its content.
    #[serde(borrow)]
    pub value: &'a RawValue,
}

/// A channel's whole state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelHistory<'a> {
    /// The messages up to this number are no longer kept.
    pub gone: u64,
    /// The messages that are, by number.
    #[serde(borrow)]
    pub entries: Vec<ChannelEntry<'a>>,
}
