//! The trait [`SharedState`], which `#[derive(SharedState)]` implements: everything that the crate knows of a
//! struct.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserializer, Serialize, Serializer};

use crate::core::{
    Author, Backend, FieldId, FieldInfo, FieldPath, FieldPathBuf, Invalid, Overlap, Shareable, StructInfo,
    Timing, UndoGuard, UpdateError, Versions, defaults,
};

/// A struct whose fields are shared by everyone in a room.
///
/// `#[derive(SharedState)]` implements it; the derive's documentation lists the attributes. The state
/// machines on the client and the server are written against this trait. An application rarely calls its
/// methods: it reads and writes through the generated handle.
///
/// Most methods find the field that an update belongs to and call the method of the same name of the field's
/// [`MergePolicy`](crate::merge::MergePolicy), whose documentation tells when each is called.
///
/// # What an implementation guarantees
/// * [`apply`](Self::apply) is deterministic and total: the same update on the same state gives the same
///   state on every machine, and it never fails, whatever the state.
/// * `state.apply(state.apply(update))` restores the state exactly.
/// * `decode(encode(update)) == update` for every update that was decoded itself.
///
/// The provided methods are right for a struct whose fields are all set as a whole and have no rules.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a shared state",
    label = "does not implement `SharedState`",
    note = "write `#[derive(SharedState)]` above the struct; a field of another type needs no attribute, and is set \
            as a whole"
)]
pub trait SharedState: Shareable {
    /// An operation on one field: an enum with a variant for each shared field.
    type Update: Clone + PartialEq + Debug + Send + Sync + 'static;
    /// A partial state: every shared field as an `Option`. It is applied as one change.
    type Patch: Clone + Default + Debug + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// The handle with this struct's accessors, over any backend.
    type Handle<L: Backend<Self>>: Clone + From<L> + std::ops::Deref<Target = L>;

    /// The struct's name, for messages and logs.
    const NAME: &'static str;
    /// The version of the struct. It is raised when states that were stored before can be read only after
    /// [`migrate`](Self::migrate).
    const VERSION: u32 = 1;
    /// The shared fields in declaration order. A [`FieldId`] is an index into this slice.
    const FIELDS: &'static [FieldInfo];
    /// The description of the struct at run time, which can be printed and serialized.
    const INFO: StructInfo = StructInfo::of::<Self>();
    /// Whether [`check_rule`](Self::check_rule) can refuse a state, by a rule of this struct or of a nested
    /// one. The derive says yes for a nested `Option<Box<..>>`, since that struct may contain this one.
    const HAS_RULE: bool = false;
    /// Whether the struct itself has a rule about changes, which [`check_change`](Self::check_change) asks.
    const HAS_CHANGE_RULE: bool = false;

    /// Applies an update and returns its inverse, the update that restores the old state. Costs what the
    /// field's policy says.
    fn apply(&mut self, update: Self::Update) -> Self::Update;

    /// The field that an update changes.
    fn field(update: &Self::Update) -> FieldId;

    /// Checks the rules of what an update changed, in the state after it was applied. `touched` is the
    /// update's inverse, as [`apply`](Self::apply) returned it.
    ///
    /// # Errors
    /// The first rule that does not hold.
    fn check(&self, touched: &Self::Update) -> Result<(), Invalid> {
        let _ = touched;
        Ok(())
    }

    /// Checks the rule about the whole state.
    ///
    /// # Errors
    /// The rule's error.
    fn check_rule(&self) -> Result<(), Invalid> {
        Ok(())
    }

    /// Checks the rule about changes: a change by the client `author` turned `before` into `self`. Only the
    /// server asks, because a client knows neither the state that its change will be applied to nor what
    /// others were allowed to do before.
    ///
    /// # Errors
    /// The rule's error.
    fn check_change(&self, before: &Self, author: &Author) -> Result<(), Invalid> {
        let _ = (before, author);
        Ok(())
    }

    /// Checks that everything in the state can be addressed, as
    /// [`MergePolicy::check_keys`](crate::merge::MergePolicy::check_keys) does.
    ///
    /// # Errors
    /// What has no address of its own.
    fn check_keys(&self) -> Result<(), Invalid> {
        Ok(())
    }

    /// Checks the rules of all fields and the rule about the whole state.
    ///
    /// # Errors
    /// The first rule that does not hold.
    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }

    /// The updates that turn `old` into `new`, in field order, as each field's policy makes them. Empty if
    /// the two are equal.
    fn diff(old: &Self, new: &Self) -> Vec<Self::Update>;

    /// The updates that a patch stands for, in field order.
    fn patch_updates(patch: Self::Patch) -> Vec<Self::Update>;

    /// The update that sets `field` to the value it has in `self`.
    ///
    /// # Panics
    /// If `field` is not an index into [`FIELDS`](Self::FIELDS).
    fn current(&self, field: FieldId) -> Self::Update;

    /// Sets `field` to the value that it has in `from`.
    fn copy_field(&mut self, from: &Self, field: FieldId) {
        defaults::set_from(self, from, field);
    }

    /// How `pending` relates to `remote`, which is applied beneath it.
    fn overlap(pending: &Self::Update, remote: &Self::Update) -> Overlap {
        defaults::overlap_of_sets::<Self>(pending, remote)
    }

    /// Folds `later` into `earlier` if one update has the effect of both in sequence. Returns whether it did.
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

    /// The update by which the author of `update` undoes it. `self` is what the author sees now, and
    /// `inverse` is what [`apply`](Self::apply) returned when `update` was applied. `None` if others have
    /// overwritten the effect of `update` since.
    fn undo(&self, update: &Self::Update, inverse: &Self::Update) -> Option<Self::Update> {
        defaults::undo_set(self, update, inverse)
    }

    /// Which later writes of others keep `update` from being undone.
    fn undo_guard(update: &Self::Update) -> UndoGuard {
        let _ = update;
        UndoGuard::Anything
    }

    /// Whether `update` changes the state.
    fn has_effect(&self, update: &Self::Update) -> bool {
        defaults::differs(self, update)
    }

    /// The smaller updates that replace `update`, if `update` sets a field or a part of it as a whole: the
    /// difference between the new value and the one in `self`, which the author sees. `None` if `update` is
    /// sent as it is.
    fn decompose(&self, update: &Self::Update) -> Option<Vec<Self::Update>> {
        let _ = update;
        None
    }

    /// The update with its references resolved against the server's state. The server stores and sends it in
    /// place of `update`. `None` if `update` stays as it is.
    fn resolve(&self, versions: &Versions, update: &Self::Update) -> Option<Self::Update> {
        let _ = (versions, update);
        None
    }

    /// Checks what an update itself requires of the state, before it is applied.
    ///
    /// # Errors
    /// What is wrong with the update.
    fn check_op(&self, update: &Self::Update) -> Result<(), Invalid> {
        let _ = update;
        Ok(())
    }

    /// Records in `versions` that an update was applied at `version`. `touched` is the update's inverse, as
    /// [`apply`](Self::apply) returned it.
    fn record(versions: &mut Versions, touched: &Self::Update, version: u64) {
        versions.part_mut(Self::field(touched), version).set_whole(version);
    }

    /// Appends to `out` the updates that bring a state of version `since` to this one, in an order in which
    /// they can be applied.
    fn delta(&self, versions: &Versions, since: u64, out: &mut Vec<Self::Update>) {
        defaults::delta(versions, since, |field, _| out.push(self.current(field)));
    }

    /// Appends the path of an update and returns the name of its operation. `None` stands for a plain set.
    fn address(update: &Self::Update, path: &mut FieldPathBuf) -> Option<&'static str> {
        path.push(Self::FIELDS[Self::field(update)].name);
        None
    }

    /// Writes an update's value, without its path and its operation's name.
    ///
    /// # Errors
    /// The serializer, or the value's `Serialize`, failed.
    fn encode<S: Serializer>(update: &Self::Update, serializer: S) -> Result<S::Ok, S::Error>;

    /// Reads an update. `path` and `op` are what [`address`](Self::address) wrote, `value` is what
    /// [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// The field or the operation is unknown, or the value has the wrong form. The error has the field's
    /// name.
    fn decode<'de, D: Deserializer<'de>>(
        path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<Self::Update, UpdateError>;

    /// Writes the value of one field of `self`.
    ///
    /// # Errors
    /// The serializer, or the field's `Serialize`, failed.
    ///
    /// # Panics
    /// If `field` is not an index into [`FIELDS`](Self::FIELDS).
    fn encode_field<S: Serializer>(&self, field: FieldId, serializer: S) -> Result<S::Ok, S::Error>;

    /// Converts a stored state, a JSON object that version `from` of the struct wrote, into one that this
    /// version reads.
    ///
    /// # Errors
    /// Why the state cannot be converted.
    fn migrate(from: u32, value: serde_json::Value) -> Result<serde_json::Value, String> {
        let _ = value;
        Err(format!("there is no migration from version {from}"))
    }

    /// The index of the field with this name on the wire.
    #[must_use]
    fn field_named(name: &str) -> Option<FieldId> {
        Self::FIELDS.iter().position(|info| info.name == name)
    }
}
