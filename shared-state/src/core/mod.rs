//! The vocabulary of the crate: what a struct, a field, an update and a merge policy are.
//!
//! This module owns the traits [`SharedState`] and [`MergePolicy`], field keys and paths, updates, validation
//! rules, versions, errors and the common part of the handles. Everything here is a pure function of its
//! arguments, apart from the settings of the current thread in `text_scope` and a cache of schemas. It
//! imports no other module of the crate. All other modules are written against these traits, never against a
//! concrete struct.

mod author;
mod backend;
mod blank;
mod code;
pub(crate) mod defaults;
mod error;
mod example;
mod field;
mod field_handle;
mod field_value;
mod info;
pub(crate) mod json_text;
mod key;
mod member;
mod operation;
mod patch;
mod path;
mod policy;
pub(crate) mod read_back;
pub(crate) mod reading;
mod restore;
pub(crate) mod roles;
pub mod rules;
pub(crate) mod schema;
pub(crate) mod shape;
mod shared_state;
mod slot;
pub(crate) mod text_scope;
mod timing;
pub(crate) mod transfer;
mod update;
mod value;
pub(crate) mod versions;
pub(crate) mod work;

pub use author::Author;
pub use backend::{Backend, ServerBackend, Watch, WritePermissions};
pub(crate) use blank::blank;
pub use code::{Code, Reject};
pub use error::{Rejected, WriteError};
pub(crate) use field::has_change_rule;
pub use field::{Field, FieldId, FieldInfo, FieldOf, Is, PolicyInfo, Typed};
pub use field_handle::{FieldHandle, FieldHandleOf};
pub use field_value::{ChangesField, FieldValue, HasHandle};
pub use info::{RuleInfo, StructInfo};
pub(crate) use key::{A_KEY, check_key, key_of, with_key};
pub use key::{Key, MAX_KEY, NotAKey, key_text};
pub use member::Member;
pub(crate) use member::{Lookup, member_name};
pub use operation::{OpVisitor, Operation, clone_update, same_update, show_update};
pub use patch::{
    PatchFields, deserialize_patch, patch_copy, patch_read, patch_show, patch_skip, patch_write,
    serialize_patch,
};
pub(crate) use patch::{patch_read_op, patch_write_op};
pub use path::{FieldPath, FieldPathBuf};
pub use policy::{Lww, MergePolicy, Overlap, UndoGuard};
pub(crate) use policy::{differences, no_parts};
pub use roles::Roles;
pub use rules::Invalid;
pub use schema::{FieldSchema, HashedSchema, Schema, SchemaError};
pub use shared_state::SharedState;
pub(crate) use slot::{Entry, Slot};
pub use timing::Timing;
pub use update::{
    EncodedUpdate, UpdateError, UpdateErrorKind, WireUpdate, decode_update, deserialize_update,
    encode_update, serialize_update,
};
pub(crate) use update::{
    MAX_DIFFERENCES, canonical_update, encode_operation, encode_plain, smaller_updates, take_back,
    update_path,
};
pub use value::{Shareable, Value};
pub use versions::{EditLog, EntryVersion, EntryVersions, Versions};
pub(crate) use versions::{Segment, StoredVersions};
