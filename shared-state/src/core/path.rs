//! Paths: where in a state an update applies, for example `title`, or `layout/columns` inside a nested
//! struct.
//!
//! A path is a JSON Pointer (RFC 6901) without its leading slash: segments joined by `/`, with `~` written as
//! `~0` and `/` as `~1` inside a segment. The path of a plain field is its name.

use std::borrow::Cow;

/// A path that is read from front to back. It is `Copy`, so a policy can look ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldPath<'a> {
    rest: Option<&'a str>,
}

impl<'a> FieldPath<'a> {
    /// The end of a path: the update applies here.
    pub const END: Self = Self { rest: None };

    /// Starts reading a path as it is written on the wire.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self { rest: Some(text) }
    }

    /// Whether no segment is left: the update applies here.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        self.rest.is_none()
    }

    /// Reads the next segment, unescaped. `None` at the end.
    pub fn next_segment(&mut self) -> Option<Cow<'a, str>> {
        let text = self.rest?;
        let (segment, rest) = match text.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (text, None),
        };
        self.rest = rest;
        Some(if segment.contains('~') {
            Cow::Owned(segment.replace("~1", "/").replace("~0", "~"))
        } else {
            Cow::Borrowed(segment)
        })
    }
}

/// A path that is written from front to back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldPathBuf {
    text: String,
    started: bool,
}

impl FieldPathBuf {
    /// An empty path.
    #[must_use]
    pub const fn new() -> Self {
        Self { text: String::new(), started: false }
    }

    /// A path of one segment: of a field of the whole state.
    #[must_use]
    pub fn of(segment: &str) -> Self {
        let mut path = Self::new();
        path.push(segment);
        path
    }

    /// Appends a segment and escapes it.
    pub fn push(&mut self, segment: &str) {
        self.begin_segment();
        if segment.contains(['~', '/']) {
            for c in segment.chars() {
                match c {
                    '~' => self.text.push_str("~0"),
                    '/' => self.text.push_str("~1"),
                    c => self.text.push(c),
                }
            }
        } else {
            self.text.push_str(segment);
        }
    }

    /// Appends the segment that stands for any key, [`roles::ANY`](crate::core::roles::ANY).
    pub(crate) fn push_any(&mut self) {
        self.begin_segment();
        self.text.push_str(crate::core::roles::ANY);
    }

    fn begin_segment(&mut self) {
        if std::mem::replace(&mut self.started, true) {
            self.text.push('/');
        }
    }

    /// Whether no segment was appended.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !self.started
    }

    /// The path as it is written on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path as it is written on the wire.
    #[must_use]
    pub fn into_string(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_survive_being_written_and_read() {
        for segments in [&["title"][..], &["a", "b"], &["a/b", "~", "~1"], &["", ""], &["layout", "", "x"]] {
            let mut written = FieldPathBuf::new();
            segments.iter().for_each(|segment| written.push(segment));
            let mut path = FieldPath::new(written.as_str());
            let mut read = Vec::new();
            while let Some(segment) = path.next_segment() {
                read.push(segment.into_owned());
            }
            assert_eq!(read, segments, "{written:?}");
            assert!(path.is_end());
        }
    }
}
