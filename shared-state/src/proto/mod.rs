//! The messages between a client and the server, their codes and their limits. `PROTOCOL.md` describes them for
//! authors of clients in other languages.

mod address;
pub mod compact;
mod dialect;
mod envelope;
mod frame;
mod limits;
mod message;
mod secret;

pub use address::{channel_address, split_address};
pub use dialect::Dialect;
pub use envelope::Envelope;
#[cfg(feature = "server")]
pub(crate) use envelope::shown;
pub use frame::Frame;
pub(crate) use limits::check_presence_size;
pub use limits::{AROUND_UPDATE, AROUND_UPDATES, ClientLimits, Limits, check_depth, check_room_name};
pub use message::{
    ChangeRequest, ClientMessage, Declaration, Denied, Hello, JoinRequest, Outcome, Outcomes, Resume,
    RoomDetails, RoomMessage, RoomSchema, ServerMessage, Violation, channel, legacy, presence, room,
};
// The writers of single frames: the state machines call them, and tests of the protocol do.
pub(crate) use message::{Refusal, push_string, room_schema};
#[doc(hidden)]
pub use message::{client, server};
pub use secret::Secret;

pub use crate::core::{Code, EncodedUpdate, Reject, WireUpdate, decode_update, encode_update};

/// The WebSocket subprotocol of the JSON codec.
pub const JSON: &str = "shared-state.v1.json";

/// The public id of a client, which others see as the author of its changes. The server derives it from the client's
/// secret id.
pub type ClientId = std::sync::Arc<str>;

/// The client's state machine: confirmed state, pending changes, and what the app sees. No I/O, no clock.
pub mod replica {
    pub use crate::replica::{
        Backoff, Event, HeartbeatTimeout, Link, LinkConfig, LinkEvent, Origin, Read, Rejected, Replica,
        ReplicaConfig, RoomPermissions, Transaction, WriteError, WriteId,
    };
}

/// The room's state machine: order, validation, answers, and what each session is sent. No I/O, no clock.
pub mod authority {
    pub use crate::authority::{
        Authority, ChangeSource, ChannelLog, Check, LoadError, LogEntry, OnChange, Outbox, PathChange,
        Permissions, ProposedChange, Relayed, Retention, RoomState, SessionId, Submitted, Typed,
        UNKNOWN_FIELDS, UNKNOWN_FIELDS_BYTES, Untyped, Verdict, WriteCheck, Writer,
    };
    pub use crate::proto::Dialect;
}
