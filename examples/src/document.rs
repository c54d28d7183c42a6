//! The state of the example `document`: rules that hold on both sides, fields that are sent late, and one that only
//! the server writes.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use shared_state::Author;
use shared_state::SharedState;

/// A document that several people edit.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Document {
    /// Shows at once and is sent when nobody has typed for a moment.
    #[shared(debounce = "300ms", validate(length(max = 60)))]
    pub title: String,
    /// The same, for a text.
    #[shared(debounce = "300ms", validate(length(max = 10_000)))]
    pub content: String,
    /// Any serde type can be a field.
    pub theme: Theme,
    /// Checked by the client before it is sent, and by the server for every client.
    #[shared(validate(range(min = 12, max = 24)))]
    pub font_size: u8,
    /// Who has written last.
    #[shared(debounce = "300ms", validate(length(max = 40)))]
    pub last_editor: String,
    /// How often it was opened.
    #[shared(counter)]
    pub views: i64,
    /// In milliseconds since 1970, by the server's clock: a client has no `set_last_edit_time`.
    #[shared(read_only)]
    pub last_edit_time: u64,
}

/// Where somebody is in the document. Shown to the others, never stored.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// What they look at.
    pub section: Section,
}

/// A part of a document.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// Its title.
    #[default]
    Title,
    /// What it says.
    Content,
}

/// How a document looks.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Theme {
    /// Black on white.
    #[default]
    Light,
    /// White on black.
    Dark,
    /// Brown on beige.
    Sepia,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            title: String::new(),
            content: String::new(),
            theme: Theme::default(),
            font_size: 14,
            last_editor: String::new(),
            views: 0,
            last_edit_time: 0,
        }
    }
}

impl Document {
    /// Whether somebody has edited the document since it was `before`; a view is no edit.
    #[must_use]
    pub fn is_edited_since(&self, before: &Self) -> bool {
        let Self { title, content, theme, font_size, last_editor, views: _, last_edit_time: _ } = before;
        (&self.title, &self.content, &self.last_editor) != (title, content, last_editor)
            || (self.theme, self.font_size) != (*theme, *font_size)
    }
}

/// What the server alone decides, because it depends on what was before: a title can be changed, not taken away.
///
/// # Errors
/// The reason, for the author.
pub fn rules(before: &Document, after: &Document, _author: &Author) -> Result<(), &'static str> {
    match !before.title.is_empty() && after.title.is_empty() {
        true => Err("a document that has a title keeps one"),
        false => Ok(()),
    }
}
