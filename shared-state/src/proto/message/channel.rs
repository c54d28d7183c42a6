//! A channel's messages: the one field of its state, and the operations on it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::core::{Code, Reject};

/// The field of a channel's state.
pub const MESSAGES: &str = "messages";
/// The operation by which a client sends a message, which has no number, sender and time yet.
pub const SEND: &str = "send";
/// The operation that everybody receives: a [`ChannelEntry`].
pub const APPEND: &str = "append";
/// The operation whose value is the number up to which messages are no longer kept.
pub const GONE: &str = "gone";
/// The operation whose value is the length of the longest message that the channel takes, in bytes of JSON.
pub const LONGEST: &str = "longest";

/// A message in a channel's history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChannelEntry<'a> {
    /// Its number: the channel's version that it resulted in.
    pub seq: u64,
    /// The public id of its sender, or `server`.
    #[serde(borrow)]
    pub from: Cow<'a, str>,
    /// When the server accepted it, in milliseconds since 1970; never less than that of the message before.
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
    /// The messages that are kept, by number.
    #[serde(borrow)]
    pub entries: Vec<ChannelEntry<'a>>,
    /// The longest message that the channel takes, in bytes of JSON, if the server has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest: Option<usize>,
}

/// Checks the length of a message, in bytes of JSON.
///
/// # Errors
/// It is longer than `longest`.
pub(crate) fn check_length(found: usize, longest: usize) -> Result<(), Reject> {
    if found <= longest {
        return Ok(());
    }
    let message = format!("a message has at most {longest} bytes, found {found}");
    Err(Reject::new(Code::MessageTooLarge, message))
}
