//! Items that move from one list to another: what is addressed to where an item was reaches it where it is now.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::authority::state::typed::Typed;
use crate::core::{
    Invalid, Reject, SharedState, UpdateError, UpdateErrorKind, WireUpdate, decode_update, encode_update,
    take_back, text_scope, transfer, work,
};

/// The version of a move that is made to look at the rest of a change, and taken back.
const STAGED: u64 = u64::MAX;

impl<S: SharedState> Typed<S> {
    /// The updates of a change as this state applies them, if any is different: see [`RoomState::forwarded`](super::RoomState::forwarded).
    pub(super) fn forward(
        &mut self,
        updates: &[WireUpdate<'_>],
        knows: &dyn Fn(u64) -> bool,
    ) -> Result<Option<String>, Reject> {
        let is_transfer = |update: &WireUpdate<'_>| update.op.as_deref() == Some(transfer::TRANSFER);
        // What the change itself moves may lead elsewhere what follows the move. A `take` is one with the next update.
        let first_move = updates.iter().position(|update| destination(update).is_some());
        let after_move = first_move.map(|at| if is_transfer(&updates[at]) { at + 1 } else { at + 2 });
        let differing = updates.iter().enumerate().rev().find(|(at, update)| {
            is_transfer(update)
                || after_move.is_some_and(|after| *at >= after)
                || self.may_differ(update, knows)
        });
        let Some((last, _)) = differing else { return Ok(None) };
        let mut staged = Vec::new();
        let moved = first_move.is_some_and(|at| at < last).then(|| self.moved.clone());
        // The author knows what the change itself moves.
        let knows = |version| version == STAGED || knows(version);
        let (forwarded, _) = text_scope::claims(|| self.forward_until(last, updates, &knows, &mut staged));
        take_back(&mut self.state, staged);
        if let Some(moved) = moved {
            self.moved = moved;
        }
        let (forwarded, differs) = forwarded?;
        Ok(differs.then(|| format!("[{}]", forwarded.join(","))))
    }

    /// Whether [`forward`](Self::forward) may make something else of an update.
    fn may_differ(&self, update: &WireUpdate<'_>, knows: &dyn Fn(u64) -> bool) -> bool {
        !self.moved.is_empty()
            && (!self.moved.on(&update.key).is_empty()
                || update.op.is_none() && !self.moved.left(&update.key, knows).is_empty())
    }

    /// The updates of a change as JSON, and whether any is different. Each is looked at in the state that those before
    /// it make, up to the one at `last`. `staged` receives what was applied for that, as inverses.
    fn forward_until(
        &mut self,
        last: usize,
        updates: &[WireUpdate<'_>],
        knows: &dyn Fn(u64) -> bool,
        staged: &mut Vec<S::Update>,
    ) -> Result<(Vec<String>, bool), Reject> {
        let mut all = Vec::with_capacity(updates.len());
        let mut differs = false;
        for (at, update) in updates.iter().enumerate() {
            work::check()?;
            let mut forwarded = update.clone();
            if let Some(key) = self.forwarded_key(&update.key, update.op.as_deref()) {
                forwarded.key = Cow::Owned(key);
                differs = true;
                self.check_reachable(update, &forwarded)?;
            }
            let to = destination(update).and_then(|to| self.forwarded_key(&to, None));
            let to = to.and_then(|to| transfer::with_destination(update.value, &to));
            let other = to.or_else(|| self.without_moved(&forwarded, knows));
            if let Some(value) = &other {
                forwarded.value = value;
                differs = true;
            }
            let is_transfer = update.op.as_deref() == Some(transfer::TRANSFER);
            // What the struct does not know is left to `apply`.
            let decoded = if is_transfer || at < last { decode_update::<S>(&forwarded).ok() } else { None };
            match decoded {
                Some(transfer) if is_transfer => {
                    differs = true;
                    for half in transfer::expanded(&mut self.state, vec![transfer])? {
                        all.push(encode_update::<S>(&half)?.as_str().to_owned());
                        if at < last {
                            self.stage(half, staged);
                        }
                    }
                }
                Some(decoded) => {
                    all.push(as_json(&forwarded));
                    self.stage(decoded, staged);
                }
                None => all.push(as_json(&forwarded)),
            }
        }
        Ok((all, differs))
    }

    /// Applies an update, so that those after it in a change can be looked at. One that cannot be applied is refused
    /// later, with the change.
    fn stage(&mut self, update: S::Update, staged: &mut Vec<S::Update>) {
        if self.state.check_op(&update).is_ok() {
            let update = self.state.resolve(&self.versions, &update).unwrap_or(update);
            let inverse = self.state.apply(update);
            self.note_moves(std::slice::from_ref(&inverse), STAGED);
            staged.push(inverse);
        }
    }

    /// The insertion of an item that the same change has taken from another list: the item as it was there, whatever
    /// the client has seen of it. `None` if the list has items of another type.
    pub(super) fn carrying(insert: &WireUpdate<'_>, item: &RawValue) -> Option<S::Update> {
        let value = transfer::with_item(insert.value, item)?;
        decode_update::<S>(&WireUpdate { value: &value, ..insert.clone() }).ok()
    }

    /// Records which items a change has moved from one list to another, or put at a path, alone or with what is
    /// around them.
    pub(super) fn note_moves(&mut self, touched: &[S::Update], version: u64) {
        for inverse in touched {
            match transfer::moved::<S>(inverse) {
                Some((path, Some(to))) => {
                    let to = transfer::without_aliases::<S>(&to).unwrap_or(to);
                    self.moved.note(&path, &to, version);
                }
                Some((path, None)) if !self.moved.is_empty() => {
                    for (former, here) in self.moved.within(&path) {
                        if !transfer::is_missing(&mut self.state, &here) {
                            self.moved.forget(&former);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Where an update at `path` leads that is addressed to an item which has moved. `None`: the address is right.
    fn forwarded_key(&mut self, path: &str, op: Option<&str>) -> Option<String> {
        let mut key: Option<String> = None;
        // One item leads to where it is at once, but the lists around it may have moved as well. An item that was
        // removed where it is may lead in a circle.
        let mut followed = Vec::new();
        loop {
            let at = key.as_deref().unwrap_or(path);
            let former = self.moved.on(at).into_iter();
            let former: Vec<_> = former.map(|(path, now)| (path.to_owned(), now.to_owned())).collect();
            let next = former.into_iter().filter(|(former, _)| !followed.contains(former)).find_map(
                |(former, now)| {
                    let rest = &at[former.len()..];
                    // A place in the list that an item has left means nothing in the other one.
                    if rest.is_empty() && op == Some("move") {
                        return None;
                    }
                    transfer::is_missing(&mut self.state, &former).then(|| (format!("{now}{rest}"), former))
                },
            );
            let Some((next, former)) = next else { return key };
            key = Some(next);
            followed.push(former);
        }
    }

    /// Refuses an update of something inside an item that has moved to a list in which items have no parts.
    fn check_reachable(&self, update: &WireUpdate<'_>, forwarded: &WireUpdate<'_>) -> Result<(), Reject> {
        let is_unknown = matches!(
            decode_update::<S>(forwarded),
            Err(UpdateError { kind: UpdateErrorKind::UnknownField, .. })
        );
        if is_unknown && !self.unknown.is_declared(&forwarded.key) && decode_update::<S>(update).is_ok() {
            return Err(Reject::from(Invalid::gone()).in_field(update.key.as_ref()));
        }
        Ok(())
    }

    /// The value of a set without the items that have moved to other lists by versions that its author did not know: there
    /// is one of each in the end. `None`: the value has none.
    fn without_moved(
        &mut self,
        update: &WireUpdate<'_>,
        knows: &dyn Fn(u64) -> bool,
    ) -> Option<Box<RawValue>> {
        if update.op.is_some() || self.moved.is_empty() {
            return None;
        }
        let left = self.moved.left(&update.key, knows);
        let set = if left.is_empty() { None } else { decode_update::<S>(update).ok() }?;
        let without = transfer::set_without(&mut self.state, &set, &left)?;
        let encoded = encode_update::<S>(&without).ok()?;
        let WireUpdate { value, .. } = serde_json::from_str(encoded.as_str()).ok()?;
        Some(value.to_owned())
    }
}

/// The list that an update moves an item to, if it takes one from a list.
pub(super) fn destination(update: &WireUpdate<'_>) -> Option<String> {
    let takes = matches!(update.op.as_deref(), Some(transfer::TAKE | transfer::TRANSFER));
    takes.then(|| transfer::destination(update.value.get()).map(Cow::into_owned)).flatten()
}

/// Whether an update inserts an item into the list at a path.
pub(super) fn is_insert_into(update: &WireUpdate<'_>, list: &str) -> bool {
    update.op.as_deref() == Some("insert") && update.key == list
}

fn as_json(update: &WireUpdate<'_>) -> String {
    serde_json::to_string(update).expect("a path and JSON are JSON")
}
