//! What the derive generates: fields, handles, serde's attributes, descriptions.

mod about;
mod collections;
mod derive;
mod entry_handles;
mod serde_attributes;
