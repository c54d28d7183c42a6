//! The texts of whole states: sessions that are sent the same state at the same time share one text.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use crate::authority::audience::Audience;
use crate::proto::Dialect;

/// What the text of a state depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StateId {
    /// The [revision](crate::authority::order::Head::revision) of the state.
    pub(super) revision: u64,
    pub(super) dialect: Dialect,
    /// The audience whose fields are in the text; `None`: all fields.
    pub(super) audience: Option<Audience>,
}

/// The texts that are still on their way to a session.
#[derive(Debug, Default)]
pub(super) struct StateTexts(BTreeMap<StateId, Weak<String>>);

impl StateTexts {
    /// The text of this state. It is made by `write` if no session is being sent it.
    pub(super) fn get(&mut self, id: StateId, write: impl FnOnce() -> String) -> Arc<String> {
        if let Some(text) = self.0.get(&id).and_then(Weak::upgrade) {
            return text;
        }
        self.0.retain(|_, text| text.strong_count() > 0);
        let text = Arc::new(write());
        self.0.insert(id, Arc::downgrade(&text));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_once_while_someone_is_sent_it() {
        let (mut texts, id) =
            (StateTexts::default(), |revision| StateId { revision, dialect: Dialect::V1, audience: None });
        let first = texts.get(id(1), || "one".to_owned());
        let again = texts.get(id(1), || unreachable!("the text is shared"));
        assert!(Arc::ptr_eq(&first, &again));
        let next = texts.get(id(2), || "two".to_owned());
        assert_eq!((next.as_str(), texts.0.len()), ("two", 2));
        drop((first, again));
        assert_eq!(*texts.get(id(3), || "three".to_owned()), "three");
        assert_eq!(texts.0.len(), 2, "texts that nobody is sent are forgotten");
        assert_eq!(*texts.get(id(1), || "one again".to_owned()), "one again");
    }
}
