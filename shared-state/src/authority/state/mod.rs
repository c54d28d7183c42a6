//! The state of a room: the trait [`RoomState`] and its implementations for a struct of the program ([`Typed`]), for
//! JSON of an unknown type ([`Untyped`]) and for a channel ([`ChannelLog`]).
//!
//! A state applies updates and writes itself as JSON. It knows no session and no log. Called by
//! [`order`](super::order), and read by [`fanout`](super::fanout).

mod changed_paths;
mod channel;
mod exact_json;
mod items;
pub(in crate::authority) mod migration;
mod moved;
mod rewritten;
mod room_state;
mod size;
mod staged;
mod text_client_ids;
mod typed;
mod unknown_fields;
mod untyped;
mod untyped_number;
mod untyped_ops;
mod verdict;

pub use changed_paths::{PathChange, WriteCheck};
pub use channel::{ChannelLog, Check, Retention};
#[cfg(feature = "testing")]
pub(crate) use exact_json::Json;
pub use room_state::{RoomState, Writer};
pub use typed::Typed;
pub use unknown_fields::{UNKNOWN_FIELDS, UNKNOWN_FIELDS_BYTES};
pub use untyped::Untyped;
pub use verdict::{OnChange, ProposedChange, Verdict};
