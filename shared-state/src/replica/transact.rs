//! Transactions: a change that is applied only if what it read is still so.

use serde::Serialize;

use crate::core::{Field, FieldId, FieldPathBuf, SharedState};
use crate::core::{MergePolicy, differences};
use crate::merge::{
    Counter, CounterOp, Key, KeyOf, ListOf, ListOp, MapOf, MapOp, Mapping, Members, Number, Place, Sequence,
    SetOf,
};

/// Something that a transaction read: a field, or an entry of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub(super) field: FieldId,
    /// The path on the wire.
    pub(super) path: Box<str>,
    /// Only because a function had the whole state to look at.
    pub(super) all: bool,
}

impl Read {
    /// A whole field.
    ///
    /// # Panics
    /// If there is no such field.
    #[must_use]
    pub fn field<S: SharedState>(field: FieldId) -> Self {
        Self::at::<S>(field, None)
    }

    /// An entry of a field, whether it is there or not.
    ///
    /// # Panics
    /// If there is no such field.
    #[must_use]
    pub fn entry<S: SharedState>(field: FieldId, key: &Key) -> Self {
        Self::at::<S>(field, Some(key.as_str()))
    }

    fn at<S: SharedState>(field: FieldId, key: Option<&str>) -> Self {
        let mut path = FieldPathBuf::of(S::FIELDS[field].name);
        if let Some(key) = key {
            path.push(key);
        }
        Self { field, path: path.into_string().into_boxed_str(), all: false }
    }
}

/// What a transaction's closure reads from and writes to.
///
/// Reads see the state with the transaction's own writes. What is read is remembered: the server refuses the
/// transaction if somebody else changed that meanwhile. [`item`](Self::item), [`entry`](Self::entry) and
/// [`has`](Self::has) read one entry, there or not, and other entries may change; what is only written is not
/// compared.
pub struct Transaction<S: SharedState> {
    state: S,
    reads: Vec<Read>,
    updates: Vec<S::Update>,
}

impl<S: SharedState> Transaction<S> {
    /// A transaction on a copy of `state`.
    #[must_use]
    pub fn new(state: &S) -> Self {
        Self { state: state.clone(), reads: Vec::new(), updates: Vec::new() }
    }

    fn note(&mut self, read: Read) {
        if !self.reads.contains(&read) {
            self.reads.push(read);
        }
    }

    /// Reads a field; the transaction depends on it from now on.
    pub fn get<T, P: MergePolicy<T>>(&mut self, field: Field<S, T, P>) -> &T {
        self.note(Read::field::<S>(field.id()));
        field.get(&self.state)
    }

    /// Reads the item of a list that has this key; `None` if there is none, or `id` is no key. The transaction
    /// depends on this item, or on its absence, from now on.
    pub fn item<C, F, P, Q>(&mut self, field: Field<S, C, ListOf<F, P>>, id: &Q) -> Option<&C::Item>
    where
        C: Sequence,
        F: KeyOf<C::Item>,
        P: MergePolicy<C::Item>,
        Q: Serialize + ?Sized,
    {
        let key = Key::of(id).ok()?;
        self.note(Read::entry::<S>(field.id(), &key));
        let list = field.get(&self.state);
        list.item(list.find::<F>(key.as_str())?)
    }

    /// Reads an entry of a map; `None` if there is none. The transaction depends on this entry, or on its absence,
    /// from now on.
    pub fn entry<M, P>(&mut self, field: Field<S, M, MapOf<P>>, key: &M::Key) -> Option<&M::Value>
    where
        M: Mapping,
        P: MergePolicy<M::Value>,
    {
        self.note(Read::entry::<S>(field.id(), &Key::of(key).ok()?));
        field.get(&self.state).get(key)
    }

    /// Whether a set has a member. The transaction depends on that from now on.
    pub fn has<C: Members>(&mut self, field: Field<S, C, SetOf>, member: &C::Member) -> bool {
        if let Some(name) = SetOf::name(member) {
            self.note(Read::entry::<S>(field.id(), &name));
        }
        field.get(&self.state).has(member)
    }

    /// Sets a field.
    pub fn set<T, P: MergePolicy<T>>(&mut self, field: Field<S, T, P>, value: T) {
        self.write(field.set(value));
    }

    /// Adds to a counter.
    pub fn add<T: Number>(&mut self, field: Field<S, T, Counter>, by: T) {
        self.write(field.op(CounterOp::Add(by)));
    }

    /// Inserts an item at the end of a list. Does nothing if there is an item with its key:
    /// [`item`](Self::item) says so.
    pub fn push<C, F, P>(&mut self, field: Field<S, C, ListOf<F, P>>, item: C::Item)
    where
        C: Sequence,
        F: KeyOf<C::Item>,
        P: MergePolicy<C::Item>,
    {
        self.op(field, ListOp::Insert(Place::End, item));
    }

    /// Changes a copy of an item and writes what is different by the items' own policy. As the function looks at it,
    /// the transaction depends on the item, or on its absence, from now on. Gives what `change` gives; `None` if there
    /// is no such item.
    pub fn edit_item<C, F, P, Q, R>(
        &mut self,
        field: Field<S, C, ListOf<F, P>>,
        id: &Q,
        change: impl FnOnce(&mut C::Item) -> R,
    ) -> Option<R>
    where
        C: Sequence,
        F: KeyOf<C::Item>,
        P: MergePolicy<C::Item>,
        Q: Serialize + ?Sized,
    {
        let key = Key::of(id).ok()?;
        let old = self.item(field, id)?;
        let mut new = old.clone();
        let result = change(&mut new);
        for op in differences::<_, P>(old, &new) {
            self.op(field, ListOp::In(key.clone(), op));
        }
        Some(result)
    }

    /// Puts an entry of a map, whether there was one with this key or not.
    pub fn put<M, P>(&mut self, field: Field<S, M, MapOf<P>>, key: M::Key, value: M::Value)
    where
        M: Mapping,
        P: MergePolicy<M::Value>,
    {
        self.op(field, MapOp::Put(key, value));
    }

    /// Changes the state by a function and writes what is different. As the function may look at any field, the
    /// transaction depends on all of them that this client may read from now on. Costs the state; gives what
    /// `change` gives.
    pub fn update<R>(&mut self, change: impl FnOnce(&mut S) -> R) -> R {
        let fields =
            (0..S::FIELDS.len()).filter(|at| self.reads.iter().all(|read| *read != Read::field::<S>(*at)));
        let all: Vec<_> = fields.map(|at| Read { all: true, ..Read::field::<S>(at) }).collect();
        self.reads.extend(all);
        let mut changed = self.state.clone();
        let result = change(&mut changed);
        for update in S::diff(&self.state, &changed) {
            self.write(update);
        }
        result
    }

    /// Writes one operation of a field's policy.
    pub fn op<T, P: MergePolicy<T>>(&mut self, field: Field<S, T, P>, op: P::Op) {
        self.write(field.op(op));
    }

    /// Writes any update.
    pub fn write(&mut self, update: S::Update) {
        self.state.apply(update.clone());
        self.updates.push(update);
    }

    /// The updates written, and what was read.
    #[must_use]
    pub fn into_parts(self) -> (Vec<S::Update>, Vec<Read>) {
        (self.updates, self.reads)
    }
}
