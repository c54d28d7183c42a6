//! Handles that reach into entries: the method `at` of the handles of lists and maps.

use std::sync::Arc;

use crate::core::{
    Backend, Entry, FieldHandle, FieldId, FieldPathBuf, Key, MergePolicy, SharedState, Slot, blank, key_of,
};
use crate::merge::{
    Counter, CounterOp, HandleOf, KeyOf, ListOf, ListOp, Lww, MapOf, MapOp, Mapping, Nested, NestedHandle,
    Number, Sequence, SetOf,
};

/// The item with a key in the list of a slot.
struct Item<S: SharedState, C: Sequence, F: KeyOf<C::Item>, P: MergePolicy<C::Item>> {
    list: Slot<S, C, ListOf<F, P>>,
    key: Key,
}

impl<S, C, F, P> Entry<S, C::Item, P> for Item<S, C, F, P>
where
    S: SharedState,
    C: Sequence,
    F: KeyOf<C::Item>,
    P: MergePolicy<C::Item>,
{
    fn get<'s>(&self, state: &'s S) -> Option<&'s C::Item> {
        let list = self.list.get(state)?;
        list.item(list.find::<F>(self.key.as_str())?)
    }

    fn op(&self, op: P::Op) -> S::Update {
        self.list.op(ListOp::In(self.key.clone(), op))
    }

    fn field(&self) -> FieldId {
        self.list.field()
    }

    fn path(&self, path: &mut FieldPathBuf) {
        self.list.add_path(path);
        path.push(self.key.as_str());
    }
}

/// The entry with a key in the map of a slot.
struct MapEntry<S: SharedState, M: Mapping, P: MergePolicy<M::Value>> {
    map: Slot<S, M, MapOf<P>>,
    key: M::Key,
}

impl<S: SharedState, M: Mapping, P: MergePolicy<M::Value>> Entry<S, M::Value, P> for MapEntry<S, M, P> {
    fn get<'s>(&self, state: &'s S) -> Option<&'s M::Value> {
        self.map.get(state)?.get(&self.key)
    }

    fn op(&self, op: P::Op) -> S::Update {
        self.map.op(MapOp::at::<P>(self.key.clone(), op))
    }

    fn field(&self) -> FieldId {
        self.map.field()
    }

    fn path(&self, path: &mut FieldPathBuf) {
        self.map.add_path(path);
        // A key that cannot be written is refused when it is used.
        path.push(Key::of(&self.key).as_ref().map_or("", Key::as_str));
    }
}

/// What an entry reads as while it does not exist: an empty value, or else the value that it has now.
fn absent<S: SharedState, N: SharedState>(
    backend: &impl Backend<S>,
    entry: &impl Entry<S, N, Nested>,
    key: Option<(&'static str, &str)>,
) -> Option<Arc<N>> {
    blank(key).or_else(|| backend.read(|state| entry.get(state).cloned())).map(Arc::new)
}

impl<L, S, C, F> FieldHandle<L, S, C, ListOf<F, Nested>>
where
    L: Backend<S>,
    S: SharedState,
    C: Sequence,
    C::Item: SharedState,
    F: KeyOf<C::Item>,
{
    /// The handle of the item with this key, whether or not there is one now. Each of its writes sends only
    /// what it changes inside the item; what [`NestedHandle`] says of entries holds for it.
    #[must_use]
    pub fn at<Q: serde::Serialize + ?Sized>(&self, id: &Q) -> HandleOf<L, S, C::Item> {
        // A value that cannot be a key is the key of no item.
        let key = key_of(id).unwrap_or_else(|_| Key::from(""));
        let entry = Item::<S, C, F, Nested> { list: self.slot().clone(), key: key.clone() };
        let absent = absent(self.backend(), &entry, Some((F::NAME, key.as_str())));
        let slot = Slot::Entry { entry: Arc::new(entry), absent };
        NestedHandle::in_slot(self.backend().clone(), slot).into()
    }
}

impl<L, S, M> FieldHandle<L, S, M, MapOf<Nested>>
where
    L: Backend<S>,
    S: SharedState,
    M: Mapping,
    M::Value: SharedState,
{
    /// The handle of the entry with this key, whether or not there is one now. Each of its writes sends only
    /// what it changes inside the entry; what [`NestedHandle`] says of entries holds for it.
    #[must_use]
    pub fn at(&self, key: &M::Key) -> HandleOf<L, S, M::Value> {
        let entry = MapEntry::<S, M, Nested> { map: self.slot().clone(), key: key.clone() };
        let absent = absent(self.backend(), &entry, None);
        let slot = Slot::Entry { entry: Arc::new(entry), absent };
        NestedHandle::in_slot(self.backend().clone(), slot).into()
    }
}

/// Implemented by nothing. The bound of `at` where entries are set as a whole, so that the compiler says what to write.
#[diagnostic::on_unimplemented(
    message = "the entries of this field are set as a whole, so they have no handles of their own",
    label = "`nested` is missing in the field's attribute",
    note = "write `#[shared(list(key = .., nested))]` or `#[shared(map(nested))]` above the field, and \
            `#[derive(SharedState)]` above the type of the entries",
    note = "or change a copy of an entry: `edit(&key, |entry| ..)`; `item(&key)` of a list and `entry(&key)` of a map return one"
)]
pub trait NestedEntries {
    /// The handle of an entry. The compiler says nothing about it where the trait is not implemented.
    type Handle;
}

macro_rules! set_as_a_whole {
    ($([$($params:tt)*] $collection:ident: $bound:ident, $policy:ty;)*) => {$(
        #[doc(hidden)]
        impl<L, S, $($params)*> FieldHandle<L, S, $collection, $policy>
        where
            L: Backend<S>,
            S: SharedState,
            $collection: $bound,
            $policy: MergePolicy<$collection>,
        {
            pub fn at(&self, _key: impl Sized) -> <Self as NestedEntries>::Handle
            where
                Self: NestedEntries,
            {
                unreachable!("nothing implements the bound")
            }
        }
    )*};
}

set_as_a_whole! {
    [C, F] C: Sequence, ListOf<F, Lww>;
    [M] M: Mapping, MapOf<Lww>;
}

macro_rules! entry_handles {
    ($($(#[$meta:meta])* [$($param:ident: $bound:path),*] $policy:ty;)*) => {$(
        $(#[$meta])*
        impl<L, S, M, $($param),*> FieldHandle<L, S, M, MapOf<$policy>>
        where
            L: Backend<S>,
            S: SharedState,
            M: Mapping,
            $policy: MergePolicy<M::Value>,
            $($param: $bound,)*
        {
            /// The handle of the entry with this key. An entry that does not exist reads as empty, and is
            /// made by the first write that gives it something.
            #[must_use]
            pub fn at(&self, key: &M::Key) -> FieldHandle<L, S, M::Value, $policy> {
                let map: &Slot<S, M, MapOf<$policy>> = self.slot();
                let entry = MapEntry::<S, M, $policy> { map: map.clone(), key: key.clone() };
                let slot: Slot<S, M::Value, $policy> = Slot::Entry { entry: Arc::new(entry), absent: None };
                FieldHandle::<L, S, M::Value, $policy>::in_slot(self.backend().clone(), slot)
            }
        }
    )*};
}

entry_handles! {
    [F: Sized, P: Sized] ListOf<F, P>;
    [P: Sized] MapOf<P>;
    [] SetOf;
    [] Counter;
    #[cfg(feature = "text")]
    [] crate::merge::TextOf;
}

impl<L: Backend<S>, S: SharedState, T: Number> FieldHandle<L, S, T, Counter> {
    /// Adds to the counter; concurrent additions all count. An entry that does not exist starts from zero.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn add(&self, by: T) -> Result<L::Receipt, L::Error> {
        self.write(CounterOp::Add(by))
    }
}
