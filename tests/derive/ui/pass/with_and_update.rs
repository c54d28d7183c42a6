//! Looking without copying, and changing in place.
#![deny(warnings)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

use shared_state::Backend;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    tags: Vec<String>,
    #[shared(counter)]
    views: u64,
}

fn longest<L: Backend<Document>>(document: &SharedDocument<L>) -> Result<usize, L::Error> {
    document.update_tags(|tags| tags.push("new".to_owned()))?;
    let seen = document.with_views(|views| *views > 3);
    Ok(document.with_tags(|tags| tags.iter().map(String::len).max().unwrap_or_default()) + usize::from(seen))
}

pub fn main() {}
