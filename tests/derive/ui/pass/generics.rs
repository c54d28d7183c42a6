//! Type parameters, const parameters, bounds, where clauses and defaults.
#![deny(warnings)]
#![allow(dead_code, missing_docs, clippy::multiple_bound_locations)]

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
pub struct One<T> {
    pub value: T,
    list: Vec<T>,
    #[shared(validate(length(max = 3)))]
    named: Option<BTreeMap<String, T>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
#[shared(validate = Self::check)]
struct Many<K: Ord, V = u8, const N: usize = 3>
where
    V: Copy,
{
    map: BTreeMap<K, V>,
    #[shared(read_only, validate(custom = Self::few))]
    count: V,
    boxed: Option<Box<Self>>,
    marker: PhantomData<fn() -> K>,
}

impl<K: Ord, V: Copy, const N: usize> Many<K, V, N> {
    fn check(&self) -> Result<(), String> {
        if self.map.len() > N { Err(format!("{N} at most")) } else { Ok(()) }
    }
    fn few(_: &V) -> Result<(), String> {
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
#[serde(bound = "")]
struct Around<S: SharedState> {
    title: String,
    #[shared(nested)]
    inner: S,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Counted<C, L> {
    #[shared(counter)]
    count: C,
    #[shared(nested)]
    one: One<L>,
    plain: u8,
}

type Few = Many<String, bool, 1>;

pub fn main() {
    let mut one = One { value: 1_u16, list: vec![], named: None };
    let undo = one.apply(OneUpdate::List(vec![7]));
    assert_eq!((one.list.clone(), undo), (vec![7], One::LIST.set(vec![])));
    let patch = OnePatch::<u16>::new().value(3).named(None);
    assert_eq!(serde_json::to_string(&patch).expect("a patch is JSON"), r#"{"value":3,"named":null}"#);
    let read: OnePatch<u16> = serde_json::from_str(r#"{"list":[1]}"#).expect("a patch");
    assert_eq!(read.list, Some(vec![1]));

    let mut few = Few { map: BTreeMap::new(), count: true, boxed: None, marker: PhantomData };
    few.apply(Few::MAP.set(BTreeMap::from([("a".into(), true), ("b".into(), false)])));
    assert_eq!(few.check_rule().expect_err("two are too many").message, "1 at most");

    let around = Around { title: String::new(), inner: one };
    assert_eq!(Around::<One<u16>>::FIELDS[1].policy, "nested");
    assert_eq!(Around::diff(&around, &around), []);
    let _ = Counted::<i64, u8>::COUNT;
}
