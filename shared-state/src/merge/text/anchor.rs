//! Anchors: positions in a text that move with the text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::yjs::Id;

/// The side on which the character is that an [`Anchor`] sticks to. Text that is inserted exactly at the
/// anchor ends up on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The character to the left; at the beginning of the text, the beginning.
    Left,
    /// The character to the right; at the end of the text, the end.
    Right,
}

/// A position in a text that sticks to a character and moves with it: a cursor, or an end of a selection.
///
/// An anchor is small and cheap to copy. It is written as a short string, which can be sent in a presence or
/// stored in a field. If its character is deleted, the anchor is where the character was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Anchor {
    pub(super) unit: Option<Id>,
    pub(super) side: Side,
}

/// The error of a string that is not an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an anchor: `L` or `R`, alone or with a client id, a colon and a clock")]
pub struct NotAnAnchor;

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.side == Side::Left { "L" } else { "R" })?;
        match self.unit {
            Some(Id { client, clock }) => write!(f, "{client}:{clock}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Anchor {
    type Err = NotAnAnchor;

    fn from_str(text: &str) -> Result<Self, NotAnAnchor> {
        let (side, rest) = match (text.strip_prefix('L'), text.strip_prefix('R')) {
            (Some(rest), _) => (Side::Left, rest),
            (_, Some(rest)) => (Side::Right, rest),
            (None, None) => return Err(NotAnAnchor),
        };
        if rest.is_empty() {
            return Ok(Self { unit: None, side });
        }
        let unit = rest.split_once(':').and_then(|(client, clock)| {
            let client = client.parse().ok().filter(|client| *client < 1 << 53)?;
            Some(Id { client, clock: clock.parse().ok()? })
        });
        unit.map(|unit| Self { unit: Some(unit), side }).ok_or(NotAnAnchor)
    }
}

impl From<Anchor> for String {
    fn from(anchor: Anchor) -> Self {
        anchor.to_string()
    }
}

impl TryFrom<String> for Anchor {
    type Error = NotAnAnchor;

    fn try_from(text: String) -> Result<Self, NotAnAnchor> {
        text.parse()
    }
}
