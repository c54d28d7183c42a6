//! [`Run`], units of a text that are adjacent and have consecutive clocks.

use super::yjs::{Content, Id, Struct, split_units};

/// The limit of units in a run that is not deleted. It bounds the cost of cutting a run.
pub(super) const MAX_UNITS: u32 = 512;

/// Adjacent units of one client with consecutive clocks. Each unit but the first has the one before it as its
/// origin; all have one right neighbour.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) client: u64,
    pub(super) clock: u32,
    /// The number of units.
    pub(super) units: u32,
    /// The units to the left and to the right when the run was inserted.
    pub(super) origin: Option<Id>,
    pub(super) right: Option<Id>,
    /// `None` if the run is deleted.
    pub(super) text: Option<String>,
}

impl Run {
    pub(super) const fn end(&self) -> u32 {
        self.clock + self.units
    }

    pub(super) const fn contains(&self, id: Id) -> bool {
        self.client == id.client && self.clock <= id.clock && id.clock < self.clock + self.units
    }

    pub(super) const fn id(&self, inside: u32) -> Id {
        Id { client: self.client, clock: self.clock + inside }
    }

    /// The origin of the unit so many units after the first.
    pub(super) const fn origin_at(&self, inside: u32) -> Option<Id> {
        if inside == 0 { self.origin } else { Some(self.id(inside - 1)) }
    }

    pub(super) const fn is_deleted(&self) -> bool {
        self.text.is_none()
    }

    pub(super) const fn visible(&self) -> usize {
        if self.is_deleted() { 0 } else { self.units as usize }
    }

    /// How many characters of two units the run shows.
    pub(super) fn wide(&self) -> usize {
        self.text.as_deref().map_or(0, wide)
    }

    /// Splits off the units from so many units after the first on.
    pub(super) fn split(&mut self, inside: u32) -> Self {
        let rest = Self {
            client: self.client,
            clock: self.clock + inside,
            units: self.units - inside,
            origin: self.origin_at(inside),
            right: self.right,
            text: self.text.as_mut().map(|text| {
                // Only ASCII has one byte for each unit.
                let is_ascii = text.len() == self.units as usize;
                if is_ascii { text.split_off(inside as usize) } else { split_units(text, inside) }
            }),
        };
        self.units = inside;
        rest
    }

    /// Cuts a run that shows more than [`MAX_UNITS`] units into runs of at most that many, between characters.
    /// O(n).
    pub(super) fn pieces(self) -> Vec<Self> {
        let text = match self.text.as_deref() {
            Some(text) if self.units > MAX_UNITS => text,
            _ => return vec![self],
        };
        let (mut pieces, mut start, mut first, mut units) = (Vec::new(), 0, 0, 0);
        let mut push = |first: u32, units: u32, text: &str| {
            let (client, clock, right) = (self.client, self.clock + first, self.right);
            let origin = self.origin_at(first);
            pieces.push(Self { client, clock, units, origin, right, text: Some(text.to_owned()) });
        };
        for (at, c) in text.char_indices() {
            let size = c.len_utf16() as u32;
            if units + size > MAX_UNITS {
                push(first, units, &text[start..at]);
                (start, first, units) = (at, first + units, 0);
            }
            units += size;
        }
        push(first, units, &text[start..]);
        pieces
    }

    /// Appends the next run to this one if the two form one run. Returns whether they do.
    pub(super) fn join(&mut self, next: &Self) -> bool {
        let is_one = self.client == next.client
            && self.end() == next.clock
            && self.right == next.right
            && next.origin == Some(self.id(self.units - 1))
            && match (&mut self.text, &next.text) {
                (None, None) => true,
                (Some(text), Some(more)) if self.units + next.units <= MAX_UNITS => {
                    text.push_str(more);
                    true
                }
                _ => false,
            };
        self.units += if is_one { next.units } else { 0 };
        is_one
    }

    /// Whether a unit is the second one of a character that the run shows.
    pub(super) fn is_low_surrogate(&self, inside: u32) -> bool {
        let Some(text) = self.text.as_deref().filter(|text| text.len() > self.units as usize) else {
            return false;
        };
        let mut at = 0;
        for c in text.chars() {
            if at >= inside {
                return false;
            }
            at += c.len_utf16() as u32;
            if at > inside {
                return true;
            }
        }
        false
    }

    /// The run as a struct of an update. What is deleted has no text.
    pub(super) fn as_struct(&self) -> Struct {
        let content = self.text.clone().map_or(Content::Deleted, Content::Text);
        let Self { clock, units, origin, right, .. } = *self;
        Struct { clock, units, origin, right, content }
    }
}

/// How many characters of a text have two UTF-16 units.
pub(super) fn wide(text: &str) -> usize {
    text.bytes().filter(|byte| *byte >= 0xF0).count()
}
