//! The trait that `#[derive(SharedState)]` implements: all that the rest of the crate knows of a struct.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserializer, Serialize, Serializer};

use crate::core::{
    Author, Backend, FieldId, FieldInfo, FieldPath, FieldPathBuf, Invalid, Overlap, Shareable, StructInfo,
    Timing, UpdateError, Versions, defaults,
};

/// A struct whose fields are shared by everyone in a room.
///
/// Implemented by `#[derive(SharedState)]`; the derive's documentation lists the attributes. The methods are
/// what the state machines need of a struct, and are rarely called by an application.
///
/// # What an implementation promises
/// * [`apply`](Self::apply) is deterministic and total: the same update on the same state gives the same
///   state, on every machine, and it never fails, whatever the state.
/// * `state.apply(state.apply(update))` restores the state exactly.
/// * `decode(encode(update)) == update` for every update that was itself decoded.
///
/// The methods with a body are right for a struct whose fields are all set as a whole and have no rules.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a shared state",
    label = "does not implement `SharedState`",
    note = "write `#[derive(SharedState)]` above the struct; a field of another type needs no attribute, and is set \
            as a whole"
)]
pub trait SharedState: Shareable {
    /// One field's operation: an enum with a variant for each shared field.
    type Update: Clone + PartialEq + Debug + Send + Sync + 'static;
    /// A partial state: every shared field, each optional. Merged atomically.
    type Patch: Clone + Default + Debug + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// The handle with this struct's own accessors, over any backend.
    type Handle<L: Backend<Self>>: Clone + From<L> + std::ops::Deref<Target = L>;

    /// The struct's name, for messages and logs.
    const NAME: &'static str;
    /// Which version of the struct it is: raised when what was stored before does not fit without
    /// [`migrate`](Self::migrate).
    const VERSION: u32 = 1;
    /// The shared fields in declaration order; a [`FieldId`] is an index into it.
    const FIELDS: &'static [FieldInfo];
    /// What is known of the struct at run time, to be printed or written.
    const INFO: StructInfo = StructInfo::of::<Self>();
    /// Whether [`check_rule`](Self::check_rule) can refuse a state (here or in a nested struct).
    const HAS_RULE: bool = false;
    /// Whether the struct has a rule over changes of its own, which [`check_change`](Self::check_change) asks.
    const HAS_CHANGE_RULE: bool = false;

    /// Applies an update and returns the update that takes it back. Costs what the update's policy says.
    fn apply(&mut self, update: Self::Update) -> Self::Update;

    /// The field an update changes.
    fn field(update: &Self::Update) -> FieldId;

    /// Checks the rules of what an update changed, on the state as it is now; `touched` is what takes it back.
    ///
    /// # Errors
    /// The first rule that does not hold.
    fn check(&self, touched: &Self::Update) -> Result<(), Invalid> {
        let _ = touched;
        Ok(())
    }

    /// Checks the rule over the whole state.
    ///
    /// # Errors
    /// What the rule says.
    fn check_rule(&self) -> Result<(), Invalid> {
        Ok(())
    }

    /// Checks the rule over changes: `before` became `self` by a change of `author`, a client. Only a server asks: a
    /// client knows neither the state that the change will meet nor what others have been allowed.
    ///
    /// # Errors
    /// What the rule says.
    fn check_change(&self, before: &Self, author: &Author) -> Result<(), Invalid> {
        let _ = (before, author);
        Ok(())
    }

    /// Checks every field's rules and the whole-state rule.
    ///
    /// # Errors
    /// The first rule that does not hold.
    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }

    /// The updates that turn `old` into `new`, smallest first choice of each policy; empty if equal.
    fn diff(old: &Self, new: &Self) -> Vec<Self::Update>;

    /// The updates a patch stands for, in field order.
    fn patch_updates(patch: Self::Patch) -> Vec<Self::Update>;

    /// The update that sets `field` to the value it has in `self`.
    ///
    /// # Panics
    /// If `field` is not an index into [`FIELDS`](Self::FIELDS).
    fn current(&self, field: FieldId) -> Self::Update;

    /// Makes `field` equal to what it is in `from`.
    fn copy_field(&mut self, from: &Self, field: FieldId) {
        defaults::set_from(self, from, field);
    }

    /// What `pending` means for `remote`, put underneath it.
    fn overlap(pending: &Self::Update, remote: &Self::Update) -> Overlap {
        defaults::overlap_of_sets::<Self>(pending, remote)
    }

    /// Folds `later` into `earlier` if the two in sequence equal one update; says whether it did.
    fn coalesce(earlier: &mut Self::Update, later: &Self::Update) -> bool {
        defaults::supersede::<Self>(earlier, later)
    }

    /// When an update is sent: at once, debounced or throttled.
    fn timing(update: &Self::Update) -> Timing {
        Self::FIELDS[Self::field(update)].timing
    }

    /// Whether only the server may write this update.
    fn read_only(update: &Self::Update) -> bool {
        Self::FIELDS[Self::field(update)].read_only
    }

    /// The update that takes `update` back for its author, who sees this state now; `inverse` would have taken it
    /// back at once. `None` if others have overwritten it since.
    fn undo(&self, update: &Self::Update, inverse: &Self::Update) -> Option<Self::Update> {
        defaults::undo_set(self, update, inverse)
    }

    /// What an update that sets a whole field means, to somebody who sees this state, as updates of the field's
    /// parts. `None`: it means what it says.
    fn decompose(&self, update: &Self::Update) -> Option<Vec<Self::Update>> {
        let _ = update;
        None
    }

    /// The update with what it refers to looked up: what the server stores and sends in its place. `None`: it
    /// needs nothing.
    fn resolve(&self, versions: &Versions, update: &Self::Update) -> Option<Self::Update> {
        let _ = (versions, update);
        None
    }

    /// Checks what an update demands of the state before it is applied.
    ///
    /// # Errors
    /// What is wrong with the update itself.
    fn check_op(&self, update: &Self::Update) -> Result<(), Invalid> {
        let _ = update;
        Ok(())
    }

    /// Notes in `versions` that an update was applied at `version`; `touched` is what takes it back.
    fn record(versions: &mut Versions, touched: &Self::Update, version: u64) {
        versions.part_mut(Self::field(touched), version).set_whole(version);
    }

    /// The updates that bring a state at version `since` to this one, in an order in which they apply.
    fn delta(&self, versions: &Versions, since: u64, out: &mut Vec<Self::Update>) {
        defaults::delta(versions, since, |field, _| out.push(self.current(field)));
    }

    /// Writes the path of an update and returns its operation's name; `None` is a plain set.
    fn address(update: &Self::Update, path: &mut FieldPathBuf) -> Option<&'static str> {
        path.push(Self::FIELDS[Self::field(update)].name);
        None
    }

    /// Writes an update's value, without its path and operation.
    ///
    /// # Errors
    /// What the serializer or the field's `Serialize` reports.
    fn encode<S: Serializer>(update: &Self::Update, serializer: S) -> Result<S::Ok, S::Error>;

    /// Reads an update: `path` and `op` as [`address`](Self::address) wrote them, the value from `value`.
    ///
    /// # Errors
    /// Unknown field, unknown operation, or a value of the wrong form; each with the field's name.
    fn decode<'de, D: Deserializer<'de>>(
        path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<Self::Update, UpdateError>;

    /// Writes the value of one field as it is in `self`.
    ///
    /// # Errors
    /// What the serializer or the field's `Serialize` reports.
    fn encode_field<S: Serializer>(&self, field: FieldId, serializer: S) -> Result<S::Ok, S::Error>;

    /// Makes of a state that version `from` of the struct has written, a JSON object, what this version reads.
    ///
    /// # Errors
    /// Why it cannot.
    fn migrate(from: u32, value: serde_json::Value) -> Result<serde_json::Value, String> {
        let _ = value;
        Err(format!("there is no migration from version {from}"))
    }

    /// The index of the field with this wire name.
    #[must_use]
    fn field_named(name: &str) -> Option<FieldId> {
        Self::FIELDS.iter().position(|info| info.name == name)
    }
}
