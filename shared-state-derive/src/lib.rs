//! The derive macro of `shared-state`; see that crate.
