//! The user that a session shows, and which sessions are the same user.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A user as most apps describe one. Any other type that serde can write and read works as well; see [who is
/// a user](super).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// The same for every session of one person.
    pub id: String,
    /// The name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The colour to draw the user in, in the app's own notation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// The URL of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
}

impl User {
    /// A user with this id.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), name: None, color: None, avatar: None }
    }

    /// Sets the name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the colour.
    #[must_use]
    pub fn color(mut self, color: impl Into<String>) -> Self {
        self.color = Some(color.into());
        self
    }

    /// Sets the URL of the picture.
    #[must_use]
    pub fn avatar(mut self, url: impl Into<String>) -> Self {
        self.avatar = Some(url.into());
        self
    }
}

/// The canonical JSON of a string or a number; `None` for anything else.
fn scalar(json: &str) -> Option<String> {
    match json.trim_start().as_bytes().first()? {
        b'"' => {
            let text: String = serde_json::from_str(json).ok()?;
            serde_json::to_string(&text).ok()
        }
        b'-' | b'0'..=b'9' => Some(json.trim().to_owned()),
        _ => None,
    }
}

fn id_of(user: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct WithId<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    match user.trim_start().starts_with('{') {
        true => scalar(serde_json::from_str::<WithId<'_>>(user).ok()?.id.get()),
        false => scalar(user),
    }
}

/// The key that identifies a user: the JSON of its id, or of the session's own `client` id if it has none.
pub(super) fn key(user: &str, client: &str) -> String {
    id_of(user).unwrap_or_else(|| {
        // A `str` always has a JSON form.
        serde_json::to_string(client).unwrap_or_default()
    })
}

/// Whether a user has this id, as a string or as a number.
#[cfg(feature = "server")]
pub(crate) fn is_known_by(user: &str, id: &str) -> bool {
    id_of(user).is_some_and(|found| found == id || serde_json::to_string(id).is_ok_and(|id| id == found))
}

/// The user as an object with an `id`, which legacy clients need. `key` is the user's key.
pub(super) fn with_id(user: &str, key: &str) -> String {
    let user = user.trim();
    match (user.strip_prefix('{').map(str::trim_start), id_of(user)) {
        (Some(_), Some(_)) => user.to_owned(),
        (Some(rest), None) if rest.starts_with('}') => format!("{{\"id\":{key}}}"),
        (Some(rest), None) => format!("{{\"id\":{key},{rest}"),
        (None, Some(_)) => format!("{{\"id\":{key},\"name\":{key}}}"),
        (None, None) => format!("{{\"id\":{key}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_one_user_by_their_id() {
        for (user, expected) in [
            (r#"{"id":"ann","name":"Ann"}"#, "\"ann\""),
            (r#"{"name":"x","id": "\u0061nn"}"#, "\"ann\""),
            (r#""ann""#, "\"ann\""),
            (r#"{"id": 7}"#, "7"),
            ("7", "7"),
            (r#"{"id":{"deep":1}}"#, "\"me\""),
            (r#"["ann"]"#, "\"me\""),
            (r#"{"name":"Ann"}"#, "\"me\""),
            ("null", "\"me\""),
        ] {
            assert_eq!(key(user, "me"), expected, "{user}");
        }
    }

    #[test]
    #[allow(clippy::unwrap_used)]
    fn legacy_clients_are_shown_an_object_with_an_id() {
        for user in [r#"{"id":"a"}"#, "{}", r#"{ "name":"a"}"#, "\"a\"", "7", "null", "[1]"] {
            let shown = with_id(user, &key(user, "me"));
            let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
            assert!(read["id"].is_string() || read["id"].is_number(), "{user}: {shown}");
        }
    }
}
