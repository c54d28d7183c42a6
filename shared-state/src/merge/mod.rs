//! Merge policies: how concurrent updates of one field combine.
//!
//! Each policy has a file of its own, whose head states its rules. The state machines never look inside a
//! policy: they use the trait [`MergePolicy`], by way of the derived struct.
//!
//! # Choosing a policy
//!
//! | the field is | attribute | concurrent writes |
//! |---|---|---|
//! | one value: a title, a colour, a position, two dates that belong together | none | the last one in the server's order stays |
//! | a number that people add to or subtract from | `counter` | every addition and subtraction counts |
//! | a text that several people type in at once | `text` | merged character by character, as in Yjs |
//! | a struct with fields of its own, possibly optional | `nested` | each inner field by its own policy |
//! | items in an order, each with an id | `list(key = id)` | inserts, edits, moves and removals of different items all count; for one item the later move and the later edit win |
//! | the same, where people edit different fields of one item | `list(key = id, nested)` | each field of an item by its own policy |
//! | entries by key | `map` | different entries are independent; for one entry the later put wins |
//! | entries by key that have parts themselves | `map(counter)`, `map(nested)`, `map(list(key = id))` | for one entry, the entries' policy decides |
//! | members, each present or absent | `set` | different members are independent |
//! | something else | `merge = Policy` | what your own [`MergePolicy`] defines |
//!
#![cfg_attr(feature = "derive", doc = "```")]
#![cfg_attr(not(feature = "derive"), doc = "```ignore")]
//! # use std::collections::{BTreeMap, BTreeSet};
//! # use serde::{Deserialize, Serialize};
//! use shared_state::{List, SharedState};
//!
//! #[derive(SharedState, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
//! struct Board {
//!     title: String,
//!     #[shared(counter)]
//!     views: i64,
//!     #[shared(nested)]
//!     layout: Layout,
//!     #[shared(list(key = id, nested))]
//!     todos: List<Todo>,
//!     #[shared(map)]
//!     seats: BTreeMap<u8, String>,
//!     #[shared(map(counter))]
//!     votes: BTreeMap<String, i64>,
//!     #[shared(set)]
//!     labels: BTreeSet<String>,
//! }
//!
//! #[derive(SharedState, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
//! struct Layout {
//!     columns: u8,
//! }
//!
//! #[derive(SharedState, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
//! struct Todo {
//!     id: String, // chosen by the client that adds the item; unique, for example random
//!     title: String,
//!     done: bool,
//! }
//!
//! # use shared_state::Backend;
//! # fn example<L: Backend<Board>>(board: &SharedBoard<L>) -> Result<(), L::Error> {
//! # let todo = Todo::default();
//! board.set_title("Plans")?;
//! board.add_views(1)?;
//! board.layout().set_columns(3)?;
//! board.todos().push(todo)?;
//! board.todos().edit("7f3a", |todo| todo.done = true)?; // sends only what the closure changed
//! board.todos().at("7f3a").set_title("Tea")?; // the same, by the item's own accessors
//! board.todos().move_to("7f3a", 0)?;
//! board.seats().put(1, "ann".into())?;
//! board.votes().add("yes".into(), 1)?;
//! board.labels().insert("urgent".into())?;
//! # Ok(())
//! # }
//! ```
//!
//! Values that are valid only together belong in one field, or in a nested struct that is set as a whole. A value
//! that is written many times a second, such as the position of an object that is being dragged, belongs in one
//! field with a `throttle`: a change of several fields is always sent at once.

mod boxed;
mod coded;
mod counter;
mod entry;
mod list;
mod lww;
mod map;
mod nested;
mod optional;
mod set;
#[cfg(feature = "text")]
pub(crate) mod text;

pub use crate::core::{
    Backend, EditLog, EncodedUpdate, EntryVersion, EntryVersions, Field, FieldHandle, FieldPath,
    FieldPathBuf, Key, Lww, MAX_KEY, MergePolicy, NotAKey, Overlap, ServerBackend, UndoGuard, UpdateError,
    UpdateErrorKind, Value, Versions, Watch, key_text,
};
pub use boxed::Boxed;
pub use coded::{Codec, Coded};
pub use counter::{Counter, CounterOp, Number};
pub use list::{KeyOf, List, ListIter, ListOf, ListOp, Place, Sequence};
pub use map::{MapOf, MapOp, Mapping};
pub use nested::{HandleOf, Nested, NestedHandle, NestedOp, PatchOf, push_in};
pub use optional::{Optional, OptionalOp};
pub use set::{Members, SetOf, SetOp};
#[cfg(feature = "text")]
pub(crate) use text::Unit;
#[cfg(feature = "text")]
pub use text::{Anchor, Edit, NotAnAnchor, Side, Splice, Text, TextOf, TextOp, Undo};
