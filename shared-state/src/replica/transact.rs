//! Transactions: changes that are applied only if nobody has changed what they read. The client and the
//! simulation run a closure on a [`Transaction`] and pass what it wrote and read to
//! [`Replica::write_if_unchanged`](super::Replica::write_if_unchanged).

use serde::Serialize;

use crate::core::{
    Field, FieldId, FieldPathBuf, MergePolicy, Segment, SharedState, Versions, differences, transfer,
};
use crate::merge::{
    Counter, CounterOp, Key, KeyOf, ListOf, ListOp, MapOf, MapOp, Mapping, Members, Number, Place, Sequence,
    SetOf,
};

/// A field, or an entry of a field, that a transaction has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub(super) field: FieldId,
    /// The path on the wire.
    pub(super) path: Box<str>,
    /// Whether it counts as read only because [`Transaction::update`] showed the whole state to a function.
    pub(super) all: bool,
}

impl Read {
    /// The whole field.
    ///
    /// # Panics
    /// If the struct has no field with this id.
    #[must_use]
    pub fn field<S: SharedState>(field: FieldId) -> Self {
        Self::at::<S>(field, None)
    }

    /// An entry of a field, present or absent.
    ///
    /// # Panics
    /// If the struct has no field with this id.
    #[must_use]
    pub fn entry<S: SharedState>(field: FieldId, key: &Key) -> Self {
        Self::at::<S>(field, Some(key.as_str()))
    }

    /// The part of the state that an update has changed.
    pub(super) fn part<S: SharedState>(part: &[Segment]) -> Option<Self> {
        let Some(Segment::Field(field)) = part.first() else { return None };
        let path = Versions::path_of(S::FIELDS, part).into_string().into_boxed_str();
        Some(Self { field: *field, path, all: false })
    }

    fn at<S: SharedState>(field: FieldId, key: Option<&str>) -> Self {
        let mut path = FieldPathBuf::of(S::FIELDS[field].name);
        if let Some(key) = key {
            path.push(key);
        }
        Self { field, path: path.into_string().into_boxed_str(), all: false }
    }
}

/// The state as a transaction's closure reads and writes it.
///
/// Reads see the transaction's own writes. The server refuses the transaction if somebody else has changed
/// what it read. [`item`](Self::item), [`entry`](Self::entry) and [`has`](Self::has) read a single entry,
/// present or absent, so changes of other entries do not matter. What the transaction only writes may change
/// too.
pub struct Transaction<S: SharedState> {
    state: S,
    reads: Vec<Read>,
    updates: Vec<S::Update>,
}

impl<S: SharedState> Transaction<S> {
    /// A transaction on a copy of `state`. Costs one clone of the state.
    #[must_use]
    pub fn new(state: &S) -> Self {
        Self { state: state.clone(), reads: Vec::new(), updates: Vec::new() }
    }

    fn note(&mut self, read: Read) {
        if !self.reads.contains(&read) {
            self.reads.push(read);
        }
    }

    /// Reads a field. The transaction depends on it from now on.
    pub fn get<T, P: MergePolicy<T>>(&mut self, field: Field<S, T, P>) -> &T {
        self.note(Read::field::<S>(field.id()));
        field.get(&self.state)
    }

    /// Reads the item with this key from a list; `None` if there is none, or if `id` is not a valid key. The
    /// transaction depends on the item, or on its absence, from now on.
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

    /// Reads an entry of a map; `None` if there is none. The transaction depends on the entry, or on its
    /// absence, from now on.
    pub fn entry<M, P>(&mut self, field: Field<S, M, MapOf<P>>, key: &M::Key) -> Option<&M::Value>
    where
        M: Mapping,
        P: MergePolicy<M::Value>,
    {
        self.note(Read::entry::<S>(field.id(), &Key::of(key).ok()?));
        field.get(&self.state).get(key)
    }

    /// Whether a set contains a member. The transaction depends on the answer from now on.
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

    /// Subtracts from a counter.
    pub fn sub<T: Number>(&mut self, field: Field<S, T, Counter>, by: T) {
        self.write(field.op(CounterOp::Sub(by)));
    }

    /// Inserts an item at the end of a list. If the list has another item with its key, the transaction is refused as a
    /// whole; [`item`](Self::item) tells.
    pub fn push<C, F, P>(&mut self, field: Field<S, C, ListOf<F, P>>, item: C::Item)
    where
        C: Sequence,
        F: KeyOf<C::Item>,
        P: MergePolicy<C::Item>,
    {
        self.op(field, ListOp::Insert(Place::End, item));
    }

    /// Calls `change` with a copy of an item and writes the differences by the items' own policy. The
    /// transaction depends on the item, or on its absence, from now on. Returns what `change` returns, or
    /// `None` if there is no such item.
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

    /// Sets an entry of a map, present or absent.
    pub fn put<M, P>(&mut self, field: Field<S, M, MapOf<P>>, key: M::Key, value: M::Value)
    where
        M: Mapping,
        P: MergePolicy<M::Value>,
    {
        self.op(field, MapOp::Put(key, value));
    }

    /// Calls `change` with a copy of the state and writes the differences. The transaction depends on every
    /// field that this client may read from now on, because the function may have read it. Costs a clone and
    /// a comparison of the state. Returns what `change` returns.
    pub fn update<R>(&mut self, change: impl FnOnce(&mut S) -> R) -> R {
        let fields =
            (0..S::FIELDS.len()).filter(|at| self.reads.iter().all(|read| *read != Read::field::<S>(*at)));
        let all: Vec<_> = fields.map(|at| Read { all: true, ..Read::field::<S>(at) }).collect();
        self.reads.extend(all);
        let (result, updates) = transfer::changes(&self.state, change);
        updates.into_iter().for_each(|update| self.write(update));
        result
    }

    /// Writes an operation of the field's merge policy.
    pub fn op<T, P: MergePolicy<T>>(&mut self, field: Field<S, T, P>, op: P::Op) {
        self.write(field.op(op));
    }

    /// Writes an update.
    pub fn write(&mut self, update: S::Update) {
        self.state.apply(update.clone());
        self.updates.push(update);
    }

    /// The updates that were written, and what was read.
    #[must_use]
    pub fn into_parts(self) -> (Vec<S::Update>, Vec<Read>) {
        (self.updates, self.reads)
    }
}
