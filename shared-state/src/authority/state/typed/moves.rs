//! Items that move from one list to another: what is addressed to where an item was reaches it where it is now.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::{RawValue, to_raw_value};

use crate::authority::state::typed::Typed;
use crate::core::{Reject, SharedState, WireUpdate, decode_update, encode_update, transfer, work};

impl<S: SharedState> Typed<S> {
    /// The updates of a change as this state applies them, if any is different: see [`RoomState::forwarded`](super::RoomState::forwarded).
    pub(super) fn forward(
        &mut self,
        updates: &[WireUpdate<'_>],
        base: u64,
    ) -> Result<Option<String>, Reject> {
        let has_transfers = updates.iter().any(|update| update.op.as_deref() == Some(transfer::TRANSFER));
        if self.moved.is_empty() && !has_transfers {
            return Ok(None);
        }
        let mut inserted = HashSet::new();
        let mut destinations = Vec::with_capacity(updates.len());
        let mut forwarded = updates.to_vec();
        let mut differs = false;
        for (update, forwarded) in updates.iter().zip(&mut forwarded) {
            work::check()?;
            let to = destination(update).and_then(|to| self.forwarded_key(&to, None, &inserted));
            let to = to.and_then(|to| to_raw_value(&transfer::Destination { to: to.into() }).ok());
            if let Some(key) = self.forwarded_key(&update.key, update.op.as_deref(), &inserted) {
                forwarded.key = Cow::Owned(key);
                differs = true;
            }
            differs |= to.is_some();
            destinations.push(to);
            if update.op.as_deref() == Some("insert") {
                inserted.insert(&*update.key);
            }
        }
        for (update, to) in forwarded.iter_mut().zip(&destinations) {
            if let Some(to) = to {
                update.value = to;
            }
        }
        let without: Vec<_> = forwarded.iter().map(|update| self.without_moved(update, base)).collect();
        for (update, without) in forwarded.iter_mut().zip(&without) {
            if let Some(without) = without {
                update.value = without;
                differs = true;
            }
        }
        if has_transfers {
            let decoded: Result<Vec<_>, _> = forwarded.iter().map(decode_update::<S>).collect();
            // What the struct does not know is left to `apply`.
            if let Ok(decoded) = decoded {
                let expanded = transfer::expanded(&mut self.state, decoded)?;
                let texts: Result<Vec<_>, _> = expanded.iter().map(encode_update::<S>).collect();
                let texts: Vec<_> = texts?.iter().map(|text| text.as_str().to_owned()).collect();
                return Ok(Some(format!("[{}]", texts.join(","))));
            }
        }
        Ok(differs.then(|| serde_json::to_string(&forwarded).expect("paths and JSON are JSON")))
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
                Some((path, Some(to))) => self.moved.note(&path, &to, version),
                Some((path, None)) if !self.moved.is_empty() => {
                    for former in self.moved.within(&path) {
                        if !transfer::is_missing(&mut self.state, &former) {
                            self.moved.forget(&former);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Where an update at `path` leads that is addressed to an item which has moved. `inserted` are the lists into which
    /// the same change has inserted something before. `None`: the address is right.
    fn forwarded_key(&mut self, path: &str, op: Option<&str>, inserted: &HashSet<&str>) -> Option<String> {
        let mut key: Option<String> = None;
        // One item leads to where it is at once, but the lists around it may have moved as well. An item that was
        // removed where it is may lead in a circle.
        let mut followed = Vec::new();
        loop {
            let at = key.as_deref().unwrap_or(path);
            let former: Vec<_> =
                self.moved.on(at).map(|(path, now)| (path.to_owned(), now.to_owned())).collect();
            let next = former.into_iter().filter(|(former, _)| !followed.contains(former)).find_map(
                |(former, now)| {
                    let rest = &at[former.len()..];
                    // A place in the list that an item has left means nothing in the other one.
                    if rest.is_empty() && op == Some("move") {
                        return None;
                    }
                    let list = former.rsplit_once('/').map_or("", |(list, _)| list);
                    (!inserted.contains(list) && transfer::is_missing(&mut self.state, &former))
                        .then(|| (format!("{now}{rest}"), former))
                },
            );
            let Some((next, former)) = next else { return key };
            key = Some(next);
            followed.push(former);
        }
    }

    /// The value of a set without the items that have moved to other lists since `base`, which its author did not know:
    /// there is one of each in the end. `None`: the value has none.
    fn without_moved(&mut self, update: &WireUpdate<'_>, base: u64) -> Option<Box<RawValue>> {
        if update.op.is_some() || self.moved.is_empty() {
            return None;
        }
        let left = self.moved.left(&update.key, base);
        // The paths of a later update of this change may be wrong on this state, as after the insertion of a list.
        let set = if left.is_empty() { None } else { decode_update::<S>(update).ok() }?;
        let without = transfer::set_without(&mut self.state, &set, &left)?;
        let encoded = encode_update::<S>(&without).ok()?;
        let WireUpdate { value, .. } = serde_json::from_str(encoded.as_str()).ok()?;
        Some(value.to_owned())
    }
}

/// The list that an update moves an item to, if it takes one from a list.
pub(super) fn destination(update: &WireUpdate<'_>) -> Option<String> {
    let takes = update.op.as_deref() == Some(transfer::TAKE);
    let value = takes.then_some(update.value)?;
    let transfer::Destination { to } = serde_json::from_str(value.get()).ok()?;
    Some(to.into_owned())
}

/// Whether an update inserts an item into the list at a path.
pub(super) fn is_insert_into(update: &WireUpdate<'_>, list: &str) -> bool {
    update.op.as_deref() == Some("insert") && update.key == list
}
