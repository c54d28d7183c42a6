//! What the derive generates: fields, handles, serde's attributes, descriptions.

mod about;
// Public with its public structs, as in a library: they derive under lints that tell the two apart.
pub mod derive;
mod entry_handles;
mod serde_attributes;
