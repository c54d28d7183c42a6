//! The original hook's dialect: what a client speaks that asks for no subprotocol.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::{Code, Envelope, Violation};

#[derive(Deserialize)]
struct WireUpdate<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: &'a RawValue,
}

#[derive(Deserialize)]
struct WireMerge<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

/// A message from a client of the hook's dialect. Its own version numbers are not read: the server counts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HookMessage<'a> {
    /// Asks for the state.
    SyncRequest,
    /// Sets one field.
    Update {
        /// The field.
        key: Cow<'a, str>,
        /// Its value.
        value: &'a RawValue,
    },
    /// Sets several fields at once.
    Merge {
        /// A JSON object of fields.
        data: &'a RawValue,
    },
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

impl<'a> HookMessage<'a> {
    /// Reads the message in an envelope.
    ///
    /// # Errors
    /// The type is unknown or the payload is not of its form.
    pub fn read(envelope: &Envelope<'a>) -> Result<Self, Violation> {
        fn payload<'a, T: Deserialize<'a>>(envelope: &Envelope<'a>) -> Result<T, Violation> {
            serde_json::from_str(envelope.payload.map_or("null", RawValue::get)).map_err(|error| {
                Violation::new(Code::BadMessage, format!("`{}` has a wrong payload: {error}", envelope.kind))
            })
        }
        Ok(match &*envelope.kind {
            "state:sync:request" => Self::SyncRequest,
            "state:update" => {
                let WireUpdate { key, value } = payload(envelope)?;
                Self::Update { key, value }
            }
            "state:merge" => Self::Merge { data: payload::<WireMerge<'_>>(envelope)?.data },
            "ping" => Self::Ping,
            "pong" => Self::Pong,
            other => {
                let shown: String = other.chars().take(40).collect();
                return Err(Violation::new(
                    Code::UnknownMessage,
                    format!("no message has the type `{shown}`"),
                ));
            }
        })
    }
}
