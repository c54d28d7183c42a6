//! The state of the example `todo`: items in an order, which several people add, edit, move and remove at once.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use shared_state::Author;
use shared_state::{List, SharedState};

/// What has to be done.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct TodoList {
    /// Only what is done to one of them travels, never the list. `nested`: of a todo, only the field.
    #[shared(list(key = id, nested), validate(length(max = 100)))]
    pub todos: List<Todo>,
    /// How many were ever added.
    #[shared(counter)]
    pub added: i64,
}

/// One thing to do. Two people may edit two fields of it at once.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Todo {
    /// Random, so that two people never make the same one, also without a connection.
    pub id: String,
    /// What there is to do.
    #[shared(validate(length(min = 1, max = 80)))]
    pub title: String,
    /// Whether that is done.
    pub done: bool,
    /// Labels that several people put on at once are all there.
    #[shared(set, validate(length(max = 5), inner(length(min = 1, max = 20))))]
    pub labels: BTreeSet<String>,
    /// Who has thought of it.
    pub created_by: String,
    /// Who does it.
    pub taken_by: Option<String>,
}

/// Why something cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Somebody was faster.
    #[error("{title:?} is taken by {by}")]
    Taken {
        /// Of which todo.
        title: String,
        /// Who has it.
        by: String,
    },
    /// It was deleted.
    #[error("there is no such todo any more")]
    Gone,
    /// A todo does not change hands.
    #[error("who has created a todo stays")]
    Creator,
}

impl Todo {
    /// A todo with an id of its own.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(title: &str, created_by: &str) -> Result<Self, getrandom::Error> {
        let id = format!("{:016x}", getrandom::u64()?);
        Ok(Self { id, title: title.to_owned(), created_by: created_by.to_owned(), ..Self::default() })
    }

    /// Takes it for somebody.
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

/// What the server alone decides, because it depends on what was before: what somebody is at work on is neither
/// deleted nor given to another, and nobody claims to have created what others have.
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
