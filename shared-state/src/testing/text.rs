//! Texts in the reference model: applies edits to stored texts with yrs alone.
//!
//! The model uses the policy's own checks to decide which edits are ignored because they refer to characters
//! that the text does not have. How the other edits merge is decided by yrs alone.

use data_encoding::BASE64_NOPAD;
use serde::Deserialize as _;
use serde_json::Value;
use yrs::updates::decoder::Decode as _;
use yrs::{
    ClientID, Doc, GetString as _, OffsetKind, Options, ReadTxn as _, StateVector, Text as _, Transact,
};

use crate::core::text_scope;
use crate::merge::Text as SharedText;
use crate::merge::text::id_set::IdSet;
use crate::merge::text::yjs::{Clocks, Content, Id, ROOT, Struct, Update};
use crate::merge::text::{INITIAL, Splice, UNSIGNED};

/// Applies an edit to a stored text.
pub(super) fn edit(text: &mut Value, edit: &Value) -> Result<(), String> {
    let doc = open(text)?;
    let mut update = read(edit)?;
    let vector = Transact::transact(&doc).state_vector();
    let clocks: Clocks = vector.iter().map(|(client, clock)| (client.get(), *clock)).collect();
    let (mut gone, mut halves) = (IdSet::default(), IdSet::default());
    for (writer, structs) in &stored(&doc)?.structs {
        for run in structs {
            if run.content == Content::Gc {
                gone.insert(*writer, run.clock..run.end());
            }
            run.low_surrogates().for_each(|half| halves.insert(*writer, half..half + 1));
        }
    }
    let known = |client| clocks.get(&client).copied().unwrap_or(0);
    let is_half = |id: Id| halves.contains(id.client, id.clock);
    if update.check(known, &gone).and_then(|_| update.check_cuts(is_half)).is_err() {
        return Ok(());
    }
    update.fit(known);
    integrate(&doc, &update.write())?;
    store(text, &doc)
}

/// Whether an insertion of an edit names a right neighbour that is left of its left neighbour in a stored text.
pub(super) fn is_crossed(text: &Value, edit: &Value) -> Result<bool, String> {
    // Of characters that are deleted, yrs tells no place.
    let text =
        text_scope::with_history(|| SharedText::deserialize(text)).map_err(|error| error.to_string())?;
    let update = read(edit)?;
    let crosses = |run: &Struct| text.is_before(run.right?, run.origin?);
    Ok(update.structs.values().flatten().any(|run| crosses(run).unwrap_or(false)))
}

/// Applies splices to a stored text, under the id of edits that have no author yet.
pub(super) fn splice(text: &mut Value, splices: &Value) -> Result<(), String> {
    let splices: Vec<Splice> =
        serde_json::from_value(splices.clone()).map_err(|error| format!("splices: {error}"))?;
    let doc = new_doc(UNSIGNED);
    integrate(&doc, &stored(&open(text)?)?.write())?;
    let root = doc.get_or_insert_text(ROOT);
    for Splice { at, delete, insert } in splices {
        let plain = root.get_string(&Transact::transact(&doc));
        // The last position at or before `position` that is not inside a character.
        let place = |position: usize| {
            let starts = plain.chars().scan(0, |at, c| Some(std::mem::replace(at, *at + c.len_utf16())));
            let all = starts.chain([plain.encode_utf16().count()]);
            all.take_while(|start| *start <= position).last().unwrap_or(0) as u32
        };
        let (start, end) = (place(at), place(at.saturating_add(delete)));
        let mut txn = Transact::transact_mut(&doc);
        root.remove_range(&mut txn, start, end - start);
        root.insert(&mut txn, start, &insert);
    }
    store(text, &doc)
}

fn store(text: &mut Value, doc: &Doc) -> Result<(), String> {
    let mut whole = stored(doc)?;
    whole.compact();
    *text = match whole.as_plain() {
        Some(plain) => Value::from(plain),
        None => serde_json::json!({ "yjs": BASE64_NOPAD.encode(&whole.write()) }),
    };
    Ok(())
}

/// The readable content of a stored text.
pub(super) fn plain(text: &Value) -> Result<String, String> {
    let doc = open(text)?;
    let root = doc.get_or_insert_text(ROOT);
    Ok(root.get_string(&Transact::transact(&doc)))
}

/// Whether a logged edit is the written one, apart from the fillers for gaps and from the neighbours that its
/// insertions have there.
pub(super) fn same(logged: &Value, written: &Value) -> bool {
    let (Ok(mut logged), Ok(mut written)) = (read(logged), read(written)) else { return false };
    for structs in logged.structs.values_mut() {
        structs.retain(|run| run.content != Content::Gc);
    }
    for run in logged.structs.values_mut().chain(written.structs.values_mut()).flatten() {
        (run.origin, run.right) = (None, None);
    }
    logged == written
}

fn read(edit: &Value) -> Result<Update, String> {
    let text = edit.as_str().ok_or("an edit is a string")?;
    Update::read(&BASE64_NOPAD.decode(text.as_bytes()).map_err(|error| error.to_string())?)
}

fn new_doc(writer: u64) -> Doc {
    let mut options = Options::with_client_id(ClientID::new(writer));
    options.offset_kind = OffsetKind::Utf16;
    options.skip_gc = true;
    Doc::with_options(options)
}

fn open(text: &Value) -> Result<Doc, String> {
    let doc = new_doc(INITIAL);
    let root = doc.get_or_insert_text(ROOT);
    match text.as_str() {
        Some(text) => root.insert(&mut Transact::transact_mut(&doc), 0, text),
        None => {
            let whole = text["yjs"].as_str().ok_or("a text is a string or has `yjs`")?;
            integrate(&doc, &BASE64_NOPAD.decode(whole.as_bytes()).map_err(|error| error.to_string())?)?;
        }
    }
    Ok(doc)
}

fn integrate(doc: &Doc, bytes: &[u8]) -> Result<(), String> {
    let update = yrs::Update::decode_v1(bytes).map_err(|error| error.to_string())?;
    let mut txn = Transact::transact_mut(doc);
    txn.apply_update(update).map_err(|error| error.to_string())?;
    match txn.has_missing_updates() {
        true => Err("an edit that waits for another".to_owned()),
        false => Ok(()),
    }
}

fn stored(doc: &Doc) -> Result<Update, String> {
    Update::read(&Transact::transact(doc).encode_state_as_update_v1(&StateVector::default()))
}
