//! Makes edits of splices: finds the units at the positions, and the neighbours of what is inserted.

use std::borrow::Cow;

use super::document::Document;
use super::id_set::IdSet;
use super::order::Order;
use super::run::Run;
use super::splice::Splice;
use super::yjs::{Content, Id, MAX_CLOCK, Struct, Update, units};
use crate::core::text_scope;

/// Composes an edit by `client` of splices, which are applied one after another. A position beyond the end is
/// the end, and one inside a character is before it. Insertions come after the units deleted at the same
/// place, as in Yjs. `None` if the client has no clocks left.
pub(super) fn compose(document: &Document, client: u64, splices: &[Splice]) -> Option<Update> {
    let mut clock = text_scope::first_clock(client, document.clock(client));
    let mut order = Cow::Borrowed(document.order());
    let mut edit = Update::default();
    let mut structs = Vec::new();
    let mut deleted = Vec::new();
    for (nth, Splice { at, delete, insert }) in splices.iter().enumerate() {
        let cut = whole(&order, *at)..whole(&order, at.saturating_add(*delete));
        let parts = order.visible_at(cut.clone());
        let place = order.place(cut.end);
        if !insert.is_empty() {
            let units = u32::try_from(units(insert)).ok()?;
            let end = clock.checked_add(units).filter(|end| *end <= MAX_CLOCK)?;
            let (origin, right) = (order.left_of(place), order.right_of(place));
            if nth + 1 < splices.len() {
                let text = Some(insert.clone());
                order.to_mut().insert(place, Run { client, clock, units, origin, right, text });
            }
            let content = Content::Text(insert.clone());
            structs.push(Struct { clock, units, origin, right, content });
            clock = end;
        }
        if nth + 1 < splices.len() {
            for (client, range) in &parts {
                order.to_mut().delete(*client, range.clone(), &mut Vec::new());
            }
        }
        deleted.extend(parts);
    }
    edit.deleted = deleted.into_iter().collect::<IdSet>();
    if !structs.is_empty() {
        text_scope::use_clocks(client, clock);
        edit.structs.insert(client, structs);
    }
    Some(edit)
}

/// The position, or that of the character which it is inside of.
fn whole(order: &Order, position: usize) -> usize {
    let position = position.min(order.visible());
    if position == 0 || order.wide() == 0 {
        return position;
    }
    let place = order.place(position);
    position - usize::from(order.run(place).is_some_and(|run| run.is_low_surrogate(place.inside)))
}

/// The unit to the left of a position, and the one to the right, of those that are visible.
pub(super) fn around(order: &Order, position: usize) -> (Option<Id>, Option<Id>) {
    let unit = |position: usize| order.right_of(order.place(position));
    (position.checked_sub(1).and_then(unit), unit(position))
}
