//! What a client is told that it may not do in a room.

use serde::{Deserialize, Serialize};

use crate::core::roles::ANY;

/// What a client may not do in a room, by paths, in which `~` stands for any entry of a list or a map. Empty: it may do
/// what any client may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Denied {
    /// Fields that it is not sent, and cannot write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<String>,
    /// Where it may not write: at this path, in what lies there, or a value that this lies in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locked: Vec<String>,
    /// Where it may not write at this very path; what lies there is another matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
}

impl Denied {
    /// Whether it may do what any client may.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.hidden.is_empty() && self.locked.is_empty() && self.refused.is_empty()
    }

    /// Whether it is sent what lies at a path.
    #[must_use]
    pub fn may_read(&self, path: &str) -> bool {
        !self.hidden.iter().any(|hidden| lies_in(path, hidden))
    }

    /// Whether it may write at a path by this operation; `None` sets the value there. As far as it was told.
    #[must_use]
    pub fn may_write(&self, path: &str, op: Option<&str>) -> bool {
        // Moving an entry leaves what is in it as it is.
        let around = |locked: &str| op != Some("move") && lies_in(locked, path);
        self.may_read(path)
            && !self.locked.iter().any(|locked| lies_in(path, locked) || around(locked))
            && !self.refused.iter().any(|refused| lies_in(path, refused) && lies_in(refused, path))
    }
}

/// Whether `path` is `outer` or lies in it.
fn lies_in(path: &str, outer: &str) -> bool {
    let mut segments = path.split('/');
    let same = |one: &str, other: &str| one == other || one == ANY || other == ANY;
    outer.split('/').all(|outer| segments.next().is_some_and(|segment| same(segment, outer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_barred_is_so_at_in_and_around_it() {
        let denied = Denied {
            hidden: vec!["hand".to_owned()],
            locked: vec!["title".to_owned(), "layout/locked".to_owned(), "items/~/pinned".to_owned()],
            refused: vec!["map".to_owned()],
        };
        for (path, op, may) in [
            ("free", None, true),
            ("titles", None, true),
            ("title", None, false),
            ("title/part", Some("add"), false),
            ("hand", None, false),
            ("hand/cards", None, false),
            ("layout", None, false),
            ("layout/columns", None, true),
            ("layout/locked", None, false),
            ("items", Some("insert"), false),
            ("items/7", Some("delete"), false),
            ("items/7", Some("move"), true),
            ("items/7/text", None, true),
            ("items/7/pinned", None, false),
            ("items/~0/pinned", None, false),
            ("map", None, false),
            ("map/key", None, true),
        ] {
            assert_eq!(denied.may_write(path, op), may, "{path} {op:?}");
        }
        assert!(!denied.may_read("hand/cards") && denied.may_read("title"));
        assert!(Denied::default().is_empty() && !denied.is_empty());
        let json = r#"{"hidden":["hand"],"refused":["map"]}"#;
        let read: Denied = serde_json::from_str(json).expect("it is one");
        assert_eq!(serde_json::to_string(&read).ok().as_deref(), Some(json));
    }
}
