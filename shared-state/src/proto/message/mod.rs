//! The messages, a family a file, and how they are read and written.

pub mod channel;
mod decode;
mod encode;
mod join;
pub mod legacy;
mod permissions;
pub mod presence;
pub mod room;

pub use decode::{
    ChangeRequest, ClientMessage, Hello, Outcome, Outcomes, Resume, RoomMessage, ServerMessage, Violation,
};
pub(crate) use encode::push_string;
pub use encode::{client, server};
pub(crate) use join::room_schema;
pub use join::{Declaration, JoinRequest, RoomSchema};
pub use permissions::Denied;
pub use room::RoomDetails;
