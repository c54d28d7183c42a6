//! Texts in the model: what yrs, on its own, makes of an edit of a stored text.
//!
//! Which edits do nothing, since they are about what the text does not have, is the policy's own rule; how those that
//! do something merge is not.

use data_encoding::BASE64_NOPAD;
use serde_json::Value;
use yrs::updates::decoder::Decode as _;
use yrs::{ClientID, Doc, OffsetKind, Options, ReadTxn as _, StateVector, Text as _, Transact};

use crate::merge::text::ranges::Ranges;
use crate::merge::text::yjs::{Clocks, Content, ROOT, Update};

/// Applies an edit to a text as it is stored.
pub(super) fn edit(text: &mut Value, edit: &Value) -> Result<(), String> {
    let doc = open(text)?;
    let mut update = read(edit)?;
    let vector = Transact::transact(&doc).state_vector();
    let clocks: Clocks = vector.iter().map(|(client, clock)| (client.get(), *clock)).collect();
    let (mut gone, mut halves) = (Ranges::default(), Ranges::default());
    for (writer, structs) in &stored(&doc)?.structs {
        for run in structs {
            if run.content == Content::Gone {
                gone.insert(*writer, run.clock..run.end());
            }
            run.halves().for_each(|half| halves.insert(*writer, half..half + 1));
        }
    }
    if update.check(&clocks, &gone).and_then(|()| update.check_cuts(&halves)).is_err() {
        return Ok(());
    }
    update.fit(&clocks);
    integrate(&doc, &update.write())?;
    let mut whole = stored(&doc)?;
    whole.compact();
    *text = match whole.as_plain() {
        Some(plain) => Value::from(plain),
        None => serde_json::json!({ "yjs": BASE64_NOPAD.encode(&whole.write()) }),
    };
    Ok(())
}

/// Whether a logged edit is the one that was written, but for what fills up gaps.
pub(super) fn same(logged: &Value, written: &Value) -> bool {
    let (Ok(mut logged), Ok(written)) = (read(logged), read(written)) else { return false };
    for structs in logged.structs.values_mut() {
        structs.retain(|run| run.content != Content::Gone);
    }
    logged == written
}

fn read(edit: &Value) -> Result<Update, String> {
    let text = edit.as_str().ok_or("an edit is a string")?;
    Update::read(&BASE64_NOPAD.decode(text.as_bytes()).map_err(|error| error.to_string())?)
}

fn open(text: &Value) -> Result<Doc, String> {
    let mut options = Options::with_client_id(ClientID::new(0));
    options.offset_kind = OffsetKind::Utf16;
    options.skip_gc = true;
    let doc = Doc::with_options(options);
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
