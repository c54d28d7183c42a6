//! The state of the example `todo`: an ordered list that several people edit at the same time.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use shared_state::Author;
use shared_state::{List, SharedState};

/// A list of todos.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct TodoList {
    /// The todos. An edit sends only the todo it concerns, never the list; because of `nested`, only the field of it.
    #[shared(list(key = id, nested), validate(length(max = 100)))]
    pub todos: List<Todo>,
    /// How many todos were ever added.
    #[shared(counter)]
    pub added: i64,
}

/// A todo. Two people can edit two of its fields at the same time.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Todo {
    /// Random, so that two people never create the same id, also offline.
    pub id: String,
    /// What is to be done.
    #[shared(validate(length(min = 1, max = 80)))]
    pub title: String,
    /// Whether it is done.
    pub done: bool,
    /// Its labels. Labels added by several people at the same time are all kept.
    #[shared(set, validate(length(max = 5), inner(length(min = 1, max = 20))))]
    pub labels: BTreeSet<String>,
    /// The name of its creator.
    pub created_by: String,
    /// The name of the person who works on it.
    pub taken_by: Option<String>,
}

/// Why something is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Somebody else has taken the todo.
    #[error("{title:?} is taken by {by}")]
    Taken {
        /// The todo's title.
        title: String,
        /// The person who has it.
        by: String,
    },
    /// The todo was deleted.
    #[error("there is no such todo any more")]
    Gone,
    /// A todo's creator cannot be changed.
    #[error("who has created a todo stays")]
    Creator,
}

impl Todo {
    /// A todo with a random id.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new(title: &str, created_by: &str) -> Result<Self, getrandom::Error> {
        let id = format!("{:016x}", getrandom::u64()?);
        Ok(Self { id, title: title.to_owned(), created_by: created_by.to_owned(), ..Self::default() })
    }

    /// Takes the todo for a person.
    ///
    /// # Errors
    /// Somebody else has it.
    pub fn take(&mut self, who: &str) -> Result<(), Refused> {
        self.is_free_for(Some(who))?;
        self.taken_by = Some(who.to_owned());
        Ok(())
    }

    fn is_free_for(&self, who: Option<&str>) -> Result<(), Refused> {
        match &self.taken_by {
            Some(by) if who != Some(by) => Err(Refused::Taken { title: self.title.clone(), by: by.clone() }),
            _ => Ok(()),
        }
    }
}

/// The rule that only the server can check, because it compares two states: a todo that somebody has taken is neither
/// deleted nor given to another person, and a todo's creator stays.
///
/// # Errors
/// The reason, for the author.
pub fn rules(before: &TodoList, after: &TodoList, _author: &Author) -> Result<(), Refused> {
    let after: HashMap<&str, &Todo> = after.todos.iter().map(|todo| (&*todo.id, todo)).collect();
    for was in &before.todos {
        match after.get(&*was.id) {
            Some(is) if is.created_by != was.created_by => return Err(Refused::Creator),
            Some(is) if is.taken_by.is_some() => was.is_free_for(is.taken_by.as_deref())?,
            None if !was.done => was.is_free_for(None)?,
            _ => {}
        }
    }
    Ok(())
}
