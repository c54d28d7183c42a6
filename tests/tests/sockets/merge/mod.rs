//! Texts among Yjs editors.

mod yjs;
