//! Moves of an item from one list to another.
//!
//! A move is written as the operation `transfer` on the item, which names the other list. Neither list can
//! apply it alone, so it is replaced by two updates of one change before it is applied: `take`, which removes
//! the item and says where it goes, and `insert` into the other list. The two are found by their form on the
//! wire, because the lists may be in different fields and structs.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::core::{
    FieldPath, FieldPathBuf, Reject, SharedState, UpdateError, WireUpdate, WriteError, take_back,
};
use crate::core::{Segment, Versions, text_scope, update::Payload, work};

/// Moves an item to the list at a path.
pub(crate) const TRANSFER: &str = "transfer";

/// Removes an item, which moves to the list at a path.
pub(crate) const TAKE: &str = "take";

/// Undoes a `take`. It is never sent: [`back`] makes a transfer of it.
pub(crate) const RETURN: &str = "return";

/// The value of a `take`, and the part of the other operations' values that matters here.
#[derive(Serialize, Deserialize)]
pub(crate) struct Destination<'a> {
    /// The path of the list that the item moves to.
    #[serde(borrow)]
    pub(crate) to: std::borrow::Cow<'a, str>,
}

/// The place of an operation's value, as it is on the wire: absent for the end of the list.
#[derive(Default, Serialize, Deserialize)]
struct Placed<'a> {
    #[serde(borrow, default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    after: Option<&'a RawValue>,
}

/// The value of an `insert`.
#[derive(Serialize, Deserialize)]
struct Inserted<'a> {
    #[serde(borrow, default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    after: Option<&'a RawValue>,
    #[serde(borrow)]
    item: &'a RawValue,
}

/// The value of a `return`.
#[derive(Serialize)]
struct Returned<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a RawValue>,
    to: &'a str,
    item: &'a RawValue,
}

/// Reads a member that is present, even if it is `null`.
fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(read: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(read).map(Some)
}

/// Why a transfer cannot be made.
#[derive(Debug)]
pub(crate) enum TransferError {
    Invalid(crate::core::Invalid),
    Update(UpdateError),
    /// The work of the change is beyond its limit.
    TooCostly(Reject),
}

impl From<crate::core::Invalid> for TransferError {
    fn from(invalid: crate::core::Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<UpdateError> for TransferError {
    fn from(error: UpdateError) -> Self {
        Self::Update(error)
    }
}

impl From<serde_json::Error> for TransferError {
    fn from(error: serde_json::Error) -> Self {
        Self::Update(UpdateError::wrong_type(&error))
    }
}

impl From<TransferError> for WriteError {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Invalid(invalid) => invalid.into(),
            TransferError::Update(error) => Self::Unsendable(error),
            // A client has no limit.
            TransferError::TooCostly(reject) => Self::Unsendable(UpdateError::wrong_type(&reject.message)),
        }
    }
}

impl From<TransferError> for Reject {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Invalid(invalid) => invalid.into(),
            TransferError::Update(error) => error.into(),
            TransferError::TooCostly(reject) => reject,
        }
    }
}

/// The path and the operation of an update of a field that may contain lists.
fn address_of<S: SharedState>(update: &S::Update) -> Option<(String, Option<&'static str>)> {
    if !matches!(S::FIELDS[S::field(update)].policy, "list" | "map" | "nested") {
        return None;
    }
    let mut path = FieldPathBuf::new();
    let op = S::address(update, &mut path);
    Some((path.into_string(), op))
}

/// The path of an update whose operation is `op`.
fn path_of<S: SharedState>(update: &S::Update, op: &str) -> Option<String> {
    address_of::<S>(update).filter(|(_, found)| *found == Some(op)).map(|(path, _)| path)
}

fn value_of<S: SharedState>(update: &S::Update) -> Result<Box<RawValue>, serde_json::Error> {
    text_scope::with_history(|| to_raw_value(&Payload::<S> { update }))
}

/// Replaces the transfers of a change by what they are made of. `state` is as before when this returns.
///
/// # Errors
/// An item or a list of a transfer does not exist, or the other list has items of another type.
pub(crate) fn expanded<S: SharedState>(
    state: &mut S,
    updates: Vec<S::Update>,
) -> Result<Vec<S::Update>, TransferError> {
    if updates.iter().all(|update| path_of::<S>(update, TRANSFER).is_none()) {
        return Ok(updates);
    }
    let (mut all, mut inverses) = (Vec::with_capacity(updates.len() + 1), Vec::new());
    let mut verdict = Ok(());
    for update in updates {
        let Some(path) = path_of::<S>(&update, TRANSFER) else {
            inverses.push(state.apply(update.clone()));
            all.push(update);
            continue;
        };
        verdict = work::check().map_err(TransferError::TooCostly);
        if verdict.is_ok() {
            verdict = transfer(state, &path, &update, &mut all, &mut inverses);
        }
        if verdict.is_err() {
            break;
        }
    }
    take_back(state, inverses);
    verdict.map(|()| all)
}

fn transfer<S: SharedState>(
    state: &mut S,
    path: &str,
    update: &S::Update,
    all: &mut Vec<S::Update>,
    inverses: &mut Vec<S::Update>,
) -> Result<(), TransferError> {
    let value = value_of::<S>(update)?;
    let Destination { to } = serde_json::from_str(value.get())?;
    let to = without_aliases::<S>(&to).map_or(to, Into::into);
    let Placed { after } = serde_json::from_str(value.get())?;
    let take = S::decode(FieldPath::new(path), Some(TAKE), &*to_raw_value(&Destination { to: to.clone() })?)?;
    state.check_op(&take)?;
    let taken = state.apply(take.clone());
    let item = value_of::<S>(&taken);
    all.push(take);
    inverses.push(taken);
    let item = item?;
    let Inserted { item, .. } = serde_json::from_str(item.get())?;
    let insert = to_raw_value(&Inserted { after, item })?;
    let insert = S::decode(FieldPath::new(&to), Some("insert"), &*insert)?;
    state.check_op(&insert)?;
    inverses.push(state.apply(insert.clone()));
    all.push(insert);
    Ok(())
}

/// The updates that lead from one state to another, as a program writes them that was given the state to change. An item that
/// it has removed from a list and put into another list has moved, with what it has changed in it.
pub(crate) fn differences<S: SharedState>(before: &S, after: &S) -> Vec<S::Update> {
    let updates = S::diff(before, after);
    let removed: Vec<_> = updates.iter().filter_map(|update| path_of::<S>(update, "delete")).collect();
    if removed.is_empty() {
        return updates;
    }
    let inserted = updates.iter().filter_map(|update| {
        let list = path_of::<S>(update, "insert")?;
        let key = key_inserted::<S>(update)?;
        let from = removed.iter().find(|path| path.rsplit_once('/').is_some_and(|(_, of)| of == key))?;
        Some((from, list, value_of::<S>(update).ok()?))
    });
    let (mut state, mut moved) = (None, Vec::new());
    for (from, list, value) in inserted {
        let state = state.get_or_insert_with(|| before.clone());
        let place = serde_json::from_str(value.get()).map_or(None, |Placed { after }| after);
        // The neighbour may be one that is inserted as well. The item's place is among the other differences then.
        let made = moved_to(state, from, &list, place).or_else(|| moved_to(state, from, &list, None));
        for update in made.into_iter().flatten() {
            state.apply(update.clone());
            moved.push(update);
        }
    }
    match state.filter(|_| !moved.is_empty()) {
        Some(state) => moved.into_iter().chain(S::diff(&state, after)).collect(),
        None => updates,
    }
}

/// What a function returns that is given a copy of a state to change, and the [`differences`] that it has made.
pub(crate) fn changes<S: SharedState, R>(state: &S, change: impl FnOnce(&mut S) -> R) -> (R, Vec<S::Update>) {
    let mut changed = state.clone();
    let result = change(&mut changed);
    (result, differences(state, &changed))
}

/// What a change has done, from the inverse of one of its updates: the path of an item, and the list that it has moved
/// to. Without a list, the item was inserted, or something else was set, at this path.
pub(crate) fn moved<S: SharedState>(inverse: &S::Update) -> Option<(String, Option<String>)> {
    let (path, op) = address_of::<S>(inverse)?;
    match op {
        Some(RETURN) => {
            let value = value_of::<S>(inverse).ok()?;
            Some((path, Some(destination(value.get())?.into_owned())))
        }
        Some("delete") | None => Some((path, None)),
        _ => None,
    }
}

/// The item that a `take` has removed, from the inverse of the update.
pub(crate) fn item_of<S: SharedState>(taken: &S::Update) -> Option<Box<RawValue>> {
    let value = value_of::<S>(taken).ok()?;
    let Inserted { item, .. } = serde_json::from_str(value.get()).ok()?;
    Some(item.to_owned())
}

/// The value of an `insert` with another item.
pub(crate) fn with_item(insert: &RawValue, item: &RawValue) -> Option<Box<RawValue>> {
    let Inserted { after, .. } = serde_json::from_str(insert.get()).ok()?;
    to_raw_value(&Inserted { after, item }).ok()
}

/// The list that an operation, whose value is JSON text, moves the item to.
pub(crate) fn destination(value: &str) -> Option<std::borrow::Cow<'_, str>> {
    serde_json::from_str::<Destination<'_>>(value).ok().map(|destination| destination.to)
}

/// The value of an operation that moves an item to a list which has another name, if it is one.
pub(crate) fn renamed_destination(
    op: Option<&str>,
    value: &RawValue,
    renamed: impl FnOnce(&str) -> Option<String>,
) -> Option<Box<RawValue>> {
    let to = matches!(op, Some(TAKE | TRANSFER)).then(|| destination(value.get())).flatten()?;
    with_destination(value, &renamed(&to)?)
}

/// The path of a list with the names of its struct's fields, if it is given with an alias.
pub(crate) fn without_aliases<S: SharedState>(list: &str) -> Option<String> {
    let empty: Box<RawValue> = serde_json::from_str("[]").ok()?;
    let (path, _) = address_of::<S>(&S::decode(FieldPath::new(list), None, &*empty).ok()?)?;
    (path != list).then_some(path)
}

/// The value of a `take` or `transfer` to another list.
pub(crate) fn with_destination(value: &RawValue, to: &str) -> Option<Box<RawValue>> {
    let Placed { after } = serde_json::from_str(value.get()).ok()?;
    to_raw_value(&Transfer { to, after }).ok()
}

/// What follows in a path after another one that leads there or to something around it: empty, or with a `/` first.
pub(crate) fn rest_after<'p>(around: &str, path: &'p str) -> Option<&'p str> {
    path.strip_prefix(around).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Where a path and those of everything around it end, the innermost first.
pub(crate) fn ends(path: &str) -> impl Iterator<Item = usize> + '_ {
    std::iter::once(path.len()).chain(path.rmatch_indices('/').map(|(at, _)| at))
}

/// A move of an item from one list to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ItemMove {
    /// The path at which the item was.
    pub(crate) from: String,
    /// The path of the list that it has moved to.
    pub(crate) to: String,
}

impl ItemMove {
    /// The path at which the item is now.
    pub(crate) fn now(&self) -> String {
        let key = self.from.rsplit_once('/').map_or("", |(_, key)| key);
        format!("{}/{key}", self.to)
    }

    /// Where a path leads that is the item's former one, or inside it.
    fn forward(&self, path: &str) -> Option<String> {
        rest_after(&self.from, path).map(|rest| format!("{}{rest}", self.now()))
    }

    /// Whether a path leads into the item at its former place.
    pub(crate) fn contains(&self, path: &str) -> bool {
        rest_after(&self.from, path).is_some_and(|rest| !rest.is_empty())
    }

    /// Whether an update inserts the item into the list that it has moved to.
    pub(crate) fn is_insert<S: SharedState>(&self, update: &S::Update) -> bool {
        path_of::<S>(update, "insert").is_some_and(|list| list == self.to)
            && key_inserted::<S>(update).is_some_and(|key| self.now() == format!("{}/{key}", self.to))
    }

    /// The same for the way back.
    pub(crate) fn reversed(&self) -> Self {
        let list = self.from.rsplit_once('/').map_or("", |(list, _)| list);
        Self { from: self.now(), to: list.to_owned() }
    }

    /// The update that removes the item from the list that it has moved to.
    pub(crate) fn removal<S: SharedState>(&self) -> Option<S::Update> {
        S::decode(FieldPath::new(&self.now()), Some("delete"), RawValue::NULL).ok()
    }
}

/// The move of which an update is the first half.
pub(crate) fn move_of<S: SharedState>(take: &S::Update) -> Option<ItemMove> {
    let from = path_of::<S>(take, TAKE)?;
    let value = value_of::<S>(take).ok()?;
    Some(ItemMove { from, to: destination(value.get())?.into_owned() })
}

/// The move that two updates, one after the other in a change, make.
pub(crate) fn move_by<S: SharedState>(take: &S::Update, insert: &S::Update) -> Option<ItemMove> {
    Some(ItemMove { from: path_of::<S>(take, TAKE)?, to: path_of::<S>(insert, "insert")? })
}

/// The moves that updates of a change make, each with the index of its first half.
pub(crate) fn moves_by<S: SharedState>(updates: &[S::Update]) -> impl Iterator<Item = (usize, ItemMove)> {
    let pairs = updates.windows(2).enumerate();
    pairs.filter_map(|(at, pair)| Some((at, move_by::<S>(&pair[0], &pair[1])?)))
}

/// Whether an update takes the item at a path from its list.
pub(crate) fn takes<S: SharedState>(update: &S::Update, item: &str) -> bool {
    path_of::<S>(update, TAKE).is_some_and(|path| path == item)
}

/// Whether there is no item at a path. `state` is as before when this returns.
pub(crate) fn is_missing<S: SharedState>(state: &mut S, path: &str) -> bool {
    let Ok(probe) = S::decode(FieldPath::new(path), Some("delete"), RawValue::NULL) else { return true };
    let inverse = state.apply(probe);
    let is_missing = S::address(&inverse, &mut FieldPathBuf::new()) == Some("nothing");
    state.apply(inverse);
    is_missing
}

/// Moves an item to the end of the list that it has moved to, if that is there.
pub(crate) fn make<S: SharedState>(state: &mut S, item: &ItemMove) {
    for update in moved_to(state, &item.from, &item.to, None).into_iter().flatten() {
        state.apply(update);
    }
}

/// The path of the item that an update of a list inserts. `insert` is the update as it is on the wire.
pub(crate) fn path_inserted<S: SharedState>(insert: &WireUpdate<'_>, update: &S::Update) -> Option<String> {
    serde_json::from_str::<Inserted<'_>>(insert.value.get()).ok()?;
    Some(format!("{}/{}", insert.key, key_inserted::<S>(update)?))
}

/// The path of what an update of a field that may contain lists is about: of an item, if it inserts one.
pub(crate) fn place_of<S: SharedState>(update: &S::Update) -> Option<String> {
    match address_of::<S>(update)? {
        (list, Some("insert")) => Some(format!("{list}/{}", key_inserted::<S>(update)?)),
        (path, _) => Some(path),
    }
}

/// The key of the item that an update inserts, as it is in a path.
fn key_inserted<S: SharedState>(insert: &S::Update) -> Option<String> {
    let mut versions = Versions::default();
    S::record(&mut versions, insert, 1);
    let Some(Segment::Entry(key)) = versions.only_part().pop() else { return None };
    let mut path = FieldPathBuf::new();
    path.push(key.as_str());
    Some(path.into_string())
}

/// An update of an item that has moved, or of something inside it, addressed to where the item is now. `None`: it is an
/// update of something else, or one that means nothing there, as a place in the former list.
pub(crate) fn forwarded<S: SharedState>(update: &S::Update, item: &ItemMove) -> Option<S::Update> {
    text_scope::carrying(|| addressed_anew::<S>(update, item))
}

fn addressed_anew<S: SharedState>(update: &S::Update, item: &ItemMove) -> Option<S::Update> {
    let (path, op) = address_of::<S>(update)?;
    let key = item.forward(&path).filter(|_| path != item.from || op != Some("move"));
    let is_move = matches!(op, Some(TAKE | RETURN));
    let value = (is_move || key.is_some()).then(|| value_of::<S>(update))?.ok()?;
    let to = is_move.then(|| destination(value.get())).flatten().and_then(|own| item.forward(&own));
    if key.is_none() && to.is_none() {
        return None;
    }
    let value = match to {
        Some(to) if op == Some(RETURN) => {
            let Inserted { after, item } = serde_json::from_str(value.get()).ok()?;
            to_raw_value(&Returned { after, to: &to, item }).ok()?
        }
        Some(to) => to_raw_value(&Destination { to: to.into() }).ok()?,
        None => value,
    };
    S::decode(FieldPath::new(key.as_deref().unwrap_or(&path)), op, &*value).ok()
}

/// An insertion of the item that has moved into its former list, and the update that removes it there, or the entry
/// that the insertion has begun, as an insertion into the list where it is now. `None`: they are something else.
pub(crate) fn inserted_at<S: SharedState>(
    insert: &S::Update,
    removal: &S::Update,
    item: &ItemMove,
) -> Option<(S::Update, S::Update)> {
    let removed = path_of::<S>(removal, "delete")?;
    rest_after(&removed, &item.from).filter(|_| item.reversed().is_insert::<S>(insert))?;
    let value = value_of::<S>(insert).ok()?;
    let insert = S::decode(FieldPath::new(&item.to), Some("insert"), &*value).ok()?;
    Some((insert, item.removal::<S>()?))
}

/// A set of something around items without the items at these paths. `None`: there are none in it. `state` is as before
/// when this returns.
pub(crate) fn set_without<S: SharedState>(
    state: &mut S,
    set: &S::Update,
    items: &[impl AsRef<str>],
) -> Option<S::Update> {
    let before = state.apply(set.clone());
    let mut differs = false;
    for path in items {
        if let Ok(delete) = S::decode(FieldPath::new(path.as_ref()), Some("delete"), RawValue::NULL) {
            let removed = state.apply(delete);
            differs |= address_of::<S>(&removed).is_some_and(|(_, op)| op == Some("insert"));
        }
    }
    let without = state.apply(before);
    // As an inverse, it is the set of this state alone. Read back, it is that of any.
    differs.then(|| text_scope::carrying(|| read_back::<S>(&without))).flatten()
}

/// The update that sets the field, list, map or set at a path to the value that it has. `None`: there is nothing of the
/// kind. `state` is as before when this returns.
pub(crate) fn current_at<S: SharedState>(state: &mut S, path: &str) -> Option<S::Update> {
    if !path.contains('/') {
        let name = FieldPath::new(path).next_segment()?;
        return S::field_named(&name).map(|field| state.current(field));
    }
    let empty = ["[]", "{}"].into_iter().find_map(|empty| {
        let empty: Box<RawValue> = serde_json::from_str(empty).ok()?;
        S::decode(FieldPath::new(path), None, &*empty).ok()
    })?;
    let current = state.apply(empty);
    let is_set = address_of::<S>(&current).is_some_and(|(at, op)| at == path && op.is_none());
    // As an inverse, it is the set of this state alone. Read back, it is that of any.
    let read = if is_set { text_scope::carrying(|| read_back::<S>(&current)) } else { None };
    state.apply(current);
    read
}

/// An update as everyone else would read it.
fn read_back<S: SharedState>(update: &S::Update) -> Option<S::Update> {
    let (path, op) = address_of::<S>(update)?;
    S::decode(FieldPath::new(&path), op, &*value_of::<S>(update).ok()?).ok()
}

/// Whether an update sets something that is around an item.
pub(crate) fn sets_around<S: SharedState>(update: &S::Update, item: &str) -> bool {
    let Some((path, None)) = address_of::<S>(update) else { return false };
    rest_after(&path, item).is_some_and(|rest| !rest.is_empty())
}

/// The updates that move an item back which a `take`, whose inverse is `taken`, and `insert` have moved. `None`: it is not
/// where it has moved to, or cannot be moved back. `state` is as before when this returns.
pub(crate) fn back<S: SharedState>(
    state: &mut S,
    taken: &S::Update,
    insert: &S::Update,
) -> Option<Vec<S::Update>> {
    let (from, to) = (path_of::<S>(taken, RETURN)?, path_of::<S>(insert, "insert")?);
    let (list, key) = from.rsplit_once('/')?;
    moved_as(state, &format!("{to}/{key}"), list, taken)
}

/// The updates that move an item again as `take` and `insert` have moved it, with what it contains now. `None`: it cannot
/// be moved. `state` is as before when this returns.
pub(crate) fn again<S: SharedState>(
    state: &mut S,
    take: &S::Update,
    insert: &S::Update,
) -> Option<Vec<S::Update>> {
    let (from, to) = (path_of::<S>(take, TAKE)?, path_of::<S>(insert, "insert")?);
    moved_as(state, &from, &to, insert)
}

/// As [`moved_to`], to the place that is in another update.
fn moved_as<S: SharedState>(
    state: &mut S,
    item: &str,
    to: &str,
    placed: &S::Update,
) -> Option<Vec<S::Update>> {
    let value = value_of::<S>(placed).ok()?;
    let Placed { after } = serde_json::from_str(value.get()).ok()?;
    moved_to(state, item, to, after)
}

fn moved_to<S: SharedState>(
    state: &mut S,
    item: &str,
    to: &str,
    after: Option<&RawValue>,
) -> Option<Vec<S::Update>> {
    let value = to_raw_value(&Transfer { to, after }).ok()?;
    let transfer = S::decode(FieldPath::new(item), Some(TRANSFER), &*value).ok()?;
    expanded(state, vec![transfer]).ok()
}

/// The value of a `transfer`.
#[derive(Serialize)]
struct Transfer<'a> {
    to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a RawValue>,
}
