//! Calls of the functions that a user names: `validate(custom = path)`, `validate = path`, `validate_change = path` and
//! `migrate = path`.
//!
//! The function is passed, and not called in the generated code, so that the compiler reports a wrong signature at the
//! function's path. It quotes the line of the bound, with the comment there.

use std::fmt::Display;

use serde_json::Value as Json;

use crate::core::{Author, Invalid};

/// What a rule returns: `Result<(), impl Display>`.
#[diagnostic::on_unimplemented(
    message = "a rule returns `Result<(), impl Display>`, and this one returns `{Self}`",
    label = "expected a function that returns `Result<(), impl Display>`",
    note = "the signature is `fn(&T) -> Result<(), impl Display>` for `validate(custom = path)`, with the type of the value as \
            `T`; `fn(&Self) -> Result<(), impl Display>` for `validate = path`; and `fn(before: &Self, after: &Self, \
            author: &Author) -> Result<(), impl Display>` for `validate_change = path`"
)]
pub trait RuleResult {
    /// The outcome of the rule `name`.
    ///
    /// # Errors
    /// The rule does not hold. The function's own error is the message.
    fn of_rule(self, name: &'static str) -> Result<(), Invalid>;
}

#[diagnostic::do_not_recommend]
impl<E: Display> RuleResult for Result<(), E> {
    fn of_rule(self, name: &'static str) -> Result<(), Invalid> {
        self.map_err(|error| Invalid::new(name, error.to_string()))
    }
}

/// `validate(custom = path)`. `coerced` returns its argument, which may be coerced then, from `&String` to `&str` for
/// example.
///
/// # Errors
/// The function refused the value.
#[inline]
pub fn custom<'a, T: ?Sized, U: ?Sized + 'a, V: RuleResult>(
    value: &'a T,
    rule: impl FnOnce(&'a U) -> V, // fn(&T) -> Result<(), impl Display>
    coerced: impl FnOnce(&'a T) -> &'a U,
) -> Result<(), Invalid> {
    rule(coerced(value)).of_rule("custom")
}

/// `#[shared(validate = path)]`: the rule about the whole state.
///
/// # Errors
/// The function refused the state.
#[inline]
pub fn state<'a, S, U: ?Sized + 'a, V: RuleResult>(
    state: &'a S,
    rule: impl FnOnce(&'a U) -> V, // fn(&Self) -> Result<(), impl Display>
    coerced: impl FnOnce(&'a S) -> &'a U,
) -> Result<(), Invalid> {
    rule(coerced(state)).of_rule("state")
}

/// `#[shared(validate_change = path)]`: the rule about a client's change.
///
/// # Errors
/// The function refused the change.
pub fn change<S, V: RuleResult>(
    rule: impl FnOnce(&S, &S, &Author) -> V, // fn(&Self, &Self, &Author) -> Result<(), impl Display>
    before: &S,
    after: &S,
    author: &Author,
) -> Result<(), Invalid> {
    rule(before, after, author).of_rule("change")
}

/// What a migration returns: `Result<serde_json::Value, impl Display>`.
#[diagnostic::on_unimplemented(
    message = "a migration returns `Result<serde_json::Value, impl Display>`, and this one returns `{Self}`",
    label = "expected `fn(u32, serde_json::Value) -> Result<serde_json::Value, impl Display>`"
)]
pub trait MigrationResult {
    /// The state that this version reads.
    ///
    /// # Errors
    /// The function refused the older state. Its error is the message.
    fn migrated(self) -> Result<Json, String>;
}

#[diagnostic::do_not_recommend]
impl<E: Display> MigrationResult for Result<Json, E> {
    fn migrated(self) -> Result<Json, String> {
        self.map_err(|error| error.to_string())
    }
}

/// `#[shared(version = 2, migrate = path)]`.
///
/// # Errors
/// The function refused the older state.
pub fn migrate<M: MigrationResult>(
    migrate: impl FnOnce(u32, Json) -> M, // fn(u32, Json) -> Result<Json, impl Display>
    from: u32,
    state: Json,
) -> Result<Json, String> {
    migrate(from, state).migrated()
}
