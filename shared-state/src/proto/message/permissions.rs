//! `room:rights`: what a client may not do in a room.

use serde::{Deserialize, Serialize};

use super::json::json_frame;
use crate::core::roles::ANY;
use crate::proto::Frame;

/// What a client may not do in a room, as paths in which `~` stands for any entry of a list or a map. Empty: nothing is
/// denied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Denied {
    /// Fields that the client is not sent and may not write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<String>,
    /// Paths that the client may not write, nor anything inside them, nor a value that contains them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locked: Vec<String>,
    /// Paths that the client may not write; what is inside them may still be allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
}

impl Denied {
    /// Whether nothing is denied.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.hidden.is_empty() && self.locked.is_empty() && self.refused.is_empty()
    }

    /// Whether the client is sent what is at a path.
    #[must_use]
    pub fn may_read(&self, path: &str) -> bool {
        !self.hidden.iter().any(|hidden| is_inside(path, hidden))
    }

    /// Whether the client may write at a path by this operation; `None` sets the value there. The server may refuse
    /// a write that is allowed by this.
    #[must_use]
    pub fn may_write(&self, path: &str, op: Option<&str>) -> bool {
        // Moving an entry does not change what is inside it.
        let contains = |locked: &str| op != Some("move") && is_inside(locked, path);
        self.may_read(path)
            && !self.locked.iter().any(|locked| is_inside(path, locked) || contains(locked))
            && !self.refused.iter().any(|refused| is_inside(path, refused) && is_inside(refused, path))
    }
}

/// Whether `path` is `outer` or is inside it.
fn is_inside(path: &str, outer: &str) -> bool {
    let mut segments = path.split('/');
    let same = |one: &str, other: &str| one == other || one == ANY || other == ANY;
    outer.split('/').all(|outer| segments.next().is_some_and(|segment| same(segment, outer)))
}

/// The client's permissions have changed: `denied` is [`Denied`] as JSON; `None`: nothing is denied.
#[must_use]
pub fn rights(room: &str, denied: Option<&str>) -> Frame {
    json_frame("room:rights", Some(room), denied.unwrap_or("{}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_path_is_denied_with_what_contains_it_and_what_is_inside_it() {
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
