//! What the server answered, counted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// How much of a message is looked at: its type and its code stand at its beginning.
const LOOKED_AT: usize = 600;

/// The most kinds of answers that are shown.
const SHOWN: usize = 5;

/// Counts of answers, shared by the connections of a case.
#[derive(Clone, Debug, Default)]
pub struct Answers(Arc<Mutex<BTreeMap<String, u64>>>);

impl Answers {
    pub fn count(&self, what: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(counts.insert(what.to_owned(), 1)),
        }
    }

    /// Counts a message if it answers something that the client did.
    pub fn count_text(&self, text: &str) {
        let mut end = text.len().min(LOOKED_AT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = &text[..end];
        if let Some(code) = string_after(text, r#""code":""#) {
            return self.count(code);
        }
        match string_after(text, r#""type":""#) {
            Some("state:ack") => self.count("acknowledged"),
            Some("state:sync" | "state:delta" | "room:joined") => self.count("state"),
            Some("pong") => self.count("pong"),
            _ => {}
        }
    }
}

/// The characters between `start` and the next quotation mark.
fn string_after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split('"').next()
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts: Vec<_> = counts.iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        if counts.is_empty() {
            return f.write_str("nothing");
        }
        for (at, (what, count)) in counts.iter().take(SHOWN).enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{what} ×{count}")?;
        }
        Ok(())
    }
}
