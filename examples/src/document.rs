//! The state of the example `document`: rules that both sides check, fields that are sent with a delay, and a field
//! that only the server writes.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use shared_state::Author;
use shared_state::SharedState;

/// A document that several people edit.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Document {
    /// The title. Shows at once here, and is sent after 300 ms without another edit.
    #[shared(debounce = "300ms", validate(length(max = 60)))]
    pub title: String,
    /// The text, sent in the same way.
    #[shared(debounce = "300ms", validate(length(max = 10_000)))]
    pub content: String,
    /// The colours. Any serde type can be a field.
    pub theme: Theme,
    /// The size of the text, in points. The client checks the range before it sends, and the server checks it for
    /// every client.
    #[shared(validate(range(min = 12, max = 24)))]
    pub font_size: u8,
    /// The name of the last editor.
    #[shared(debounce = "300ms", validate(length(max = 40)))]
    pub last_editor: String,
    /// How often the document was opened.
    #[shared(counter)]
    pub views: i64,
    /// When it was last edited, in milliseconds since 1970 by the server's clock. A client has no
    /// `set_last_edit_time`.
    #[shared(read_only)]
    pub last_edit_time: u64,
}

/// Where a user is in the document. Shown to the others, never stored.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The part that they look at.
    pub section: Section,
}

/// A part of a document.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// The title.
    #[default]
    Title,
    /// The text.
    Content,
}

/// The colours of a document.
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
    /// Whether the document was edited since `before`; a view is not an edit.
    #[must_use]
    pub fn is_edited_since(&self, before: &Self) -> bool {
        let Self { title, content, theme, font_size, last_editor, views: _, last_edit_time: _ } = before;
        (&self.title, &self.content, &self.last_editor) != (title, content, last_editor)
            || (self.theme, self.font_size) != (*theme, *font_size)
    }
}

/// The rule that only the server can check, because it compares two states: a title can be changed but not removed.
///
/// # Errors
/// The reason, for the author.
pub fn rules(before: &Document, after: &Document, _author: &Author) -> Result<(), &'static str> {
    match !before.title.is_empty() && after.title.is_empty() {
        true => Err("a document that has a title keeps one"),
        false => Ok(()),
    }
}
