//! The yrs document of a text: creating it, applying updates to it and encoding it. Nothing else calls these
//! parts of yrs.

use yrs::updates::decoder::Decode as _;
use yrs::{ClientID, Doc, OffsetKind, Options, ReadTxn as _, StateVector, Transact};

use super::id_set::IdSet;
use super::yjs::{ROOT, Update};

/// An empty document. It is changed only by updates: edits are composed outside of it and then applied.
pub(super) fn new() -> Doc {
    let mut options = Options::with_guid_and_client_id("".into(), ClientID::new(0));
    options.offset_kind = OffsetKind::Utf16;
    options.skip_gc = true;
    let doc = Doc::with_options(options);
    doc.get_or_insert_text(ROOT);
    doc
}

/// Applies bytes that were checked to the document. Returns what they deleted.
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
    ranges.map(|(client, range)| (client, range.start..range.end)).collect()
}

/// The whole document as an update, including what was deleted.
pub(super) fn bytes(doc: &Doc) -> Vec<u8> {
    Transact::transact(doc).encode_state_as_update_v1(&StateVector::default())
}

/// As [`bytes`], decoded.
pub(super) fn read(doc: &Doc) -> Update {
    Update::read(&bytes(doc)).unwrap_or_default()
}
