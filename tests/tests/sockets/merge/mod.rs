//! Texts among editors that were made for Yjs.

mod yjs;
