//! The yrs document of a text: what it is given, and what it says of itself.

use yrs::updates::decoder::Decode as _;
use yrs::{ClientID, Doc, OffsetKind, Options, ReadTxn as _, StateVector, Transact};

use super::id_set::IdSet;
use super::yjs::{ROOT, Update};

/// An empty one. Nothing is written through it: edits are made beside it and handed to it.
pub(super) fn new() -> Doc {
    let mut options = Options::with_guid_and_client_id("".into(), ClientID::new(0));
    options.offset_kind = OffsetKind::Utf16;
    options.skip_gc = true;
    let doc = Doc::with_options(options);
    doc.get_or_insert_text(ROOT);
    doc
}

/// Hands bytes that were checked to a document; gives what was deleted by that.
pub(super) fn integrate(doc: &Doc, bytes: &[u8]) -> IdSet {
    let mut txn = Transact::transact_mut(doc);
    let update = yrs::Update::decode_v1(bytes);
    debug_assert!(update.is_ok(), "what was checked can be read");
    if let Ok(update) = update {
        let applied = txn.apply_update(update);
        debug_assert!(applied.is_ok() && !txn.has_missing_updates(), "what was checked can be applied");
    }
    let deleted = txn.delete_set().iter();
    let ranges = deleted.flat_map(|(client, ranges)| ranges.iter().map(move |range| (client.get(), range)));
    ranges.map(|(writer, range)| (writer, range.start..range.end)).collect()
}

/// The whole document, with what was deleted.
pub(super) fn bytes(doc: &Doc) -> Vec<u8> {
    Transact::transact(doc).encode_state_as_update_v1(&StateVector::default())
}

/// As [`bytes`], read.
pub(super) fn read(doc: &Doc) -> Update {
    Update::read(&bytes(doc)).unwrap_or_default()
}
