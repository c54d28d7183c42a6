//! Who has declared which fields: what keeps one user from taking all names of a room for declared fields.
//!
//! The declarations themselves are the state's. This module knows whose they are while the room is in memory: a user
//! declares so many fields at most, and what nobody has written is forgotten when the last session leaves. If the room has
//! as many declarations as it takes, a new one takes the place of an unwritten one whose sessions have left, or of one of
//! whoever has the most. Called by [`Authority`](super::Authority) when sessions join and leave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::authority::source::SessionId;
use crate::authority::state::RoomState;
use crate::core::Code;
use crate::proto::{Declaration, Violation};

/// The most declarations of one user in a room: written ones, and those of the user's sessions.
const MAX_DECLARED: usize = 128;

/// The most bytes of the initial values that one user has declared and nobody has written.
const MAX_INITIAL: usize = 256 << 10;

/// The declarations of a room's users since the room is in memory.
#[derive(Debug, Default)]
pub(super) struct Declarations {
    by_path: BTreeMap<String, Declared>,
    /// How many declared and written fields each user has beside those in `by_path`. There are no more users here than
    /// declared fields in the room.
    written: BTreeMap<Arc<str>, usize>,
}

#[derive(Debug)]
struct Declared {
    /// The first user who declared the field.
    user: Arc<str>,
    /// The bytes of the initial value.
    bytes: usize,
    /// Whether the session that declared it first has not joined yet.
    is_joining: bool,
    /// The sessions that declared it.
    sessions: BTreeSet<SessionId>,
}

impl Declared {
    /// Whether the sessions that declared the field have left. Sessions that have not declared it may still use it.
    fn is_abandoned(&self) -> bool {
        self.sessions.is_empty() && !self.is_joining
    }
}

impl Declarations {
    /// Declares a field for a user. Returns whether the declaration is a new one, which [`joined`](Self::joined)
    /// or [`withdraw`](Self::withdraw) must follow.
    ///
    /// # Errors
    /// The declaration does not fit, or the user or the room has too many.
    pub(super) fn declare(
        &mut self,
        state: &mut dyn RoomState,
        user: &Arc<str>,
        path: &str,
        declaration: &Declaration,
    ) -> Result<bool, Violation> {
        if state.has_declared(path) {
            return state.declare(path, declaration).map(|()| false);
        }
        let bytes = declaration.initial.as_ref().map_or(0, |json| json.get().len());
        let own = self.by_path.values().filter(|declared| declared.user == *user);
        let (count, own_bytes) =
            own.fold((0, bytes), |(count, sum), declared| (count + 1, sum + declared.bytes));
        let is_own_and_abandoned = |declared: &Declared| declared.user == *user && declared.is_abandoned();
        if count >= MAX_DECLARED && self.forget_one(state, is_own_and_abandoned) {
            return self.declare(state, user, path, declaration);
        }
        if count + self.written.get(user).copied().unwrap_or(0) >= MAX_DECLARED || own_bytes > MAX_INITIAL {
            let message = format!(
                "a user declares {MAX_DECLARED} fields with {MAX_INITIAL} bytes at most, and `{path}` is one more or longer"
            );
            return Err(Violation::new(Code::IncompatibleSchema, message));
        }
        if state.is_full() {
            self.make_space(state, count);
        }
        state.declare(path, declaration)?;
        if !state.has_declared(path) {
            // The struct has the field.
            return Ok(false);
        }
        self.by_path.insert(
            path.to_owned(),
            Declared { user: user.clone(), bytes, is_joining: true, sessions: BTreeSet::new() },
        );
        Ok(true)
    }

    /// Forgets an unwritten declaration: one that is [abandoned](Declared::is_abandoned), or else one of the user who
    /// has the most, if that is more than `own`, the number of the user who wants to declare.
    fn make_space(&mut self, state: &mut dyn RoomState, own: usize) {
        if self.forget_one(state, Declared::is_abandoned) {
            return;
        }
        let mut counts: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        self.by_path.values().for_each(|declared| *counts.entry(&declared.user).or_default() += 1);
        let most = counts.into_iter().max_by_key(|(_, count)| *count).filter(|(_, count)| *count > own + 1);
        if let Some(most) = most.map(|(user, _)| user.clone()) {
            self.forget_one(state, |declared| declared.user == most);
        }
    }

    /// Forgets the last of these declarations that nobody has written. Returns whether there was one.
    fn forget_one(&mut self, state: &mut dyn RoomState, which: impl Fn(&Declared) -> bool) -> bool {
        let of_these = self.by_path.iter().rev().filter(|(_, declared)| which(declared));
        let forgotten = of_these.map(|(path, _)| path.clone()).find(|path| state.forget_declared(path));
        forgotten.map(|path| self.by_path.remove(&path)).is_some()
    }

    /// A session has joined that declared these fields, new ones and others.
    pub(super) fn joined<'a>(&mut self, session: SessionId, paths: impl Iterator<Item = &'a String>) {
        for path in paths {
            if let Some(declared) = self.by_path.get_mut(path) {
                declared.is_joining = false;
                declared.sessions.insert(session);
            }
        }
    }

    /// A session that declared these new fields has not joined after all.
    pub(super) fn withdraw(&mut self, state: &mut dyn RoomState, paths: &[String]) {
        for path in paths {
            self.by_path.remove(path);
            state.forget_declared(path);
        }
    }

    /// A session has left.
    pub(super) fn left(&mut self, session: SessionId) {
        for declared in self.by_path.values_mut() {
            declared.sessions.remove(&session);
        }
    }

    /// Forgets what nobody has written. Called when the last session has left.
    ///
    /// Not before: a client that finds its fields declared by others does not declare them itself.
    pub(super) fn forget_unwritten(&mut self, state: &mut dyn RoomState) {
        for (path, declared) in std::mem::take(&mut self.by_path) {
            if !state.forget_declared(&path) {
                *self.written.entry(declared.user).or_default() += 1;
            }
        }
    }
}
