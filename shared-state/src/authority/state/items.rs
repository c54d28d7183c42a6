//! A JSON array while operations of a change edit it: the items in their order, and found by their keys.
//!
//! An array is searched and shifted by each operation, so a change with many operations would cost their number times
//! the items. Here an operation costs the same however many items there are.
//!
//! Items are JSON values, and a JSON value may hold items: the two modules are one recursive type.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::authority::state::exact_json::Json;

/// What an item is found by.
#[derive(Clone, Debug)]
pub(super) enum Key {
    /// Its member of this name, in a list.
    Member(String),
    /// All of it, in a set.
    Whole,
}

impl Key {
    /// An item's key as text; `None` if the item has none that can be a key.
    fn of<'a>(&self, item: &'a Json) -> Option<Cow<'a, str>> {
        match self {
            Self::Whole => Some(Cow::Owned(item.to_string())),
            Self::Member(name) => key_of(item, name),
        }
    }
}

/// The text of an item's member, if that can be a key.
pub(super) fn key_of<'a>(item: &'a Json, member: &str) -> Option<Cow<'a, str>> {
    match item.get(member)? {
        Json::String(text) => Some(Cow::Borrowed(text)),
        key @ (Json::Number(_) | Json::Bool(_) | Json::Above(_) | Json::Below(_)) => {
            Some(Cow::Owned(key.to_string()))
        }
        Json::Null | Json::Array(_) | Json::Items(_) | Json::Object(_) => None,
    }
}

/// The place of an item, valid until the item is removed.
pub(super) type At = usize;

#[derive(Clone, Debug)]
struct Node {
    /// `None`: it was removed.
    item: Option<Json>,
    before: Option<At>,
    after: Option<At>,
    /// The next item with the same key, which only an array that was set as a whole can have.
    same: Option<At>,
}

/// The items of an array.
#[derive(Clone, Debug)]
pub(crate) struct Items {
    key: Key,
    nodes: Vec<Node>,
    first: Option<At>,
    last: Option<At>,
    /// The first item with each key.
    by_key: HashMap<String, At>,
}

impl Items {
    pub(super) fn new(items: Vec<Json>, key: Key) -> Self {
        let nodes = Vec::with_capacity(items.len());
        let mut this = Self { key, nodes, first: None, last: None, by_key: HashMap::new() };
        for item in items {
            this.insert(this.last, item);
        }
        this
    }

    /// An item's key as text; `None` if the item has none that can be a key.
    pub(super) fn key_of<'a>(&self, item: &'a Json) -> Option<Cow<'a, str>> {
        self.key.of(item)
    }

    /// The first item with this key.
    pub(super) fn find(&self, key: &str) -> Option<At> {
        self.by_key.get(key).copied()
    }

    pub(super) fn get(&self, at: At) -> Option<&Json> {
        self.nodes.get(at)?.item.as_ref()
    }

    /// An item, to change anything in it but its key.
    pub(super) fn get_mut(&mut self, at: At) -> Option<&mut Json> {
        self.nodes.get_mut(at)?.item.as_mut()
    }

    /// The last item.
    pub(super) const fn last(&self) -> Option<At> {
        self.last
    }

    /// Inserts an item after another one, or as the first.
    pub(super) fn insert(&mut self, before: Option<At>, item: Json) {
        let at = self.nodes.len();
        let key = self.key.of(&item).map(Cow::into_owned);
        let after = before.map_or(self.first, |before| self.nodes[before].after);
        self.nodes.push(Node { item: Some(item), before, after, same: None });
        match before {
            Some(before) => self.nodes[before].after = Some(at),
            None => self.first = Some(at),
        }
        match after {
            Some(after) => self.nodes[after].before = Some(at),
            None => self.last = Some(at),
        }
        let Some(key) = key else { return };
        match self.by_key.entry(key) {
            Entry::Vacant(entry) => _ = entry.insert(at),
            Entry::Occupied(mut entry) => {
                // The newest of them follows the first. Nothing depends on the order of the others.
                let first = entry.get_mut();
                self.nodes[at].same = self.nodes[*first].same.replace(at);
            }
        }
    }

    /// Removes an item that was [found](Self::find).
    pub(super) fn remove(&mut self, at: At) -> Option<Json> {
        let Node { item, before, after, same } = self.nodes.get_mut(at)?;
        let (item, before, after, same) = (item.take()?, *before, *after, same.take());
        match before {
            Some(before) => self.nodes[before].after = after,
            None => self.first = after,
        }
        match after {
            Some(after) => self.nodes[after].before = before,
            None => self.last = before,
        }
        if let Some(key) = self.key.of(&item) {
            match same {
                Some(same) => _ = self.by_key.insert(key.into_owned(), same),
                None => _ = self.by_key.remove(&*key),
            }
        }
        Some(item)
    }

    /// The items in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Json> {
        let mut at = self.first;
        std::iter::from_fn(move || {
            let node = self.nodes.get(at?)?;
            at = node.after;
            node.item.as_ref()
        })
    }
}

impl PartialEq for Items {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: serde_json::Value, key: Key) -> Items {
        let Json::Array(items) = Json::from(json) else { panic!("an array") };
        Items::new(items, key)
    }

    fn shown(items: &Items) -> String {
        Json::Array(items.iter().cloned().collect()).to_string()
    }

    #[test]
    fn items_are_found_by_their_keys_and_keep_their_order() {
        let list = serde_json::json!([{"id": 1}, {"id": "b"}, {"x": 0}]);
        let mut items = of(list, Key::Member("id".to_owned()));
        let one = items.find("1").expect("it is there");
        items.insert(Some(one), Json::from(serde_json::json!({"id": 2})));
        items.insert(None, Json::from(serde_json::json!({"id": 3})));
        assert_eq!(shown(&items), r#"[{"id":3},{"id":1},{"id":2},{"id":"b"},{"x":0}]"#);
        assert!(items.remove(one).is_some() && items.remove(one).is_none() && items.find("1").is_none());
        items.insert(items.last(), Json::from(serde_json::json!({"id": 1})));
        assert_eq!(shown(&items), r#"[{"id":3},{"id":2},{"id":"b"},{"x":0},{"id":1}]"#);
        let three = items.find("3").expect("it is there");
        items.remove(three);
        assert_eq!(shown(&items), r#"[{"id":2},{"id":"b"},{"x":0},{"id":1}]"#);
    }

    #[test]
    fn each_of_several_items_with_one_key_is_found_in_the_end() {
        let mut items = of(serde_json::json!([7, 7, 8, 7]), Key::Whole);
        for left in ["[7,8,7]", "[7,8]", "[8]"] {
            let at = items.find("7").expect("one is left");
            assert!(items.remove(at).is_some());
            assert_eq!(shown(&items).len(), left.len());
        }
        assert!(items.find("7").is_none() && items.find("8").is_some());
    }
}
