//! What the accessor of a plain collection returns is read like the collection.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use shared_state::testing::Pair;
use shared_state::{FieldValue, SharedState};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    items: Vec<u8>,
    votes: BTreeMap<u8, u8>,
    scores: HashMap<u8, u8>,
    tags: BTreeSet<u8>,
}

#[test]
fn a_plain_collection_is_read_like_itself() {
    let pair = Pair::new(Document { items: vec![3, 1, 2], ..Document::default() });
    let doc = pair.client(0);
    assert_eq!(doc.items(), [3, 1, 2]);
    assert_eq!(vec![3, 1, 2], doc.items());
    assert_eq!(doc.items(), doc.items());
    assert!(doc.items().contains(&1) && doc.items()[1..] == [1, 2] && doc.votes().is_empty());
    assert_eq!(doc.items().iter().max(), Some(&3));
    let mut sum = 0;
    for item in doc.items() {
        sum += item;
    }
    for item in &doc.items() {
        sum += *item;
    }
    assert_eq!(sum, 12);
    let mut items = doc.items().into_inner();
    items.sort_unstable();
    doc.set_items(items).unwrap();
    let cloned: Vec<u8> = doc.items().clone();
    let converted: Vec<u8> = doc.items().into();
    assert_eq!((cloned.as_slice(), converted.as_slice()), ([1, 2, 3].as_slice(), [1, 2, 3].as_slice()));
    doc.update_votes(|votes| {
        votes.insert(1, 2);
    })
    .unwrap();
    let votes: FieldValue<BTreeMap<u8, u8>> = doc.votes();
    assert_eq!((votes.get(&1), format!("{votes:?}")), (Some(&2), "{1: 2}".to_owned()));
    assert_eq!(serde_json::to_string(&votes).unwrap(), r#"{"1":2}"#);
    assert_eq!(doc.scores(), HashMap::new());
    assert_eq!(doc.tags(), BTreeSet::new());
}
