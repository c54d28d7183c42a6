//! Places in a text that stay where they are meant while the text changes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::yjs::Id;

/// To which of its neighbours an [`Anchor`] sticks: what is inserted right at it goes to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// To the character on the left; at the beginning, to the beginning.
    Left,
    /// To the character on the right; at the end, to the end.
    Right,
}

/// A place in a text that sticks to a character, so that it moves with it: a cursor, or an end of a selection.
///
/// Small and cheap to copy; written as a short string, to be sent with a presence or kept in a field. If its
/// character is deleted, it is where that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Anchor {
    pub(super) unit: Option<Id>,
    pub(super) side: Side,
}

/// A string that is no anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an anchor: `L` or `R`, alone or with a client id, a colon and a clock")]
pub struct NotAnAnchor;

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.side == Side::Left { "L" } else { "R" })?;
        match self.unit {
            Some(Id { writer, clock }) => write!(f, "{writer}:{clock}"),
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
        let unit = rest.split_once(':').and_then(|(writer, clock)| {
            let writer = writer.parse().ok().filter(|writer| *writer < 1 << 53)?;
            Some(Id { writer, clock: clock.parse().ok()? })
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
