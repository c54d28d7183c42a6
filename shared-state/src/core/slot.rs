//! Where in a state of type `S` the value of a handle is: in a field, or in an entry of a list or map at any
//! depth.

use std::fmt;
use std::sync::Arc;

use crate::core::{Field, FieldId, FieldPathBuf, Invalid, MergePolicy, SharedState};

/// An entry of a list or map in a state of type `S`: a value of type `T` with the policy `P`.
pub(crate) trait Entry<S: SharedState, T, P: MergePolicy<T>>: Send + Sync {
    /// The entry's value, if there is such an entry.
    fn get<'s>(&self, state: &'s S) -> Option<&'s T>;

    /// The update that applies an operation to the entry.
    fn op(&self, op: P::Op) -> S::Update;

    /// The field that contains the entry.
    fn field(&self) -> FieldId;

    /// Appends the entry's path.
    fn path(&self, path: &mut FieldPathBuf);
}

/// A field of `S`, or an entry in it.
pub(crate) enum Slot<S: SharedState, T, P: MergePolicy<T>> {
    Field(Field<S, T, P>),
    Entry {
        entry: Arc<dyn Entry<S, T, P>>,
        /// What an absent entry reads as, if its policy has no initial value.
        absent: Option<Arc<T>>,
    },
}

impl<S: SharedState, T, P: MergePolicy<T>> Slot<S, T, P> {
    /// The value, if there is one. A field always has one.
    pub(crate) fn get<'s>(&self, state: &'s S) -> Option<&'s T> {
        match self {
            Self::Field(field) => Some(field.get(state)),
            Self::Entry { entry, .. } => entry.get(state),
        }
    }

    /// Calls `look` with the value, or with what an absent entry reads as.
    ///
    /// # Panics
    /// If the entry is absent and there is no value that it could read as.
    pub(crate) fn read<R>(&self, state: &S, look: impl FnOnce(&T) -> R) -> R {
        match self {
            Self::Field(field) => look(field.get(state)),
            Self::Entry { entry, absent } => match (entry.get(state), P::start(), absent) {
                (Some(value), ..) => look(value),
                (None, Some(start), _) => look(&start),
                (None, None, Some(absent)) => look(absent),
                (None, None, None) => {
                    panic!("`{}` does not exist, and its type has no empty value", self.path().as_str())
                }
            },
        }
    }

    /// Calls `look` with the value, or with the value that an absent entry starts from.
    ///
    /// # Errors
    /// The entry is absent, and nothing can be written in it.
    pub(crate) fn read_to_write<R>(&self, state: &S, look: impl FnOnce(&T) -> R) -> Result<R, Invalid> {
        match (self.get(state), P::start()) {
            (Some(value), _) => Ok(look(value)),
            (None, Some(start)) => Ok(look(&start)),
            (None, None) => {
                let path = self.path();
                Err(Invalid { field: path.into_string(), ..Invalid::gone() })
            }
        }
    }

    /// The update that applies an operation to the value.
    pub(crate) fn op(&self, op: P::Op) -> S::Update {
        match self {
            Self::Field(field) => field.op(op),
            Self::Entry { entry, .. } => entry.op(op),
        }
    }

    /// The field that has the value, or that contains the entry.
    pub(crate) fn field(&self) -> FieldId {
        match self {
            Self::Field(field) => field.id(),
            Self::Entry { entry, .. } => entry.field(),
        }
    }

    pub(crate) fn add_path(&self, path: &mut FieldPathBuf) {
        match self {
            Self::Field(field) => path.push(field.name()),
            Self::Entry { entry, .. } => entry.path(path),
        }
    }

    pub(crate) fn path(&self) -> FieldPathBuf {
        let mut path = FieldPathBuf::new();
        self.add_path(&mut path);
        path
    }
}

impl<S: SharedState, T, P: MergePolicy<T>> Clone for Slot<S, T, P> {
    fn clone(&self) -> Self {
        match self {
            Self::Field(field) => Self::Field(*field),
            Self::Entry { entry, absent } => Self::Entry { entry: Arc::clone(entry), absent: absent.clone() },
        }
    }
}

impl<S: SharedState, T, P: MergePolicy<T>> fmt::Debug for Slot<S, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => fmt::Debug::fmt(field, f),
            Self::Entry { .. } => write!(f, "{}::{}", S::NAME, self.path().as_str()),
        }
    }
}
