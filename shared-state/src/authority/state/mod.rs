//! The state of a room: a trait, and what implements it (a struct of the program, JSON whose type nobody knows, a
//! channel).
//!
//! A state applies updates and writes itself as JSON. It knows no session and no log.

mod channel;
pub(in crate::authority) mod migration;
mod rewritten;
mod room_state;
mod text_client_ids;
mod typed;
mod unknown_fields;
mod untyped;
mod untyped_number;
mod untyped_ops;
mod verdict;

pub use channel::{ChannelLog, Check, Retention};
pub use room_state::{RoomState, Writer};
pub use typed::Typed;
pub use unknown_fields::{UNKNOWN_FIELDS, UNKNOWN_FIELDS_BYTES};
pub use untyped::Untyped;
pub use verdict::{OnChange, ProposedChange, Verdict};
